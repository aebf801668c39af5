"""Who and what takes part in an incident: the foundation, the processes, the alerting, and what is asked of them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from exporter.config.model import Foundation
from exporter.foundation.view import ProbeResult
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.simulation import settings
from sandbox.simulation.alerting import Alertmanager, Prometheus, Sent
from sandbox.simulation.faults import Faults, Plan
from sandbox.simulation.history import RecordedBox
from sandbox.simulation.loop import Process, SimulatedLoop
from sandbox.simulation.replica import EPOCH, Replica, TrueClock
from webhook.record.journal import Journal, Request, Run


class Stage:
    """Everything that takes part. `lost`: the journal is lost, and nobody has reset it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(plan.seed)  # noqa: S311 - a seed makes an incident repeatable
        self.loop = SimulatedLoop(Random(plan.seed + 1))  # noqa: S311 - as above
        self.faults = Faults(plan, self.loop, Random(plan.seed + 2))  # noqa: S311 - as above
        self.faults.crashed = self._crashed
        self.clock = TrueClock(self.loop)
        self.replicas: list[Replica] = []
        self.trace: list[tuple[float, str]] = []
        self.lost = False
        self.losses = 0
        self.helpers: list[asyncio.Task[None]] = []
        scene = settings.scene(plan.scene, self.random)
        self.foundation = scene.foundation
        self.count = scene.replicas
        self.box = RecordedBox(
            clock=self.clock,
            epoch=EPOCH,
            foundation=scene.cluster,
            timing=scene.timing,
            seed=self.random.getrandbits(32),
            settled=settings.SETTLED,
            audited=False,
        )
        self.managers = [Alertmanager(self.deliver, self.clock.now, self.random) for _ in range(scene.alertmanagers)]
        self.proms = [Prometheus(self._down, self.clock.now, self.managers) for _ in range(scene.alertmanagers)]

    def start(self, name: str) -> None:
        """Starts a replica, for the first time or again."""
        incarnation = sum(each.name.startswith(f"{name}.") for each in self.replicas)
        replica = self.make(f"{name}.{incarnation}")
        if self.plan.random and self.random.random() < 0.2:
            replica.process.wall_offset = self.random.choice((-7200.0, -40.0, -3.0, 3.0, 40.0, 7200.0))
            self.box.history.skewed = True

    def make(
        self,
        name: str,
        *,
        foundation: Foundation | None = None,
        executes: Callable[[Run], bool] = lambda _run: True,
        decides: Callable[[Request], bool] = lambda _request: True,
    ) -> Replica:
        """Starts a process, with the config of today or another one. For the rest see `Replica`."""
        replica = Replica(
            name,
            loop=self.loop,
            box=self.box,
            faults=self.faults,
            foundation=foundation or self.foundation,
            timings=settings.TIMINGS,
            dial=self.dial,
            random=self.random,
            executes=executes,
            decides=decides,
        )
        self.replicas.append(replica)
        return replica

    def _crashed(self, dead: Process) -> None:
        """As a Deployment does: a process that died is started again."""
        name = dead.name.partition(".")[0]
        if name.startswith("replica"):
            self.loop.call_later(self.random.uniform(0.5, 9.0), self.start, name, context=self.box.context)

    @property
    def alive(self) -> list[Replica]:
        return [each for each in self.replicas if each.process.alive]

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    @property
    def journal(self) -> Journal | None:
        return self.box.history.journal

    async def deliver(self, alert: Sent, firing: bool) -> int | None:
        """Posts an alert to some replica; None: nobody answers."""
        alive = self.alive
        if not alive:
            return None
        replica = self.random.choice(alive)
        return await replica.deliver(starts_at=alert.starts_at, ends_at=alert.ends_at, firing=firing)

    def _down(self) -> bool:
        """As the exporter's gauge: whether a connection to the Service fails."""
        self.box.catch_up()
        dialled = self.box.cluster.network.dial("", self.foundation.bbs.host, self.foundation.bbs.port)
        return dialled.outcome is not Dialled.OPEN

    async def dial(self, host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
        return await self.box.dial(host, port, timeout=timeout)

    def reachable(self) -> bool:
        """Whether every api pod reaches the BBS: the truth, not a measurement."""
        self.box.catch_up()
        names = [pod.name for pod in self.box.cluster.kubelet.pods if pod.name.startswith("api-")]
        dial = self.box.cluster.network.dial
        host, port = self.foundation.bbs.host, self.foundation.bbs.port
        return bool(names) and all(dial(name, host, port).outcome is Dialled.OPEN for name in names)

    def forbidden(self) -> bool:
        """Whether a person, or a loss that a person must confirm, forbids the repair."""
        journal = self.journal
        if self.lost or self.box.history.excluded:
            return True
        return journal is not None and (journal.paused is not None or journal.breaker_opened is not None)

    def misled(self) -> bool:
        """Whether a replica takes for expired what another has just recorded (docs/safety.md, clocks)."""
        offsets = [each.process.wall_offset for each in self.alive]
        return bool(offsets) and max(offsets) - min(offsets) >= self.foundation.remediation.request_ttl

    def disturbed(self) -> bool:
        """Whether a process is stopped, or a call is late."""
        now = self.loop.now
        return self.faults.late_until > now or any(each.process.stopped_until > now for each in self.alive)

    def under_way(self) -> bool:
        """Whether a run is open, a process is stopped, or a call is late."""
        if self.disturbed():
            return True
        return self.journal is not None and self.journal.open_run is not None and not self.lost

    def note(self, text: str) -> None:
        self.trace.append((self.loop.now, text))
