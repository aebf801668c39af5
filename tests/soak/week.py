"""A week in virtual time: an exporter and a webhook of the product's own parts, and all that happens to them.

Each hour has an incident and, in turn, a failover, an API server that hangs or dies, watches that are cut or too old,
and a reload that puts another foundation in the place of the second one. What is counted at the end of each day must
not grow.
"""

import asyncio
import gc
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from exporter.clock import utc_now
from exporter.config.model import Config, Foundation
from exporter.fleet import Fleet
from exporter.kubernetes.client import ApiReader, OnRequest
from exporter.metrics import FoundationMetrics
from exporter.serving.exposition import CachedCollectors, Exposition
from sandbox.cluster.foundation import Timing
from sandbox.cluster.resources import EVENTS
from sandbox.simulation.loop import SimulatedLoop
from sandbox.transport import InProcessTransport
from tests.support.foundations import foundation
from tests.support.inprocess import JOURNAL, InProcessCluster
from webhook.medic.intake import Intake
from webhook.medic.medic import Medic
from webhook.medic.medics import Medics
from webhook.metrics import CloudControllerProbes, Counters, HttpMetrics, JournalCollector, RunMetrics
from webhook.record.store import Store, journal_name
from webhook.requests.notification import Alert, Notification
from webhook.runbook.context import RunContext
from webhook.writer import ApiWriter

T = TypeVar("T")

HOUR = 3600.0
SCRAPE = 60.0
LABELS = {"alertname": "DiegoBBSUnreachable", "foundation": "cf", "remediation": "restart-diego-api"}
SETTINGS: dict[str, Any] = {
    "bbs": {"interval": "10s"},
    "remediation": {"mode": "auto", "breaker": {"runs": 100, "window": "1h"}},
}


class Loop(SimulatedLoop):
    """Forgets a task when it is done, as every loop but that of the simulation does."""

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        return asyncio.Task(coro, loop=self, name=name, context=context)

    @property
    def timers(self) -> int:
        """How many wait that are not cancelled."""
        return sum(not timer.cancelled() for _, _, timer in self._timers)


@dataclass(frozen=True, slots=True)
class Count:
    """What there is at the end of a day. Bytes, or numbers."""

    day: int
    rss: int
    objects: int
    tasks: int
    timers: int
    series: int
    journal: int
    files: int
    runs: int
    """How many were begun since the start."""

    def grown_since(self, before: "Count") -> list[str]:
        """What has grown by more than it may."""
        limits = {
            "rss": before.rss + 8 * 2**20,
            "objects": before.objects * 1.05,
            "tasks": before.tasks + 10,
            "timers": before.timers + 20,
            "series": before.series + 10,  # an outcome that was seen for the first time has one more
            "journal": max(256 * 1024, before.journal),
            "files": before.files,
        }
        return [
            f"{name}: {getattr(before, name)} on day {before.day}, {getattr(self, name)} on day {self.day}"
            for name, limit in limits.items()
            if getattr(self, name) > limit
        ]


class Week:
    """`days` of so many hours each; `run` returns a count for each day. Raises AssertionError where a part died."""

    def __init__(self, *, days: int = 7, hours: int = 24, seed: int = 1) -> None:
        self._days = days
        self._hours = hours
        self._random = Random(seed)
        self._loop = Loop(Random(seed))
        self._renamed = 0

    def run(self, *, tell: Callable[[Count], None] = lambda _count: None) -> list[Count]:
        logging.getLogger().addHandler(logging.NullHandler())
        counts = self._loop.run_until_complete(self._main(tell))
        assert not self._loop.failures, self._loop.failures
        return counts

    async def _main(self, tell: Callable[[Count], None]) -> list[Count]:
        self.cluster = InProcessCluster(timing=Timing(start=5.0, stop=1.0, probe=10.0), history=200)
        self.cluster._audit.events = deque(maxlen=100)  # type: ignore[assignment] # nobody asks for it here
        self.clock = self.cluster._clock
        self._exporter()
        self._webhook()
        self._fleet.apply(self._config())
        self._medics.apply(self._config())
        parts = [asyncio.create_task(each) for each in (self._fleet.run(), self._medics.run(), self._alerting())]
        counts = []
        for day in range(1, self._days + 1):
            for hour in range(self._hours):
                await self._hour((day - 1) * self._hours + hour)
                for part in parts:
                    assert not part.done(), part.exception()
            self._housekeeping()
            counts.append(await self._count(day))
            tell(counts[-1])
        for part in parts:
            part.cancel()
        await asyncio.wait(parts)
        return counts

    # ---- the programs

    def _config(self, **changes: Any) -> Config:
        """`cf`, and a second one of which nothing exists, with another name after each reload."""
        self._renamed += 1
        name = f"other-{self._renamed}"
        other = foundation(name=name, diego_api={"statefulset": name}, remediation={"mode": "observe"})
        return Config(foundations=(foundation(**SETTINGS | changes), other))

    def _exporter(self) -> None:
        def connect(foundation: Foundation, observe: OnRequest) -> ApiReader:
            return ApiReader(InProcessTransport(self.cluster), namespace=foundation.namespace, observe=observe)

        self._fleet = Fleet(
            self._config(),
            connect=connect,
            clock=self.clock,
            random=self._random,
            dial=self.cluster.dial,
        )
        self._exported = Exposition(FoundationMetrics(self._fleet.texts, self.clock))

    def _webhook(self) -> None:
        registry = CollectorRegistry()
        self._counters = Counters(registry)
        self._probes = CloudControllerProbes(registry, clock=self.clock)
        self._medics = Medics(self._config(), build=self._medic, on_remove=self._removed)
        self._intake = Intake(medics=self._medics.by_foundation, clock=self.clock, metrics=HttpMetrics(registry))
        journals = JournalCollector(foundations=self._medics.foundations, journals=self._medics.journals)
        self._told = Exposition(CachedCollectors((journals, registry), key=object))

    def _medic(self, foundation: Foundation) -> Medic:
        name = foundation.name
        self._probes.add(name)
        meter = RunMetrics(self._counters, name)
        context = RunContext(
            foundation=foundation,
            kubernetes=ApiWriter(InProcessTransport(self.cluster), namespace=foundation.namespace),
            clock=self.clock,
            random=self._random,
            dial=self.cluster.dial,
            meter=meter,
            on_probe=lambda probe, reachable: self._probes.observe(name, probe, reachable),
        )
        store = Store(name=journal_name(foundation), foundation=name, writer=context.kubernetes)
        return Medic(context=context, meter=meter, store=store, identity="me")

    def _removed(self, foundation: str) -> None:
        self._counters.remove(foundation)
        self._probes.remove(foundation)

    # ---- what happens

    async def _alerting(self) -> None:
        """As Prometheus and Alertmanager do: a firing each minute, and a `resolved` when it is over; and scrapes."""
        since: float | None = None
        while True:
            down = await self._sample(b'diego_bbs_tcp_reachable{foundation="cf",vantage="exporter"}') == 0
            if down or since is not None:
                since = since if since is not None else self.clock.now()
                await self._notify(since, firing=down)
                since = since if down else None
            await self._told.respond()
            await asyncio.sleep(SCRAPE)

    async def _notify(self, since: float, *, firing: bool) -> None:
        alert = Alert(
            status="firing" if firing else "resolved",
            labels=LABELS,
            starts_at=datetime.fromtimestamp(since, UTC),
            ends_at=None if firing else utc_now(self.clock),
            fingerprint=f"{since:.0f}",
        )
        await self._intake.take(Notification(version="4", alerts=[alert]))

    async def _sample(self, series: bytes) -> float | None:
        for line in (await self._exported.respond()).body.splitlines():
            if line.startswith(series):
                return float(line.rpartition(b" ")[2])
        return None

    async def _hour(self, hour: int) -> None:
        began = self._loop.now
        mishaps: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
            self._reload,
            self._api_hangs,
            self._history_is_gone,
            self._failover,
            self._api_dies,
            self._watches_end,
        )
        await self._incident()
        await mishaps[hour % len(mishaps)]()
        await asyncio.sleep(began + HOUR - self._loop.now)

    async def _incident(self) -> None:
        self.cluster.fault("locket-db-down")
        await asyncio.sleep(4)
        self.cluster.fault("locket-db-up")
        await asyncio.sleep(self._random.uniform(60, 1500))

    async def _failover(self) -> None:
        self.cluster.fault("crash", f"diego-api-{self._random.randrange(2)}")

    async def _api_hangs(self) -> None:
        self.cluster.mishaps.set(hanging=True)
        await asyncio.sleep(self._random.uniform(5, 120))
        self.cluster.mishaps.set(hanging=False)

    async def _api_dies(self) -> None:
        self.cluster.mishaps.set(killed=True)
        await asyncio.sleep(self._random.uniform(5, 120))
        self.cluster.mishaps.set(killed=False)

    async def _watches_end(self) -> None:
        self.cluster.drop_streams()
        await asyncio.sleep(30)
        self.cluster.end_streams()

    async def _history_is_gone(self) -> None:
        for _ in range(5):
            self.cluster.cluster.forget_history()
            await asyncio.sleep(10)

    async def _reload(self) -> None:
        for staleness in ("90s", "60s"):
            config = self._config(staleness=staleness)
            self._fleet.apply(config)
            self._medics.apply(config)
            await asyncio.sleep(20)

    def _housekeeping(self) -> None:
        """What a real cluster forgets after an hour, and what stays of foundations that were renamed."""
        for event in self.cluster.events:
            self.cluster.cluster.store.remove(EVENTS, self.cluster.namespace, event["metadata"]["name"])
        for name in self.cluster.config_maps:
            if name not in {JOURNAL, f"diego-medic-other-{self._renamed}"}:
                self.cluster.delete("configmaps", name)
                self.cluster.delete("leases", name)

    # ---- what it comes to

    async def _count(self, day: int) -> Count:
        for _ in range(3):
            gc.collect()
        pages = [(await each.respond()).body for each in (self._exported, self._told)]
        with open("/proc/self/statm") as statm:  # noqa: ASYNC230, PTH123 - not a file
            rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        runs = [each.value for family in self._counters.runs.collect() for each in family.samples]
        runs = runs[::2]  # beside each stands when the series began
        return Count(
            day=day,
            rss=rss,
            objects=len(gc.get_objects()),
            tasks=len(asyncio.all_tasks(self._loop)),
            timers=self._loop.timers,
            series=sum(not line.startswith(b"#") for page in pages for line in page.splitlines()),
            journal=len((self.cluster.config_maps[JOURNAL].data or {})["journal.json"]),
            files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - not a folder
            runs=round(sum(runs)),
        )
