"""A run's record: each step before it is taken and after it, and its end, whatever the API server does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from exporter.kubernetes.api import ApiError
from tests.support.executing import (
    RECOVERED,
    STEP,
    UIDS,
    Bench,
    bench,
    holding_on,
    listed,
    now,
    open_run,
    says,
    unreachable,
    withdraw,
)
from tests.support.foundations import foundation
from tests.support.memory_writer import JOURNAL, MemoryWriter
from tests.support.moments import at
from webhook.record import journal as journals
from webhook.record.journal import MAX_TEXT, Outcome, Run, Step, StepRecord, StepResult
from webhook.record.store import FencedError, JournalLostError, Store
from webhook.runbook.execution import End

pytestmark = pytest.mark.looptime


@pytest.fixture
async def at_work() -> AsyncIterator[Bench]:
    """A run that has deleted nothing yet, whose lease goes on being renewed."""
    made = await bench()
    renewal = holding_on(made.held)
    yield made
    renewal.cancel()


@pytest.fixture
async def disruptive() -> AsyncIterator[Bench]:
    """A run that has deleted one of its two pods."""
    made = await bench(open_run(pods=listed(intended=1, answered=1)))
    renewal = holding_on(made.held)
    yield made
    renewal.cancel()


async def test_a_step_is_on_record_before_it_is_taken_and_after_it(at_work: Bench) -> None:
    async def work() -> str:
        during.append(at_work.on_record())
        return await says()

    during: list[Run] = []
    await at_work.execution.step(STEP, work)

    assert [run.step for run in during] == [STEP]
    assert [run.steps for run in during] == [(StepRecord(name=STEP, started=at(0)),)]
    assert at_work.on_record().steps == (
        StepRecord(name=STEP, started=at(0), ended=at(1), result=StepResult.OK, detail="as it is"),
    )
    assert at_work.metric("steps_total", step=STEP, result="ok") == 1
    assert at_work.metric("step_duration_seconds_sum", step=STEP) == 1


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
async def test_the_step_that_ends_the_run_ends_with_it(at_work: Bench, outcome: Outcome, expected: StepResult) -> None:
    async def work() -> str:
        await asyncio.sleep(1)
        raise End(outcome, "reason", "in words")

    with pytest.raises(End) as end:
        await at_work.execution.step(STEP, work)
    await at_work.execution.end(end.value)

    (step,) = at_work.on_record().steps
    assert (step.result, step.detail, step.ended) == (expected, "in words", at(1))
    assert at_work.metric("steps_total", step=STEP, result=expected) == 1


async def test_a_defect_ends_its_step_as_failed(at_work: Bench) -> None:
    async def work() -> str:
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError):
        await at_work.execution.step(STEP, work)
    await at_work.execution.end(End(Outcome.UNPROVEN, "internal-error"))

    (step,) = at_work.on_record().steps
    assert (step.result, step.detail) == (StepResult.FAILED, "ZeroDivisionError: a defect")


@pytest.mark.parametrize(
    "interruption", [FencedError("later holder"), JournalLostError("gone"), asyncio.CancelledError()]
)
async def test_a_step_that_is_interrupted_stays_open_for_whoever_takes_it_up(
    at_work: Bench, interruption: BaseException
) -> None:
    async def work() -> str:
        raise interruption

    with pytest.raises(type(interruption)):
        await at_work.execution.step(STEP, work)
    assert [step.ended for step in at_work.on_record().steps] == [None]
    assert at_work.metric("steps_total", step=STEP, result="interrupted") == 1
    assert at_work.metric("steps_total", step=STEP, result="failed") == 0

    await asyncio.sleep(1)
    successor = await bench(cluster=at_work.cluster)
    await successor.execution.step(STEP, says)

    assert [(step.name, step.result) for step in successor.on_record().steps] == [
        (STEP, StepResult.INTERRUPTED),
        (STEP, StepResult.OK),
    ]


async def test_steps_follow_each_other(at_work: Bench) -> None:
    for step in (Step.RESTART, Step.AWAIT_READY, Step.RESTART):
        await at_work.execution.step(step, says)

    assert [step.name for step in at_work.on_record().steps] == [Step.RESTART, Step.AWAIT_READY, Step.RESTART]
    assert at_work.on_record().step == Step.RESTART


async def test_a_step_whose_record_was_not_confirmed_is_there_once(at_work: Bench) -> None:
    """The answer to the write is lost, at its beginning and at its end."""
    at_work.writer.fail("update configmaps", effective=True)
    await at_work.execution.step(STEP, says)
    at_work.writer.fail("update configmaps", effective=True, times=2)
    await at_work.execution.step(Step.RESTART, says)

    assert [(step.name, step.result) for step in at_work.on_record().steps] == [
        (STEP, StepResult.OK),
        (Step.RESTART, StepResult.OK),
    ]


async def test_a_step_that_was_recorded_and_not_taken_does_not_stay_open(at_work: Bench) -> None:
    """No answer comes to its beginning, which is on record all the same; and the run ends with that."""
    await at_work.execution.checkpoint()
    at_work.writer.fail("get configmaps", times=-1)
    at_work.writer.fail("update configmaps", effective=True)
    with pytest.raises(End) as end:
        await at_work.execution.step(STEP, says)
    at_work.writer.heal()

    await at_work.execution.end(end.value)

    assert [(step.name, step.result) for step in at_work.on_record().steps] == [(STEP, StepResult.INTERRUPTED)]


async def test_what_others_write_meanwhile_is_not_lost(at_work: Bench) -> None:
    other = Store(name=JOURNAL, foundation="cf", writer=MemoryWriter(at_work.cluster))

    async def work() -> str:
        await other.update(lambda journal: (journals.note(journal, "an alert", at(0)), None))
        withdraw(at_work)
        return "done"

    await at_work.execution.step(STEP, work)

    assert [each.text for each in at_work.cluster.journal().notes] == ["an alert"]
    assert at_work.on_record().alerts == at_work.execution.run.alerts == {"a": False}


async def test_words_are_cut_to_what_a_journal_bears(at_work: Bench) -> None:
    await at_work.execution.step(STEP, lambda: says("x" * 10_000))
    await at_work.execution.end(End(Outcome.FAILED, "r" * 10_000, "d" * 10_000))

    run = at_work.on_record()
    assert [len(text) for text in (run.steps[0].detail, run.reason, run.detail)] == [MAX_TEXT] * 3


# ---- the end


async def test_the_end_is_on_record_counted_and_announced(at_work: Bench) -> None:
    await at_work.execution.step(STEP, says)

    ended = await at_work.execution.end(End(Outcome.FAILED, "no-active-label", "nobody leads"))

    assert ended == at_work.on_record()
    assert (ended.outcome, ended.reason, ended.detail, ended.ended) == (
        Outcome.FAILED,
        "no-active-label",
        "nobody leads",
        at(1),
    )
    assert at_work.metric("runs_total", runbook="restart-diego-api", outcome="failed") == 1
    assert [(event["type"], event["reason"], event["message"]) for event in at_work.cluster.events] == [
        ("Warning", "RunEnded", "run cf-1 ended: failed, no-active-label")
    ]


async def test_an_end_whose_answer_was_lost_is_counted_once(at_work: Bench) -> None:
    at_work.writer.fail("update configmaps", effective=True)

    ended = await at_work.execution.end(RECOVERED)

    assert ended == at_work.on_record()
    assert at_work.metric("runs_total", runbook="restart-diego-api", outcome="recovered") == 1
    assert len(at_work.cluster.events) == 1


async def test_the_end_is_written_however_long_it_takes(at_work: Bench) -> None:
    unreachable(at_work, seconds=3600)

    await at_work.execution.end(End(Outcome.UNPROVEN, "api-unreachable"))

    assert 3600 <= now() < 3610
    assert (at_work.on_record().outcome, at_work.on_record().ended) == (Outcome.UNPROVEN, at(0))


async def test_an_event_that_can_not_be_made_is_done_without(at_work: Bench) -> None:
    at_work.writer.fail("create events", ApiError(403, "Forbidden", "events"))

    assert (await at_work.execution.end(RECOVERED)).outcome is Outcome.RECOVERED


async def test_an_event_costs_three_seconds_at_most(at_work: Bench) -> None:
    at_work.writer.before = lambda call: (
        setattr(at_work.writer, "latency", lambda: 3600.0) if "events" in call else None
    )

    await at_work.execution.end(RECOVERED)

    assert now() == 3


async def test_a_disruptive_end_cools_down_and_may_open_the_breaker() -> None:
    settings = foundation(remediation={"mode": "auto", "breaker": {"runs": 1, "window": "6h"}})
    made = await bench(settings=settings)
    await made.execution.intend(UIDS[0])
    await asyncio.sleep(5)

    await made.execution.end(RECOVERED)

    journal = made.cluster.journal()
    assert [(each.started, each.ended) for each in journal.disruptions] == [(at(0), at(5))]
    assert journal.breaker_open == at(5)


async def test_once_pods_are_gone_the_record_is_waited_for(disruptive: Bench) -> None:
    unreachable(disruptive, seconds=600)

    await disruptive.execution.step(Step.AWAIT_READY, says)

    assert 600 <= now() < 620
    assert [step.result for step in disruptive.on_record().steps] == [StepResult.OK]


async def test_a_step_that_could_not_be_recorded_is_not_taken(at_work: Bench) -> None:
    unreachable(at_work)
    taken: list[bool] = []

    async def work() -> str:
        taken.append(True)
        return ""

    with pytest.raises(End) as end:
        await at_work.execution.step(STEP, work)

    assert (end.value.reason, taken) == ("api-unreachable", [])
    assert "no answer within" in end.value.detail
