"""The medics at work, in virtual time: incidents from the request to the end, whoever dies on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from exporter.config import Config, Foundation
from tests.support.foundations import foundation
from tests.support.medics import FAST, RESTART, BrokenFoundation, Program
from tests.support.memory_writer import JOURNAL, TIMED_OUT
from tests.support.moments import at, firing, person
from webhook import journal as journals
from webhook.decision import ask, ask_as_person
from webhook.journal import Journal, Outcome, Run, Step, StepResult
from webhook.kube import LeaseSpec
from webhook.lease import DURATION
from webhook.medic import POLL_INTERVAL, Medic
from webhook.medics import JOURNAL_AGE, Medics

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time

HEALED_IN = 60.0
"""Seconds within which an incident is over, by the settings of these tests."""


@pytest.fixture
def cluster() -> BrokenFoundation:
    return BrokenFoundation()


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
        while not (runs := _runs(cluster)) or runs[-1].outcome is None:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)
    return runs[-1]


def _runs(cluster: BrokenFoundation) -> tuple[Run, ...]:
    return cluster.journal().runs if JOURNAL in cluster.config_maps else ()


async def reaches(cluster: BrokenFoundation, step: Step) -> None:
    async with asyncio.timeout(HEALED_IN):
        while not (runs := _runs(cluster)) or runs[-1].step is not step:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)


# ---- one medic


async def test_an_incident_is_healed(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, run.reason, run.asked_by, run.executor) == (Outcome.RECOVERED, "", "Alert-a", "a")
    assert [step.name for step in run.steps] == list(Step)
    assert {step.result for step in run.steps} == {StepResult.OK}
    assert cluster.deletes == [("diego-api-0", "diego-api-0-uid"), ("diego-api-1", "diego-api-1-uid")]
    assert [(pod.name, pod.uid) for pod in run.pods] == cluster.deletes
    assert program.metric("diego_remediation_decisions_total", decision="run", reason="asked") == 1
    assert program.metric("diego_remediation_runs_total", runbook="restart-diego-api", outcome="recovered") == 1


async def test_where_the_bbs_is_reachable_nothing_is_done(cluster: BrokenFoundation) -> None:
    """The control case."""
    for number in range(2):
        cluster.replace_pod(f"diego-api-{number}")
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, cluster.deletes) == (Outcome.NOT_NEEDED, [])


async def test_while_nothing_is_asked_it_waits(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(600)

    assert (_runs(cluster), cluster.deletes) == ((), [])
    assert program.writer.calls["update configmaps"] + program.writer.calls["create configmaps"] == 1


async def test_a_holder_puts_its_epoch_on_record_before_anything_else(cluster: BrokenFoundation) -> None:
    """So that whoever held the lease before is stopped from then on."""
    cluster.put_journal(Journal(foundation="cf", epoch=4))
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(DURATION + 5)
        assert program.metric("diego_webhook_leader") == 1

    assert cluster.journal().epoch == 5
    assert program.metric("diego_webhook_leader") == 0


async def test_what_is_wanted_is_executed_when_its_time_comes(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        cluster.healing = False
        await alert(program)
        failed = await ended(cluster, within=900)
        await asyncio.sleep(300)
        cluster.healing = True
        await alert(program)
        waiting = cluster.journal().request
        began = now()
        async with asyncio.timeout(1000):
            while len(_runs(cluster)) < 2:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.1)

    assert (failed.outcome, failed.reason) == (Outcome.FAILED, "unreachable")
    assert waiting is not None
    assert waiting.waits_for == "cooldown"
    assert 600 <= now() - began <= 600 + 2 * POLL_INTERVAL
    assert program.metric("diego_remediation_decisions_total", decision="run", reason="asked") == 2


async def test_a_person_is_answered_as_alerts_are(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await program.store.update(lambda before: ask_as_person(before, person(0, observe=True), program.settings))
        run = await ended(cluster)

    assert (run.outcome, run.person, cluster.deletes) == (Outcome.OBSERVED, person(0, observe=True), [])


async def test_an_api_server_that_comes_back_is_no_reason_to_begin_anew(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    program.writer.fail("get configmaps", times=-1)
    async with working(program):
        await asyncio.sleep(60)
        assert (program.medic.tried, program.store.journal) == (True, None)
        assert cluster.leases == {}, "without the journal its epoch is not known"

        program.writer.heal()
        await alert(program)
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_lost_answer_to_the_opening_of_a_run_leaves_one_run(
    cluster: BrokenFoundation, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        await alert(program)
        program.writer.fail("update configmaps", effective=True)
        run = await ended(cluster)

    assert [each.outcome for each in _runs(cluster)] == [Outcome.RECOVERED]
    assert len(cluster.deletes) == 2
    assert run.executor == "a"
    assert "the API server is out of reach" in caplog.text
    assert "the medic failed" not in caplog.text


async def test_a_lease_that_was_deleted_is_taken_again(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        cluster.leases.clear()
        await asyncio.sleep(2 * DURATION)
        assert program.metric("diego_webhook_leader") == 1

        await alert(program)
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_run_is_not_opened_by_who_does_not_trust_its_lease(cluster: BrokenFoundation) -> None:
    """The leases can't be renewed any more, though all else goes on."""
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        for call in ("get leases", "update leases"):
            program.writer.fail(call, times=-1)
        await asyncio.sleep(12)
        await alert(program)
        await asyncio.sleep(60)
        assert _runs(cluster) == ()

        program.writer.heal()
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_defect_does_not_end_the_watch(
    cluster: BrokenFoundation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(cluster)
    decide = Medic._decide
    failures = iter([True])

    async def failing(medic: Medic, held: Any) -> Run | None:
        if next(failures, False):
            raise ZeroDivisionError("a defect")
        return await decide(medic, held)

    monkeypatch.setattr(Medic, "_decide", failing)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert run.outcome is Outcome.RECOVERED
    assert "the medic failed" in caplog.text


# ---- journals that can't be used


async def test_nothing_is_done_on_the_journal_of_another(cluster: BrokenFoundation) -> None:
    cluster.put_journal(Journal(foundation="other"), name=JOURNAL)
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(60)

    assert (cluster.journal(), cluster.leases) == (Journal(foundation="other"), {})


async def test_a_journal_that_is_lost_in_the_middle_of_a_run_stops_it(
    cluster: BrokenFoundation, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        del cluster.config_maps[JOURNAL]
        await asyncio.sleep(120)

    assert "the journal is refused" in caplog.text
    assert (cluster.deletes, cluster.config_maps) == ([], {})


# ---- several programs


@pytest.mark.parametrize("step", list(Step))
async def test_a_run_survives_whoever_executes_it(cluster: BrokenFoundation, step: Step) -> None:
    """Killed in each of the steps; another takes the lease, and the run, when the first was silent for long enough."""
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.latency = lambda: 0.1  # so that each step takes its time
    async with working(first) as task:
        await alert(first)
        await reaches(cluster, step)
        await first.kill(task)
    killed = now()
    async with working(second):
        run = await ended(cluster, within=DURATION + HEALED_IN + 10)

    assert run.outcome is Outcome.RECOVERED
    assert now() - killed > DURATION
    assert len(_runs(cluster)) == 1
    assert sorted(cluster.deletes) == [(f"diego-api-{n}", f"diego-api-{n}-uid") for n in range(2)]
    assert StepResult.INTERRUPTED in {each.result for each in run.steps}


async def test_a_program_that_ends_hands_over_at_once(cluster: BrokenFoundation) -> None:
    first, second = Program(cluster), Program(cluster, identity="b")
    async with working(first):
        await alert(first)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
    stopped = now()
    async with working(second):
        await asyncio.sleep(1)
        assert second.metric("diego_webhook_leader") == 1
        run = await ended(cluster)

    assert run.outcome is Outcome.RECOVERED
    assert now() - stopped < DURATION + HEALED_IN
    assert run.executor == "a"


async def test_of_several_programs_one_acts(cluster: BrokenFoundation) -> None:
    programs = [Program(cluster, identity=identity) for identity in "abc"]
    tasks = [asyncio.create_task(program.medic.run()) for program in programs]
    await asyncio.gather(*(alert(program) for program in programs for _ in range(70)))
    run = await ended(cluster)
    await asyncio.sleep(30)
    led = [program.metric("diego_webhook_leader") for program in programs]
    waiting = [program.medic.waits_for for program in programs]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert (run.outcome, len(_runs(cluster)), len(cluster.deletes)) == (Outcome.RECOVERED, 1, 2)
    assert sorted(map(str, led)) == ["0.0", "0.0", "1.0"]
    assert len([each for each in waiting if each.startswith("held by ")]) == 2


async def test_every_program_shows_what_another_does(cluster: BrokenFoundation) -> None:
    acting, showing = Program(cluster), Program(cluster, identity="b")
    async with working(acting), working(showing):
        await alert(acting)
        await ended(cluster)
        await asyncio.sleep(POLL_INTERVAL + 0.1)

        assert showing.store.journal == cluster.journal()


async def test_a_pause_from_elsewhere_stops_a_run(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        cluster.put_journal(journals.pause(cluster.journal(), by="ann", reason="maintenance", now=at(0)))
        run = await ended(cluster)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.REFUSED, "paused", [])


async def test_a_holder_who_was_replaced_opens_no_run(cluster: BrokenFoundation) -> None:
    """It has not noticed yet that another has taken the lease, but the journal knows."""
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(0.5)
        cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="b", lease_duration_seconds=3600, lease_transitions=9))
        asked, _, _ = ask(cluster.journal(), [firing("a")], program.settings, at(0))
        cluster.put_journal(msgspec.structs.replace(asked, epoch=9))
        await asyncio.sleep(60)

    assert (_runs(cluster), cluster.journal().request is not None) == ((), True)


async def test_a_successor_proves_again_before_it_deletes_more(cluster: BrokenFoundation) -> None:
    """The first of two pods was deleted, and that was enough: the second serves by now, and is spared."""
    cluster.enough, cluster.serves = 1, "diego-api-1"
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.latency = lambda: 0.2
    async with working(first) as task:
        await alert(first)
        async with asyncio.timeout(HEALED_IN):
            while not cluster.deletes:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.1)
        await first.kill(task)
    await asyncio.sleep(RESTART)
    async with working(second):
        run = await ended(cluster, within=DURATION + HEALED_IN)

    assert run.outcome is Outcome.RECOVERED
    assert cluster.deletes == [("diego-api-0", "diego-api-0-uid")]
    assert [(pod.answer, pod.deleted) for pod in run.pods] == [("replaced already", True), ("spared", False)]


async def test_a_lease_that_was_taken_away_stops_whoever_had_it(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="b", lease_duration_seconds=3600, lease_transitions=9))
        cluster.put_journal(msgspec.structs.replace(cluster.journal(), epoch=9))
        await asyncio.sleep(300)

        assert program.medic.waits_for == "held by b"
    assert (cluster.deletes, cluster.journal().runs[-1].outcome) == ([], None)


# ---- all medics of a config


class Clinic:
    """`Medics` on foundations in memory, one cluster each."""

    def __init__(self, *names: str) -> None:
        self.programs: dict[str, list[Program]] = {}
        self.clusters: dict[str, BrokenFoundation] = {}
        self.medics = Medics(self.config(*names), build=self._build)

    def config(self, *names: str, **changes: Any) -> Config:
        return Config(foundations=tuple(self.settings(name, **changes) for name in names))

    @staticmethod
    def settings(name: str, **changes: Any) -> Foundation:
        return foundation(name=name, remediation=FAST | changes)

    def _build(self, settings: Foundation, _connections: Any) -> Medic:
        cluster = self.clusters.setdefault(settings.name, BrokenFoundation())
        made = Program(cluster, settings, identity="a")
        self.programs.setdefault(settings.name, []).append(made)
        return made.medic

    def program(self, name: str) -> Program:
        return self.programs[name][-1]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.medics.run())
        try:
            await asyncio.sleep(1)
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()


async def test_every_foundation_has_its_medic() -> None:
    clinic = Clinic("cf", "cf-2")
    assert clinic.medics.not_ready() == "the journals of cf, cf-2 were not read yet"
    async with clinic.open():
        assert clinic.medics.not_ready() is None
        assert [each.name for each in clinic.medics.foundations()] == ["cf", "cf-2"]
        assert set(clinic.medics.by_foundation) == set(clinic.medics.journals()) == {"cf", "cf-2"}
        for name in ("cf", "cf-2"):
            await alert(clinic.program(name))
        for name in ("cf", "cf-2"):
            assert (await ended(clinic.clusters[name])).outcome is Outcome.RECOVERED


async def test_one_dead_api_server_delays_no_other() -> None:
    clinic = Clinic("cf", "dead")
    clinic.program("dead").writer.latency = lambda: 1e9
    async with clinic.open():
        await alert(clinic.program("cf"))
        assert (await ended(clinic.clusters["cf"])).outcome is Outcome.RECOVERED
        assert clinic.medics.not_ready() == "the journals of dead were not read yet"


async def test_a_journal_that_can_not_be_read_is_tried_and_then_not_shown() -> None:
    clinic = Clinic("cf")
    async with clinic.open():
        clinic.program("cf").writer.fail("get configmaps", TIMED_OUT, times=-1)
        await asyncio.sleep(JOURNAL_AGE - POLL_INTERVAL - 1)
        assert set(clinic.medics.journals()) == {"cf"}
        await asyncio.sleep(POLL_INTERVAL + 2)
        assert clinic.medics.journals() == {}
        assert clinic.medics.not_ready() is None


async def test_a_new_config_keeps_what_is_the_same() -> None:
    clinic = Clinic("same", "gone")
    async with clinic.open():
        same, gone = clinic.program("same"), clinic.program("gone")
        before = same.writer.calls["get configmaps"]
        await asyncio.sleep(60)
        a_minute = same.writer.calls["get configmaps"] - before
        clinic.medics.apply(clinic.config("new", "same"))
        await asyncio.sleep(1)

        assert clinic.program("same") is same
        assert [each.name for each in clinic.medics.foundations()] == ["new", "same"]
        assert (same.metric("diego_webhook_leader"), gone.metric("diego_webhook_leader")) == (1, 0)
        assert clinic.program("new").metric("diego_webhook_leader") == 1
        before = same.writer.calls["get configmaps"]
        await asyncio.sleep(60)
        assert same.writer.calls["get configmaps"] - before <= a_minute + 1, "it works twice"
        assert clinic.clusters["gone"].leases["diego-medic-diego-api"].spec.holder_identity == ""


async def test_a_changed_foundation_goes_on_with_its_run() -> None:
    """The new medic has the same identity: it takes the lease at once, and the run where it stands."""
    clinic = Clinic("cf")
    async with clinic.open():
        await alert(clinic.program("cf"))
        await reaches(clinic.clusters["cf"], Step.CONFIRM_UNREACHABLE)
        clinic.medics.apply(clinic.config("cf", cooldown="1h"))
        run = await ended(clinic.clusters["cf"])

        assert len(clinic.programs["cf"]) == 2
        assert clinic.program("cf").metric("diego_webhook_leader") == 1
    assert run.outcome is Outcome.RECOVERED
    assert len(clinic.clusters["cf"].deletes) == 2


async def test_a_config_may_change_before_the_work_begins() -> None:
    clinic = Clinic("cf")
    clinic.medics.apply(clinic.config("cf-2"))
    async with clinic.open():
        assert set(clinic.medics.journals()) == {"cf-2"}
