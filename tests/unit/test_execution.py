"""A run's record: each step before it starts and after it ends, and the run's end, whatever the API server does."""

import asyncio

import pytest

from exporter.kubernetes.api import ApiError
from sandbox.transport import Mishap
from tests.support.bench import RECOVERED, STEP, alerts, bench, returns
from tests.support.foundations import foundation
from tests.support.incident import now
from tests.support.inprocess import JOURNAL, InProcessWriter
from tests.support.moments import at
from webhook.record import changes
from webhook.record.errors import FencedError, JournalLostError
from webhook.record.journal import MAX_TEXT, Outcome, Run, Step, StepRecord, StepResult
from webhook.record.reasons import RunReason
from webhook.record.store import Store
from webhook.runbook.context import EndRun, Verdict

pytestmark = pytest.mark.looptime


async def test_a_step_is_on_record_before_it_starts_and_after_it_ends() -> None:
    made = await bench()
    during: list[Run] = []

    async def work() -> str:
        during.append(made.on_record())
        return await returns()

    await made.execution.step(STEP, work)

    assert [run.step for run in during] == [STEP]
    assert [run.steps for run in during] == [(StepRecord(name=STEP, started=at(0)),)]
    assert made.on_record().steps == (
        StepRecord(name=STEP, started=at(0), ended=at(1), result=StepResult.OK, detail="as it is"),
    )
    assert made.metric("steps_total", step=STEP, result="ok") == 1
    assert made.metric("step_duration_seconds_sum", step=STEP) == 1


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.FAILED, StepResult.FAILED),
        (Outcome.UNPROVEN, StepResult.FAILED),
        (Outcome.NOT_NEEDED, StepResult.STOPPED),
        (Outcome.OBSERVED, StepResult.STOPPED),
        (Outcome.REFUSED, StepResult.STOPPED),
        (Outcome.CANCELLED, StepResult.STOPPED),
    ],
)
async def test_the_step_that_ends_the_run_ends_with_it(outcome: Outcome, expected: StepResult) -> None:
    made = await bench()

    async def work() -> str:
        await asyncio.sleep(1)
        raise EndRun(Verdict(outcome, RunReason.FORBIDDEN, "in words"))

    with pytest.raises(EndRun) as end:
        await made.execution.step(STEP, work)
    await made.execution.end(end.value.verdict)

    (step,) = made.on_record().steps
    assert (step.result, step.detail, step.ended) == (expected, "in words", at(1))
    assert made.metric("steps_total", step=STEP, result=expected) == 1


async def test_a_defect_ends_its_step_as_failed() -> None:
    made = await bench()

    async def work() -> str:
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError):
        await made.execution.step(STEP, work)
    await made.execution.end(Verdict(Outcome.UNPROVEN, RunReason.INTERNAL_ERROR))

    (step,) = made.on_record().steps
    assert (step.result, step.detail) == (StepResult.FAILED, "ZeroDivisionError: a defect")


@pytest.mark.parametrize(
    "interruption", [FencedError("later holder"), JournalLostError("gone"), asyncio.CancelledError()]
)
async def test_a_step_that_is_interrupted_stays_open_for_the_next_holder(interruption: BaseException) -> None:
    made = await bench()

    async def work() -> str:
        raise interruption

    with pytest.raises(type(interruption)):
        await made.execution.step(STEP, work)
    assert [step.ended for step in made.on_record().steps] == [None]
    assert made.metric("steps_total", step=STEP, result="interrupted") == 1
    assert made.metric("steps_total", step=STEP, result="failed") == 0

    await asyncio.sleep(1)
    successor = await bench(cluster=made.cluster)
    await successor.execution.step(STEP, returns)

    assert [(step.name, step.result) for step in successor.on_record().steps] == [
        (STEP, StepResult.INTERRUPTED),
        (STEP, StepResult.OK),
    ]


async def test_steps_follow_each_other() -> None:
    made = await bench()
    for step in (Step.RESTART, Step.AWAIT_READY, Step.RESTART):
        await made.execution.step(step, returns)

    assert [step.name for step in made.on_record().steps] == [Step.RESTART, Step.AWAIT_READY, Step.RESTART]
    assert made.on_record().step == Step.RESTART


async def test_a_step_whose_record_was_not_confirmed_is_there_once() -> None:
    """The answer to the write is lost, at its start and at its end."""
    made = await bench()
    made.writer.fail("update configmaps", effective=True)
    await made.execution.step(STEP, returns)
    made.writer.fail("update configmaps", effective=True, times=2)
    await made.execution.step(Step.RESTART, returns)

    assert [(step.name, step.result) for step in made.on_record().steps] == [
        (STEP, StepResult.OK),
        (Step.RESTART, StepResult.OK),
    ]


async def test_a_step_that_was_recorded_and_did_not_start_does_not_stay_open() -> None:
    """The record of its start is not answered, and is there all the same; the run ends with that."""
    made = await bench()
    await made.execution.checkpoint()
    made.writer.fail("get configmaps", times=-1)
    made.writer.fail("update configmaps", effective=True)
    with pytest.raises(EndRun) as end:
        await made.execution.step(STEP, returns)
    made.writer.recover()

    await made.execution.end(end.value.verdict)

    assert [(step.name, step.result) for step in made.on_record().steps] == [(STEP, StepResult.INTERRUPTED)]


async def test_what_others_write_meanwhile_is_not_lost() -> None:
    made = await bench()
    other = Store(name=JOURNAL, foundation="cf", writer=InProcessWriter(made.cluster))

    async def work() -> str:
        await other.update(lambda journal: (changes.note(journal, "an alert", at(0)), None))
        made.withdraw()
        return "done"

    await made.execution.step(STEP, work)

    assert [each.text for each in made.cluster.journal().notes] == ["an alert"]
    assert made.on_record().alerts == made.execution.run.alerts == alerts(firing=False)


async def test_texts_are_cut_to_what_a_journal_can_hold() -> None:
    made = await bench()
    await made.execution.step(STEP, lambda: returns("x" * 10_000))
    await made.execution.end(Verdict(Outcome.FAILED, RunReason.NOT_READY, "d" * 10_000, place="p" * 10_000))

    run = made.on_record()
    assert [len(text) for text in (run.steps[0].detail, run.reason, run.detail)] == [MAX_TEXT] * 3


# ---- the end


async def test_the_end_is_on_record_counted_and_announced() -> None:
    made = await bench()
    await made.execution.step(STEP, returns)

    run = await made.execution.end(Verdict(Outcome.FAILED, RunReason.NO_ACTIVE_LABEL, "no pod is labelled active"))

    assert run == made.on_record()
    assert (run.outcome, run.reason, run.detail, run.ended) == (
        Outcome.FAILED,
        "no-active-label",
        "no pod is labelled active",
        at(1),
    )
    assert made.metric("runs_total", runbook="restart-diego-api", outcome="failed") == 1
    assert [(event["type"], event["reason"], event["message"]) for event in made.cluster.events] == [
        ("Warning", "RunEnded", "run cf-1: failed, no-active-label")
    ]


async def test_an_end_whose_answer_was_lost_is_counted_once() -> None:
    made = await bench()
    made.writer.fail("update configmaps", effective=True)

    run = await made.execution.end(RECOVERED)

    assert run == made.on_record()
    assert made.metric("runs_total", runbook="restart-diego-api", outcome="recovered") == 1
    assert len(made.cluster.events) == 1


async def test_the_end_is_written_however_long_it_takes() -> None:
    made = await bench()
    made.unreachable(seconds=3600)

    await made.execution.end(Verdict(Outcome.UNPROVEN, RunReason.API_UNREACHABLE))

    assert 3600 <= now() < 3610
    assert (made.on_record().outcome, made.on_record().ended) == (Outcome.UNPROVEN, at(0))


async def test_an_event_that_is_refused_does_not_matter() -> None:
    made = await bench()
    made.writer.fail("create events", ApiError(403, "Forbidden", "events"))

    assert (await made.execution.end(RECOVERED)).outcome is Outcome.RECOVERED


async def test_an_event_costs_three_seconds_at_most() -> None:
    made = await bench()
    made.writer.mishap = lambda request: Mishap(hangs=True) if request.call == "create events" else None

    await made.execution.end(RECOVERED)

    assert now() == pytest.approx(3)


async def test_a_disruptive_end_starts_the_cooldown_and_may_open_the_breaker() -> None:
    made = await bench(settings=foundation(remediation={"mode": "auto", "breaker": {"runs": 1, "window": "6h"}}))
    await made.execution.intend(made.execution.run.pods[0].uid)
    await asyncio.sleep(5)

    await made.execution.end(RECOVERED)

    journal = made.cluster.journal()
    assert [(each.started, each.ended) for each in journal.disruptions] == [(at(0), at(5))]
    assert journal.breaker_opened == at(5)


async def test_once_pods_were_deleted_the_record_is_waited_for() -> None:
    made = await bench(deleted=1)
    made.unreachable(seconds=600)

    await made.execution.step(Step.AWAIT_READY, returns)

    assert 600 <= now() < 620
    assert [step.result for step in made.on_record().steps] == [StepResult.OK]


async def test_a_step_that_cannot_be_recorded_does_not_start() -> None:
    made = await bench()
    made.unreachable()
    started: list[bool] = []

    async def work() -> str:
        started.append(True)
        return ""

    with pytest.raises(EndRun) as end:
        await made.execution.step(STEP, work)

    assert (end.value.verdict.reason, started) == (RunReason.API_UNREACHABLE, [])
    assert "the journal cannot be reached" in end.value.verdict.detail
