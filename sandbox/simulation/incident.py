"""One simulated incident, from the break to the calm; then the judges."""

import asyncio
import gc
from dataclasses import dataclass

from sandbox.simulation.faults import Plan
from sandbox.simulation.history import as_lines
from sandbox.simulation.judge import judge
from sandbox.simulation.loop import StuckError
from sandbox.simulation.stage import Stage
from sandbox.simulation.storm import DURATION as STORM
from sandbox.simulation.storm import Storm
from webhook.record.journal import Outcome

BROKEN_AT = 2.0
LONG = 170.0
"""Seconds until the calm where a run has to get far: a lease that runs out, and what is outstanding, take 75 s."""
STEP = 3.0
"""Seconds between two looks at whether it is over."""
REST, FORBIDDEN_REST = 6.0, 39.0
"""Seconds without anything under way after which the storm is over."""
BOUND = 400.0
"""Seconds after the storm, and after the last process went on, within which a foundation that stays broken must be
repaired: lease, alerting with its `resolved` window, retry, cooldown, a run. A run must end as soon after its begin."""


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
        self.stage = Stage(plan)

    def play(self) -> Report:
        """Returns what it came to; never raises for what the simulated programs did."""
        stage, problems = self.stage, list[str]()
        collecting = gc.isenabled()
        gc.disable()  # what a killed process left behind is collected when nobody can notice any more
        try:
            stage.loop.run_until_complete(self._main(problems))
        except StuckError as error:
            problems.append(f"the simulation is stuck: {error}")
        finally:
            if collecting:
                gc.enable()
        history = stage.box.history
        history.skewed |= stage.faults.skewed
        found = judge(history, stage.foundation) + problems
        for replica in stage.replicas:
            found += [f"{replica.name}: a medic crashed: {error!r}" for error in replica.crashes]
        found += [f"a callback failed: {each.get('exception')!r}" for each in stage.loop.failures]
        journal = history.journal
        return Report(
            plan=self.plan,
            violations=found,
            outcomes=tuple(str(run.outcome or "open") for run in journal.runs) if journal else (),
            deletes=len(history.deleted),
            calls=stage.faults.calls,
            steps=stage.loop.steps,
            faults=stage.faults.used,
            seconds=stage.loop.now,
        )

    def lines(self) -> list[tuple[float, str]]:
        """The time line: what happened, and when."""
        stage = self.stage
        return sorted(as_lines(stage.box.history) + stage.faults.trace + stage.trace, key=lambda item: item[0])

    async def _main(self, problems: list[str]) -> None:
        stage = self.stage
        for number in range(stage.count):
            stage.start(f"replica-{number}")
        tasks = [asyncio.create_task(each.run()) for each in stage.managers]
        tasks += [asyncio.create_task(each.run()) for each in stage.proms]
        storm = Storm(stage)
        blowing = asyncio.create_task(storm.run())
        await asyncio.sleep(BROKEN_AT)
        self._break()
        await self._blow_over(storm)
        blowing.cancel()
        await asyncio.wait([blowing])
        if not blowing.cancelled():
            blowing.result()  # a defect of the storm itself
        self._calm()
        await self._settle(problems)
        for task in tasks:
            task.cancel()

    def _break(self) -> None:
        self.stage.note("the lock database goes silent for 4 s: the active BBS is wedged for good")
        self.stage.box.fault("locket-db-down")
        self.stage.loop.call_later(4.0, self.stage.box.fault, "locket-db-up")

    async def _blow_over(self, storm: Storm) -> None:
        """Waits until the storm has done all it can: nothing is under way, and nothing will begin by itself."""
        stage = self.stage
        if not self.plan.random:
            return
        end = stage.loop.now + (LONG if stage.faults.focused else STORM)
        rest = 0.0
        while stage.loop.now < end:
            await asyncio.sleep(STEP)
            if stage.under_way() or not storm.over:
                rest = 0.0
                continue
            journal, reachable = stage.journal, stage.reachable()
            rests = stage.forbidden() or (reachable and (journal is None or journal.request is None))
            rest = rest + STEP if rests else 0.0
            if rest >= (REST if reachable else FORBIDDEN_REST):
                break

    def _calm(self) -> None:
        """From now on nothing goes wrong any more, but for the faults that were chosen."""
        stage = self.stage
        stage.note("calm")
        stage.faults.active = False
        stage.box.watchers.clear()
        stage.box.mishaps.clear()
        for manager in stage.managers:
            manager.cut = False
        for prom in stage.proms:
            prom.blind = False
        if not self.plan.random:
            return
        stage.box.cluster.queue.available = True
        stage.box.cluster.faults.blind.clear()
        stage.box.fault("clear")
        for replica in stage.alive:
            if stage.lost or replica.foundation is not stage.foundation:
                replica.reload(stage.foundation)

    async def _settle(self, problems: list[str]) -> None:
        """Waits until it is repaired and nothing is under way; or finds out what keeps it."""
        stage = self.stage
        deadline = stage.loop.now + BOUND
        quiet = 0.0
        while stage.loop.now < deadline and quiet < REST:
            await asyncio.sleep(STEP)
            if stage.disturbed():
                deadline = stage.loop.now + BOUND
            fine = not stage.under_way() and (stage.reachable() or stage.forbidden())
            quiet = quiet + STEP if fine else 0.0
        journal, reachable = stage.journal, stage.reachable()
        forbidden, misled = stage.forbidden(), stage.misled()
        if journal is not None and journal.open_run is not None and not await self._ends(journal.open_run.id):
            problems.append(f"run {journal.open_run.id} did not end within {BOUND:g} s of its begin and of calm")
        if not reachable and not forbidden and not misled:
            problems.append(f"the foundation is still broken after {BOUND:g} s of calm, and nothing forbids a run")
        last = journal.runs[-1] if journal is not None and journal.runs else None
        if last is not None and last.outcome is Outcome.RECOVERED and not reachable and not self.plan.random:
            problems.append("recovered is claimed, and the BBS is not reachable")

    async def _ends(self, run: str) -> bool:
        """Whether this run ends within its bound, or the journal is lost: one that has just begun needs its time."""
        stage = self.stage
        begun = next(each.at for each in stage.box.history.written if each.journal.find(run) is not None)
        while (
            not stage.lost
            and stage.journal is not None
            and (each := stage.journal.open_run) is not None
            and each.id == run
        ):
            if stage.loop.now >= begun + BOUND:
                return False
            await asyncio.sleep(STEP)
        return True
