"""An incident in-process: programs that work on a foundation of the sandbox, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from exporter.config.model import Foundation
from exporter.foundation.probe import Dialer
from exporter.foundation.view import ProbeResult
from tests.support.clocks import LoopClock
from tests.support.foundations import foundation
from tests.support.inprocess import JOURNAL, InProcessCluster, InProcessWriter
from tests.support.moments import NOON, at, firing
from webhook.medic.medic import Medic
from webhook.metrics import Counters, RunMetrics
from webhook.record.journal import Journal, Run, Step
from webhook.record.store import Store, journal_name
from webhook.requests.alerts import request_as_alerts
from webhook.runbook.context import RunContext

FAST = {
    "mode": "auto",
    "confirm": {"attempts": 2, "interval": "10s"},
    "verify": {"attempts": 2, "interval": "2s", "timeout": "60s"},
}
RESTART = 25.0
"""Seconds after which a deleted pod is back, fully ready and labelled, by `tests.support.inprocess.RESTART`."""
RECOVERED_IN = 80.0
"""Seconds within which an incident is over, by these settings."""


class MachineClock(LoopClock):
    """The clocks of one machine, which may be suspended, and whose wall time may be set."""

    def __init__(self) -> None:
        super().__init__(NOON.timestamp())
        self._suspended = 0.0

    def boottime(self) -> float:
        return super().boottime() + self._suspended

    def set_wall(self, seconds: float) -> None:
        """A person or NTP sets the wall time forward, or back."""
        self.start += seconds

    def suspend(self, seconds: float) -> None:
        """Time passes, and the loop, which counts by CLOCK_MONOTONIC, does not notice."""
        self.start += seconds
        self._suspended += seconds


@dataclass
class Program:
    """One program that works on a foundation: its connection, its medic, its clock, its metrics."""

    cluster: InProcessCluster
    settings: Foundation = field(default_factory=lambda: foundation(remediation=FAST))
    identity: str = "a"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    dial: Dialer | None = None
    executes: Callable[[Run], bool] = lambda _run: True

    def __post_init__(self) -> None:
        self.clock = MachineClock()
        self.writer = InProcessWriter(self.cluster)
        self.store = Store(name=journal_name(self.settings), foundation=self.settings.name, writer=self.writer)
        meter = RunMetrics(Counters(self.registry), self.settings.name)
        context = RunContext(
            foundation=self.settings,
            kubernetes=self.writer,
            clock=self.clock,
            random=Random(1),
            dial=self.dial or self.cluster.dial,
            meter=meter,
            on_probe=lambda _probe, _reachable: None,
        )
        self.medic = Medic(
            context=context, meter=meter, store=self.store, identity=self.identity, executes=self.executes
        )

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"foundation": self.settings.name, **labels})

    async def kill(self, task: "asyncio.Task[Any]") -> None:
        """As SIGKILL does: nothing more reaches the cluster."""
        self.writer.kill()
        task.cancel()
        await asyncio.wait([task])


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
        return request_as_alerts(journal, [firing(name)], program.settings, at(now()))[0], None

    await program.store.update(change)


async def blind(host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
    """A NetworkPolicy keeps the program from the pods' addresses."""
    await asyncio.sleep(timeout)
    return ProbeResult.TIMEOUT, f"{host}:{port}"


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], bool], *, within: float = RECOVERED_IN) -> None:
    """Looks ten times a second. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)


def runs_of(cluster: InProcessCluster) -> tuple[Run, ...]:
    return cluster.journal().runs if JOURNAL in cluster.config_maps else ()


async def ended(cluster: InProcessCluster, *, within: float = RECOVERED_IN, runs: int = 1) -> Run:
    """Waits for the end of the last run, once there are so many."""
    await until(lambda: len(found := runs_of(cluster)) >= runs and found[-1].outcome is not None, within=within)
    return runs_of(cluster)[-1]


async def reaches(cluster: InProcessCluster, step: Step) -> None:
    await until(lambda: bool(runs := runs_of(cluster)) and runs[-1].step is step)


async def deleted(cluster: InProcessCluster, number: int) -> None:
    """Waits until the deletion of so many pods took effect."""
    await until(lambda: len(cluster.deletes) >= number, within=3 * RECOVERED_IN)


def uids(cluster: InProcessCluster, statefulset: str = "diego-api") -> list[tuple[str, str]]:
    """The StatefulSet's pods as they are now: name and UID."""
    return sorted((name, pod.uid) for name, pod in cluster.pods.items() if name.startswith(f"{statefulset}-"))


def deleted_names(cluster: InProcessCluster) -> list[str]:
    return [name for name, _ in cluster.deletes]
