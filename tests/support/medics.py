"""A medic on a foundation in memory: its journal, its lease, and a BBS that is healed by a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from exporter.config.model import Foundation
from exporter.foundation.view import ProbeResult
from exporter.kubernetes.objects import Pod
from tests.support.clocks import LoopClock
from tests.support.foundations import BBS, endpoints, foundation, pod, statefulset
from tests.support.memory_writer import JOURNAL, TIMED_OUT, MemoryCluster, MemoryWriter, Mishap
from tests.support.moments import NOON, at, firing
from webhook.medic.medic import Medic, Surroundings
from webhook.metrics import Counters, RunMetrics
from webhook.record.journal import Journal, Run, Step
from webhook.record.store import Store, journal_name
from webhook.requests.decision import ask
from webhook.writer import ExecResult

FAST = {
    "mode": "auto",
    "confirm": {"attempts": 2, "interval": "10s"},
    "verify": {"attempts": 2, "interval": "2s", "timeout": "60s"},
}
REFUSED = ExecResult(1, f"nc: connect to {BBS} port 8889 (tcp) failed: Connection refused\n")
SUCCEEDED = ExecResult(0, f"Connection to {BBS} 8889 port [tcp/*] succeeded!\n")
RESTART = 20.0
"""Seconds that a deleted pod takes to come back, fully ready."""


class BrokenFoundation(MemoryCluster):
    """No BBS listens, though one is labelled active, until its diego-api pods have been replaced."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("diego-api", "api"):
            body = statefulset(name)
            body["status"] = {"observedGeneration": 1}
            self.put("statefulsets", **body)
            for number in range(2):
                active = ("false" if number else "true") if name == "diego-api" else None
                self.put("pods", **pod(name, number, active=active, ip=f"10.0.{len(name)}.{number + 1}"))
        self.put("services", metadata={"name": "diego-api"})
        self.put("endpoints", **endpoints("10.0.9.1"))
        self.on_delete = self._restart
        self.healing = True
        self.enough = 2  # pods that have to be replaced
        self.serves = "diego-api-0"  # who does, once all is healed

    @property
    def healed(self) -> bool:
        new = [number for number in range(2) if self.pod(f"diego-api-{number}").uid.startswith("new-")]
        return self.healing and len(new) >= self.enough

    def _restart(self, deleted: Pod) -> None:
        self.terminate(deleted)
        loop = asyncio.get_running_loop()
        loop.call_later(RESTART, self.replace_pod, deleted.name)

    def replace_pod(self, name: str, *, uid: str = "") -> None:
        super().replace_pod(name, uid=uid or f"new-{self.version}")

    def answer(self, _pod: str, _container: str, _argv: tuple[str, ...]) -> ExecResult:
        return SUCCEEDED if self.healed else REFUSED

    async def dial(self, host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
        await asyncio.sleep(min(0.001, timeout))
        listens = self.healed and host in (BBS, self.pod(self.serves).ip)
        return (ProbeResult.SUCCESS if listens else ProbeResult.REFUSED), host


@dataclass
class Program:
    """One program that works on a foundation: its connection, its medic, its metrics."""

    cluster: BrokenFoundation
    settings: Foundation = field(default_factory=lambda: foundation(remediation=FAST))
    identity: str = "a"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.writer = MemoryWriter(self.cluster)
        self.writer.answers = self.cluster.answer
        self.store = Store(name=journal_name(self.settings), foundation=self.settings.name, writer=self.writer)
        around = Surroundings(
            writer=self.writer,
            clock=LoopClock(NOON.timestamp()),
            dial=self.cluster.dial,
            random=Random(1),
            identity=self.identity,
            metrics=RunMetrics(Counters(self.registry), self.settings.name),
            observe_probe=lambda _probe, _reachable: None,
        )
        self.medic = Medic(foundation=self.settings, store=self.store, around=around)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"foundation": self.settings.name, **labels})

    async def kill(self, task: "asyncio.Task[Any]") -> None:
        """As SIGKILL does: nothing more reaches the cluster."""
        self.writer.mishap = lambda _call: Mishap(TIMED_OUT)
        task.cancel()
        await asyncio.wait([task])


HEALED_IN = 60.0
"""Seconds within which an incident is over, by the settings of these tests."""


@asynccontextmanager
async def working(program: Program) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(program.medic.run())
    try:
        yield task
        assert not task.done() or task.cancelled(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def alert(program: Program, name: str = "a") -> None:
    """As the intake does."""

    def change(journal: Journal) -> tuple[Journal, None]:
        return ask(journal, [firing(name)], program.settings, at(now()))[0], None

    await program.store.update(change)


def now() -> float:
    return asyncio.get_running_loop().time()


async def ended(cluster: BrokenFoundation, *, within: float = HEALED_IN) -> Run:
    """Waits for the end of the run that is open, or about to be opened."""
    async with asyncio.timeout(within):
        while not (runs := runs_of(cluster)) or runs[-1].outcome is None:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)
    return runs[-1]


def runs_of(cluster: BrokenFoundation) -> tuple[Run, ...]:
    return cluster.journal().runs if JOURNAL in cluster.config_maps else ()


async def reaches(cluster: BrokenFoundation, step: Step) -> None:
    async with asyncio.timeout(HEALED_IN):
        while not (runs := runs_of(cluster)) or runs[-1].step is not step:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)
