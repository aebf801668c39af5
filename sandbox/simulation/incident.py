"""One simulated incident: a foundation, replicas, people, alerting, and everything that goes wrong; then the judges."""

import asyncio
import gc
from dataclasses import dataclass
from random import Random

from exporter.foundation.view import ProbeResult
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.simulation import settings
from sandbox.simulation.alerting import Alertmanager, Prometheus, Sent
from sandbox.simulation.faults import Faults, Plan
from sandbox.simulation.history import RecordedBox, as_lines
from sandbox.simulation.judge import judge
from sandbox.simulation.loop import Process, SimulatedLoop, StuckError
from sandbox.simulation.replica import EPOCH, Replica, TrueClock
from sandbox.simulation.storm import DURATION as STORM
from sandbox.simulation.storm import Storm
from webhook.record.journal import Journal, Outcome

BROKEN_AT = 2.0
LONG = 170.0
"""Seconds until the calm where a run has to get far: a lease that runs out, and what is outstanding, take 75 s."""
STEP = 3.0
"""Seconds between two looks at whether it is over."""
REST, FORBIDDEN_REST = 6.0, 39.0
"""Seconds without anything under way after which the storm is over."""
BOUND = 400.0
"""Seconds after the storm within which a foundation that stays broken must be repaired: lease, alerting with its
`resolved` window, retry, cooldown, a run."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an incident came to."""

    plan: Plan
    violations: list[str]
    outcomes: tuple[str, ...]
    deletes: int
    calls: int
    steps: int
    faults: int
    seconds: float


class Incident:
    """Plays one incident on a loop of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(plan.seed)  # noqa: S311 - a seed makes an incident repeatable
        self.loop = SimulatedLoop(Random(plan.seed + 1))  # noqa: S311 - as above
        self.faults = Faults(plan, self.loop, Random(plan.seed + 2))  # noqa: S311 - as above
        self.faults.crashed = self._crashed
        self.replicas: list[Replica] = []
        self.trace: list[tuple[float, str]] = []
        self.lost = False
        self.helpers: list[asyncio.Task[None]] = []

    def play(self) -> Report:
        """Returns what it came to; never raises for what the simulated programs did."""
        collecting = gc.isenabled()
        gc.disable()  # what a killed process left behind is collected when nobody can notice any more
        problems: list[str] = []
        try:
            self.loop.run_until_complete(self._main(problems))
        except StuckError as error:
            problems.append(f"the simulation is stuck: {error}")
        finally:
            if collecting:
                gc.enable()
        history = self.box.history
        found = judge(history, self.foundation) + problems
        for replica in self.replicas:
            found += [f"{replica.name}: a medic crashed: {error!r}" for error in replica.crashes]
        found += [f"a callback failed: {each.get('exception')!r}" for each in self.loop.failures]
        journal = history.journal
        return Report(
            plan=self.plan,
            violations=found,
            outcomes=tuple(str(run.outcome or "open") for run in journal.runs) if journal else (),
            deletes=len(history.deleted),
            calls=self.faults.calls,
            steps=self.loop.steps,
            faults=self.faults.used,
            seconds=self.loop.now,
        )

    def lines(self) -> list[tuple[float, str]]:
        """The time line: what happened, and when."""
        return sorted(as_lines(self.box.history) + self.faults.trace + self.trace, key=lambda item: item[0])

    async def _main(self, problems: list[str]) -> None:
        made, timing, config = settings.cluster(self.random) if self.plan.random else settings.reference()
        self.foundation = settings.foundation(self.random, **config)
        self.clock = TrueClock(self.loop)
        seed = self.random.getrandbits(32)
        self.box = RecordedBox(
            clock=self.clock, epoch=EPOCH, foundation=made, timing=timing, seed=seed, settled=20.0, audited=False
        )
        count = self.random.choice((1, 2, 2, 3)) if self.plan.random else 2
        for number in range(count):
            self._start(f"replica-{number}")
        managers = [Alertmanager(self.deliver, self.clock.now, self.random) for _ in range(2)]
        proms = [Prometheus(self._down, self.clock.now, managers) for _ in range(2)]
        tasks = [asyncio.create_task(each.run()) for each in managers]
        tasks += [asyncio.create_task(each.run()) for each in proms]
        storm = Storm(self, managers, proms)
        blowing = asyncio.create_task(storm.run())
        await asyncio.sleep(BROKEN_AT)
        self._break()
        await self._blow_over(storm)
        blowing.cancel()
        await asyncio.wait([blowing])
        if not blowing.cancelled():
            blowing.result()  # a defect of the storm itself
        self._calm(managers, proms)
        await self._settle(problems)
        for task in tasks:
            task.cancel()

    # ---- the cast

    def _start(self, name: str) -> None:
        incarnation = sum(each.name.startswith(f"{name}.") for each in self.replicas)
        replica = Replica(
            f"{name}.{incarnation}",
            loop=self.loop,
            box=self.box,
            faults=self.faults,
            foundation=self.foundation,
            timings=settings.TIMINGS,
            dial=self.dial,
            random=self.random,
        )
        if self.plan.random and self.random.random() < 0.2:
            replica.process.wall_offset = self.random.choice((-7200.0, -40.0, -3.0, 3.0, 40.0, 7200.0))
            self.box.history.skewed = True
        self.replicas.append(replica)

    def _crashed(self, dead: Process) -> None:
        """As a Deployment does: a process that died is started again."""
        name = dead.name.partition(".")[0]
        if name.startswith("replica"):
            self.loop.call_later(self.random.uniform(0.5, 9.0), self._start, name, context=self.box.context)

    @property
    def alive(self) -> list[Replica]:
        return [each for each in self.replicas if each.process.alive]

    async def deliver(self, alert: Sent, firing: bool) -> int | None:
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

    def _reachable(self) -> bool:
        """Whether every api pod reaches the BBS: the truth, not a measurement."""
        self.box.catch_up()
        names = [pod.name for pod in self.box.cluster.kubelet.pods if pod.name.startswith("api-")]
        dial = self.box.cluster.network.dial
        host, port = self.foundation.bbs.host, self.foundation.bbs.port
        return bool(names) and all(dial(name, host, port).outcome is Dialled.OPEN for name in names)

    # ---- what happens

    def note(self, text: str) -> None:
        self.trace.append((self.loop.now, text))

    def _break(self) -> None:
        self.note("the lock database goes silent for 4 s: the active BBS is wedged for good")
        self.box.fault("locket-db-down")
        self.loop.call_later(4.0, self.box.fault, "locket-db-up")

    # ---- the end

    def _calm(self, managers: list[Alertmanager], proms: list[Prometheus]) -> None:
        """From now on nothing goes wrong any more."""
        self.note("calm")
        self.faults.active = self.plan.random is False
        self.box.watchers.clear()
        self.box.mishaps.clear()
        for manager in managers:
            manager.cut = False
        for prom in proms:
            prom.blind = False
        if self.plan.random:
            self.box.cluster.faults.blind.clear()
            self.box.fault("clear")
            for replica in self.alive:
                if replica.foundation is not self.foundation:
                    replica.reload(self.foundation)

    async def _blow_over(self, storm: Storm) -> None:
        """Waits until the storm has done all it can: nothing is under way, and nothing will begin by itself."""
        if not self.plan.random:
            return
        end = self.loop.now + (LONG if self.faults.focused else STORM)
        rest = 0.0
        while self.loop.now < end:
            await asyncio.sleep(STEP)
            reachable = self._reachable()
            rest = rest + STEP if storm.over and self._rests(reachable=reachable) else 0.0
            if rest >= (REST if reachable else FORBIDDEN_REST):
                break

    def _rests(self, *, reachable: bool) -> bool:
        """Whether nothing is under way: no run, no request, no process that is stopped, no call that is late."""
        journal = self.box.history.journal
        if self.faults.late_until > self.loop.now or any(
            each.process.stopped_until > self.loop.now for each in self.alive
        ):
            return False
        if journal is not None and journal.open_run is not None and not self.lost:
            return False
        return self._forbidden(journal) or (reachable and (journal is None or journal.request is None))

    async def _settle(self, problems: list[str]) -> None:
        """Waits until it is repaired and no run is open; or finds out what keeps it."""
        deadline = self.loop.now + BOUND
        quiet = 0.0
        while self.loop.now < deadline:
            await asyncio.sleep(STEP)
            journal = self.box.history.journal
            settled = journal is None or journal.open_run is None or self.lost
            quiet = quiet + STEP if settled and (self._reachable() or self._forbidden(journal)) else 0.0
            if quiet >= 6.0:
                break
        journal = self.box.history.journal
        if journal is not None and journal.open_run is not None and not self.lost:
            problems.append(f"run {journal.open_run.id} did not end within {BOUND:g} s of calm")
        if not self._reachable() and not self._forbidden(journal):
            problems.append(f"the foundation is still broken after {BOUND:g} s of calm, and nothing forbids a run")
        last = journal.runs[-1] if journal is not None and journal.runs else None
        if last is not None and last.outcome is Outcome.RECOVERED and not self._reachable() and not self.plan.random:
            problems.append("recovered is claimed, and the BBS is not reachable")

    def _forbidden(self, journal: Journal | None) -> bool:
        """Whether a person, or a loss that a person must confirm, forbids the repair."""
        if self.lost or self.box.history.excluded:
            return True
        return journal is not None and (journal.paused is not None or journal.breaker_opened is not None)
