"""One simulated replica of the webhook: the product's own medic and intake, as one process."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

from exporter.config.model import Foundation
from exporter.foundation.probe import Dialer
from exporter.kubernetes.objects import Metadata
from sandbox.api.calls import Call
from sandbox.api.server import Answer
from sandbox.simulation.faults import Faults
from sandbox.simulation.history import Accepted, RecordedBox
from sandbox.simulation.loop import SimulatedLoop, current_process
from sandbox.transport import InProcessTransport
from webhook.medic.intake import Intake
from webhook.medic.medic import Medic
from webhook.metrics import HttpMetrics
from webhook.record.journal import Request, Run
from webhook.record.store import Store, journal_name
from webhook.requests.notification import Alert, Notification
from webhook.runbook.context import RunContext
from webhook.timings import Timings
from webhook.writer import ApiWriter, ConfigMap

EPOCH = 1_790_000_000.0
"""Unix time at the start of an incident."""


class TrueClock:
    """The clock of the cluster."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return EPOCH + self._loop.now

    def boottime(self) -> float:
        return self._loop.now


class ProcessClock:
    """The clocks of the running process: its wall clock may be wrong, its boot clock also runs in suspend."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        process = current_process.get(None)
        return EPOCH + self._loop.now + (process.wall_offset if process is not None else 0.0)

    def boottime(self) -> float:
        return self._loop.now


class DatedTransport(InProcessTransport):
    """Writes into each call that changes something when it was sent."""

    now: Callable[[], float]

    async def ask(self, call: Call, *, upgrade: bool = False) -> Answer:
        if call.method != "GET":
            call = replace(call, user_agent=str(self.now()))
        return await super().ask(call, upgrade=upgrade)


class StoppingWriter(ApiWriter):
    """A process may also be stopped after an answer was read, outside of every time-out of that call."""

    stops: Callable[[], None]

    async def update_config_map(self, name: str, data: dict[str, str], *, read: Metadata) -> ConfigMap:
        written = await super().update_config_map(name, data, read=read)
        if '"intended"' in data.get("journal.json", ""):
            self.stops()
            await asyncio.sleep(0)  # a process that is stopped continues here
        return written


class NoMetrics:
    """Takes what the product counts, and counts nothing."""

    def __getattr__(self, _name: str) -> Any:
        return self

    def __call__(self, *_args: object, **_kwargs: object) -> Any:
        return self


def _is_retrieved(task: asyncio.Task[Any]) -> None:
    """What fails after the caller gave up is nobody's defect."""
    if not task.cancelled():
        task.exception()


class Replica:
    """A process with one medic. `executes` as in the command line; a reload replaces the medic."""

    def __init__(
        self,
        name: str,
        *,
        loop: SimulatedLoop,
        box: RecordedBox,
        faults: Faults,
        foundation: Foundation,
        timings: Timings,
        dial: Dialer,
        random: Random,
        executes: Callable[[Run], bool] = lambda _run: True,
        decides: Callable[[Request], bool] = lambda _request: True,
    ) -> None:
        self.name = name
        self.foundation = foundation
        self._loop = loop
        self._box = box
        self._faults = faults
        self._timings = timings
        self._dial = dial
        self._random = random
        self._executes = executes
        self._decides = decides
        self._reloaded = asyncio.Event()
        self.medics: dict[str, Medic] = {}
        self.crashes: list[BaseException] = []
        self._token = f"token-{name}"
        box.access.users[self._token] = name
        self._clock = ProcessClock(loop)
        self._intake = Intake(medics=self.medics, clock=self._clock, metrics=cast("HttpMetrics", NoMetrics()))
        self.process, self.task = loop.spawn(name, self._run)

    def reload(self, foundation: Foundation) -> None:
        """As `POST /-/reload` with another config."""
        self.foundation = foundation
        self._reloaded.set()

    async def deliver(self, *, starts_at: float, ends_at: float, firing: bool) -> int | None:
        """As a POST to /alerts: it runs in the replica's process, and is not answered where that is dead."""
        if not self.process.alive:
            return None
        alert = Alert(
            status="firing" if firing else "resolved",
            labels={"alertname": "DiegoBBSUnreachable", "foundation": "cf", "remediation": "restart-diego-api"},
            starts_at=datetime.fromtimestamp(starts_at, UTC),
            ends_at=None if firing else datetime.fromtimestamp(ends_at, UTC),
            fingerprint="a1",
        )
        sent = self._loop.now
        status: int = await self.run_inside(self._take(Notification(version="4", alerts=[alert])))
        if firing and 200 <= status < 300:
            self._box.history.accepted.append(Accepted(sent, self._loop.now, self.name, status))
        return status

    async def run_inside(self, work: Any) -> Any:
        """Runs a coroutine in the replica's process, for a caller outside, who may give up before it ends."""
        task = self._loop.create_task_in(self.process, work)
        task.add_done_callback(_is_retrieved)
        return await asyncio.shield(task)

    async def _take(self, notification: Notification) -> int:
        if not self.medics:
            return 503
        return (await self._intake.take(notification)).status

    async def _run(self) -> None:
        while True:
            medic = self._medic()
            self.medics["cf"] = medic
            working = asyncio.create_task(medic.run())
            reloaded = asyncio.create_task(self._reloaded.wait())
            await asyncio.wait((working, reloaded), return_when=asyncio.FIRST_COMPLETED)
            self._reloaded.clear()
            reloaded.cancel()
            if working.done() and (error := working.exception()) is not None:
                self.crashes.append(error)
                await asyncio.sleep(1.0)
            medic.retire()
            working.cancel()
            await asyncio.wait([working])

    def _medic(self) -> Medic:
        self._box.history.configs.append((self._loop.now, self.name, self.foundation))
        transport = DatedTransport(self._box, token=self._token)
        transport.now = lambda: self._loop.now
        transport.latency = lambda: self._random.uniform(0.001, 0.02)
        transport.before = lambda request: self._faults.before_call(self.process, request)
        writer = StoppingWriter(transport, namespace=self._box.namespace)
        writer.stops = lambda: self._box.tell("answered", self.name)
        metrics = cast("Any", NoMetrics())
        context = RunContext(
            foundation=self.foundation,
            kubernetes=writer,
            clock=self._clock,
            random=self._random,
            dial=self._dial,
            meter=metrics,
            on_probe=lambda _probe, _reachable: None,
            timings=self._timings,
        )
        store = Store(name=journal_name(self.foundation), foundation="cf", writer=writer)
        identity = f"{self.name}-{self._random.getrandbits(16):04x}"
        return Medic(
            context=context,
            meter=metrics,
            store=store,
            identity=identity,
            executes=self._executes,
            decides=self._decides,
        )
