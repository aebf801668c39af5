"""One simulated incident: a foundation, replicas, a person, alerting, and everything that goes wrong; then the judges."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from exporter.config.model import Foundation
from exporter.config.remediation import Mode
from exporter.foundation.view import ProbeResult
from sandbox.cluster.objects import thaw
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.cluster.resources import STATEFULSETS
from sandbox.simulation import settings
from sandbox.simulation.alerting import Alertmanager, Prometheus, Sent
from sandbox.simulation.faults import Faults, Plan
from sandbox.simulation.history import RecordedBox, as_lines
from sandbox.simulation.judge import judge
from sandbox.simulation.loop import SimulatedLoop, StuckError
from sandbox.simulation.people import delete_journal
from sandbox.simulation.replica import EPOCH, Replica, TrueClock
from webhook.operator.run_command import observing
from webhook.record import changes
from webhook.record.journal import Journal, Outcome, PersonRecord
from webhook.requests.decision import request_as_person

BROKEN_AT = 5.0
STORMY = 90.0
"""Seconds in which things go wrong; then every fault is cleared, but for what a person decided."""
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
    lines: list[tuple[float, str]]
    points: list[str]


class Incident:
    """Plays one incident on a loop of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(plan.seed)
        self.loop = SimulatedLoop(Random(plan.seed + 1))
        self.faults = Faults(plan, self.loop, Random(plan.seed + 2))
        self.loop.before_step = self.faults.before_step
        self.replicas: list[Replica] = []
        self.trace: list[tuple[float, str]] = []
        self.lost = False
        self._helpers: list[asyncio.Task[None]] = []

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
        journal = history.journal
        return Report(
            plan=self.plan,
            violations=found,
            outcomes=tuple(str(run.outcome or "open") for run in journal.runs) if journal else (),
            deletes=len(history.deleted),
            calls=self.faults.calls,
            steps=self.faults.steps,
            faults=self.faults.used,
            seconds=self.loop.now,
            lines=sorted(as_lines(history) + self.faults.trace + self.trace, key=lambda item: item[0]),
            points=self.faults.points,
        )

    async def _main(self, problems: list[str]) -> None:
        made, timing, config = settings.cluster(self.random) if self.plan.random else settings.reference()
        self.foundation = settings.foundation(self.random, **config)
        self.clock = TrueClock(self.loop)
        seed = self.random.getrandbits(32)
        self.box = RecordedBox(clock=self.clock, epoch=EPOCH, foundation=made, timing=timing, seed=seed)
        count = self.random.choice((1, 2, 2, 3)) if self.plan.random else 2
        for number in range(count):
            self._start(f"replica-{number}")
        managers = [Alertmanager(self._deliver, self.clock.now, self.random) for _ in range(2)]
        proms = [Prometheus(self._down, self.clock.now, managers) for _ in range(2)]
        tasks = [asyncio.create_task(each.run()) for each in managers]
        tasks += [asyncio.create_task(each.run()) for each in proms]
        tasks.append(asyncio.create_task(self._restarts()))
        storm = asyncio.create_task(self._storm(managers, proms))
        await asyncio.sleep(BROKEN_AT)
        self._break()
        await asyncio.sleep(STORMY if self.plan.random else 1.0)
        storm.cancel()
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
            dial=self._dial,
            random=self.random,
        )
        if self.plan.random and self.random.random() < 0.2:
            replica.process.wall_offset = self.random.choice((-7200.0, -40.0, -3.0, 3.0, 40.0, 7200.0))
        self.replicas.append(replica)

    async def _restarts(self) -> None:
        """As a Deployment does: a process that died is started again."""
        while True:
            await asyncio.sleep(1.0)
            while self.faults.crashed:
                dead = self.faults.crashed.pop()
                name = dead.name.partition(".")[0]
                if name.startswith("replica"):
                    await asyncio.sleep(self.random.uniform(0.5, 8.0))
                    self._start(name)

    @property
    def _alive(self) -> list[Replica]:
        return [each for each in self.replicas if each.process.alive]

    async def _deliver(self, alert: Sent, firing: bool) -> int | None:
        alive = self._alive
        if not alive:
            return None
        replica = self.random.choice(alive)
        return await replica.deliver(starts_at=alert.starts_at, ends_at=alert.ends_at, firing=firing)

    def _down(self) -> bool:
        """As the exporter's gauge: whether a connection to the Service fails."""
        self.box.catch_up()
        dialled = self.box.cluster.network.dial("", self.foundation.bbs.host, self.foundation.bbs.port)
        return dialled.outcome is not Dialled.OPEN

    async def _dial(self, host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
        return await self.box.dial(host, port, timeout=timeout)

    def _reachable(self) -> bool:
        """Whether every api pod reaches the BBS: the truth, not a measurement."""
        self.box.catch_up()
        names = [pod.name for pod in self.box.cluster.kubelet.pods if pod.name.startswith("api-")]
        dial = self.box.cluster.network.dial
        host, port = self.foundation.bbs.host, self.foundation.bbs.port
        return bool(names) and all(dial(name, host, port).outcome is Dialled.OPEN for name in names)

    # ---- what happens

    def _note(self, text: str) -> None:
        self.trace.append((self.loop.now, text))

    def _break(self) -> None:
        self._note("the lock database goes silent for 4 s: the active BBS is wedged for good")
        self.box.fault("locket-db-down")
        self.loop.call_later(4.0, self.box.fault, "locket-db-up")

    async def _storm(self, managers: list[Alertmanager], proms: list[Prometheus]) -> None:
        events = self._events(managers, proms)
        for _ in range(self.random.choice((0, 1, 1, 2, 3, 5)) if self.plan.random else 0):
            await asyncio.sleep(self.random.uniform(0.0, STORMY / 3))
            name = self.random.choice(list(events))
            self._note(f"event: {name}")
            await events[name]()

    def _events(
        self, managers: list[Alertmanager], proms: list[Prometheus]
    ) -> "dict[str, Callable[[], Awaitable[None]]]":
        box, random = self.box, self.random

        def fault(name: str, argument: str = "") -> Callable[[], Awaitable[None]]:
            async def apply() -> None:
                box.fault(name, argument)

            return apply

        async def for_a_while(start: Callable[[], None], end: Callable[[], None]) -> None:
            start()
            await asyncio.sleep(random.choice((1.0, 5.0, 12.0, 20.0, 40.0)))
            end()

        async def api_hangs() -> None:
            await for_a_while(lambda: box.mishaps.set(hanging=True), lambda: box.mishaps.set(hanging=False))

        async def api_dies() -> None:
            await for_a_while(lambda: box.mishaps.set(killed=True), lambda: box.mishaps.set(killed=False))

        async def blind() -> None:
            box.cluster.faults.blind[""] = random.choice((Dialled.TIMEOUT, Dialled.REFUSED))

        async def recovers() -> None:
            name = random.choice(("diego-api-0", "diego-api-1"))
            box.fault("crash", name)

        async def compacted() -> None:
            box.cluster.forget_history()

        async def reload() -> None:
            for replica in self._alive:
                replica.reload(self._reloaded())

        async def mute() -> None:
            random.choice(proms).blind = True

        async def cut() -> None:
            random.choice(managers).cut = True

        async def journal_deleted() -> None:
            self.lost = True
            self._delete_journal()

        events: dict[str, Callable[[], Awaitable[None]]] = {
            name: fault(name)
            for name in (
                "freeze-label",
                "label-all",
                "label-none",
                "split-brain",
                "no-nc",
                "lock-elsewhere",
                "unhealthy",
            )
        }
        events |= {f"{name} diego-api-1": fault(name, "diego-api-1") for name in ("stuck", "never-ready")}
        events |= {
            "api hangs": api_hangs, "api dies": api_dies, "own probes are blind": blind, "a BBS recovers": recovers,
            "compaction": compacted, "reload": reload, "one Prometheus has no data": mute,
            "one Alertmanager is cut off": cut, "the journal is deleted": journal_deleted,
            "pause": self._pause, "exclude": self._exclude, "a person runs": self._person(observe=False),
            "a person observes": self._person(observe=True),
        }  # fmt: skip
        return events

    def _reloaded(self) -> Foundation:
        mode = self.random.choice((Mode.OBSERVE, Mode.AUTO, Mode.APPROVE))
        remediation = self.foundation.remediation.model_copy(update={"mode": mode})
        return self.foundation.model_copy(update={"remediation": remediation})

    def _delete_journal(self) -> None:
        delete_journal(self.box)

    async def _pause(self) -> None:
        await self._change(lambda journal: changes.pause(journal, by="ann", reason="storm", now=self._now()))

    async def _exclude(self) -> None:
        self.box.catch_up()
        name = self.foundation.diego_api.statefulset[0]
        found = self.box.cluster.store.get(STATEFULSETS, self.box.namespace, name)
        if found is None:
            return
        body = thaw(found)
        body["metadata"].setdefault("annotations", {})["diego-medic/exclude"] = "ann: storm"
        self.box.cluster.registry.update(STATEFULSETS, self.box.namespace, name, body)
        self.box.history.excluded.append((self.loop.now, True))

    def _person(self, *, observe: bool) -> Callable[[], Awaitable[None]]:
        async def asks() -> None:
            foundation = observing(self.foundation) if observe else self.foundation
            person = PersonRecord(by="ann@desk", at=self._now(), observe=observe)
            cli = Replica(
                f"cli.{len(self.replicas)}",
                loop=self.loop,
                box=self.box,
                faults=self.faults,
                foundation=foundation,
                timings=settings.TIMINGS,
                dial=self._dial,
                random=self.random,
                executes=lambda run: not observe or run.person == person,
                decides=lambda request: request.person == person,
            )
            self.replicas.append(cli)
            await asyncio.sleep(0.5)
            await self._change_by(cli, lambda journal: request_as_person(journal, person, foundation)[0])
            self._helpers.append(asyncio.create_task(self._leave(cli, person)))

        return asks

    async def _leave(self, cli: Replica, person: PersonRecord) -> None:
        """A command ends with its run, or where its request was dropped."""
        while cli.process.alive:
            await asyncio.sleep(2.0)
            journal = self.box.history.journal
            mine = [run for run in journal.runs if run.person == person] if journal is not None else []
            waits = journal is not None and journal.request is not None and journal.request.person == person
            joined = journal is not None and journal.open_run is not None and not person.observe
            if not waits and not joined and all(run.outcome is not None for run in mine):
                self.loop.kill(cli.process)

    async def _change(self, change: Callable[[Journal], Journal]) -> None:
        alive = self._alive
        if alive:
            await self._change_by(self.random.choice(alive), change)

    async def _change_by(self, replica: Replica, change: Callable[[Journal], Journal]) -> None:
        async def work() -> None:
            medic = replica.medics.get("cf")
            if medic is not None:
                await medic.store.update(lambda journal: (change(journal), None))

        try:
            async with asyncio.timeout(20):
                await replica.run_inside(work())
        except Exception as error:  # noqa: BLE001 - a person's command may fail like any other
            self._note(f"a command failed: {error!r}")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    # ---- the end

    def _calm(self, managers: list[Alertmanager], proms: list[Prometheus]) -> None:
        """From now on nothing goes wrong any more."""
        self._note("calm")
        self.faults.active = self.plan.random is False
        self.box.mishaps.clear()
        for manager in managers:
            manager.cut = False
        for prom in proms:
            prom.blind = False
        if self.plan.random:
            self.box.cluster.faults.blind.clear()
            self.box.fault("clear")
            for replica in self._alive:
                replica.reload(self.foundation)

    async def _settle(self, problems: list[str]) -> None:
        """Waits until it is repaired and no run is open; or finds out what keeps it."""
        deadline = self.loop.now + BOUND
        quiet = 0.0
        while self.loop.now < deadline:
            await asyncio.sleep(2.0)
            journal = self.box.history.journal
            settled = journal is None or journal.open_run is None
            quiet = quiet + 2.0 if settled and (self._reachable() or self._forbidden(journal)) else 0.0
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
