"""Whether a run may go on: at each checkpoint, and by compare-and-swap at each intent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from tests.support.executing import (
    EPOCH,
    RECOVERED,
    UIDS,
    Bench,
    bench,
    ended_by,
    holding_on,
    listed,
    now,
    open_run,
    pause,
    put,
    unreachable,
    withdraw,
)
from tests.support.memory_writer import JOURNAL
from tests.support.moments import at, person
from webhook.record.journal import Outcome
from webhook.record.lease import RENEW_DEADLINE
from webhook.record.store import FencedError, JournalLostError
from webhook.runbook.execution import PATIENCE, End

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


async def test_where_nothing_stands_against_it_a_checkpoint_passes(at_work: Bench, disruptive: Bench) -> None:
    for made in (at_work, disruptive):
        before = made.writer.calls["get configmaps"]
        await made.execution.checkpoint()
        assert made.writer.calls["get configmaps"] == before + 1, "the journal must be read afresh"


async def test_a_pause_refuses_before_the_first_delete(at_work: Bench) -> None:
    pause(at_work)

    assert await ended_by(at_work) == (Outcome.REFUSED, "paused")


async def test_a_pause_stops_further_deletes(disruptive: Bench) -> None:
    pause(disruptive)

    assert await ended_by(disruptive) == (Outcome.FAILED, "paused after 1 of 2")


async def test_resolved_alerts_cancel_before_the_first_delete(at_work: Bench) -> None:
    withdraw(at_work)

    assert await ended_by(at_work) == (Outcome.CANCELLED, "resolved")


async def test_resolved_alerts_do_not_stop_a_restart(disruptive: Bench) -> None:
    withdraw(disruptive)

    await disruptive.execution.checkpoint()


async def test_a_person_does_not_withdraw_as_alerts_do() -> None:
    made = await bench(open_run(person=person(0), alerts={"a": False}))

    await made.execution.checkpoint()


async def test_without_a_valid_lease_nothing_goes_on() -> None:
    made = await bench()
    await asyncio.sleep(RENEW_DEADLINE - 0.1)
    await made.execution.checkpoint()
    await asyncio.sleep(0.1)

    with pytest.raises(FencedError):
        await made.execution.checkpoint()


async def test_a_lease_that_ran_out_while_the_journal_was_read_is_noticed() -> None:
    made = await bench()
    made.writer.latency = lambda: 3.0
    await asyncio.sleep(RENEW_DEADLINE - 2)  # nobody renews it here

    with pytest.raises(FencedError):
        await made.execution.checkpoint()


@pytest.mark.parametrize("call", ["checkpoint", "intend", "save", "end"])
async def test_a_later_holder_fences(at_work: Bench, call: str) -> None:
    put(at_work, msgspec.structs.replace(at_work.cluster.journal(), epoch=EPOCH + 1))
    attempts: dict[str, Callable[[], Awaitable[object]]] = {
        "checkpoint": at_work.execution.checkpoint,
        "intend": lambda: at_work.execution.intend(UIDS[0]),
        "save": lambda: at_work.execution.save(lambda run: msgspec.structs.replace(run, evidence="late")),
        "end": lambda: at_work.execution.end(RECOVERED),
    }
    before = at_work.cluster.journal()

    with pytest.raises(FencedError):
        await attempts[call]()

    assert at_work.cluster.journal() == before


@pytest.mark.parametrize("call", ["checkpoint", "intend", "save", "end"])
async def test_a_run_that_another_has_ended_is_left_alone(at_work: Bench, call: str) -> None:
    ended = open_run(outcome=Outcome.FAILED, ended=at(-1), reason="theirs")
    put(at_work, msgspec.structs.replace(at_work.cluster.journal(), runs=(ended,)))
    attempts: dict[str, Callable[[], Awaitable[object]]] = {
        "checkpoint": at_work.execution.checkpoint,
        "intend": lambda: at_work.execution.intend(UIDS[0]),
        "save": lambda: at_work.execution.save(lambda run: run),
        "end": lambda: at_work.execution.end(End(Outcome.FAILED, "ours")),
    }

    with pytest.raises(FencedError, match="not open any more"):
        await attempts[call]()

    assert at_work.on_record() == ended


async def test_a_lost_journal_is_told(at_work: Bench) -> None:
    await at_work.execution.checkpoint()
    del at_work.cluster.config_maps[JOURNAL]

    with pytest.raises(JournalLostError):
        await at_work.execution.checkpoint()


@pytest.mark.parametrize("call", ["checkpoint", "intend"])
async def test_an_api_server_out_of_reach_proves_nothing(at_work: Bench, call: str) -> None:
    unreachable(at_work)

    assert await ended_by(at_work, call) == (Outcome.UNPROVEN, "api-unreachable")
    assert RENEW_DEADLINE <= now() < RENEW_DEADLINE + 10
    assert at_work.cluster.journal().disruptions == ()


async def test_once_pods_are_gone_an_api_server_out_of_reach_is_a_failure(disruptive: Bench) -> None:
    unreachable(disruptive)

    assert await ended_by(disruptive) == (Outcome.FAILED, "deadline")
    assert PATIENCE <= now() < PATIENCE + 10


async def test_a_short_outage_is_waited_for(at_work: Bench) -> None:
    unreachable(at_work, seconds=5)

    await at_work.execution.checkpoint()
    assert 5 <= now() < RENEW_DEADLINE


# ---- intents


async def test_an_intent_is_on_record(at_work: Bench) -> None:
    await at_work.execution.intend(UIDS[1])

    assert [pod.intent for pod in at_work.on_record().pods] == [None, at(0)]
    assert at_work.execution.run == at_work.on_record()
    assert [each.run for each in at_work.cluster.journal().disruptions] == ["cf-1"]


async def test_an_intent_whose_answer_was_lost_counts_once(at_work: Bench) -> None:
    at_work.writer.fail("update configmaps", effective=True)

    await at_work.execution.intend(UIDS[0])
    await at_work.execution.intend(UIDS[1])

    assert len(at_work.cluster.journal().disruptions) == 1
    assert all(pod.intent for pod in at_work.on_record().pods)


@pytest.mark.parametrize(
    ("change", "expected"),
    [(pause, (Outcome.REFUSED, "paused")), (withdraw, (Outcome.CANCELLED, "resolved"))],
)
async def test_what_comes_between_checkpoint_and_intent_is_in_time(
    at_work: Bench, change: Callable[[Bench], None], expected: tuple[Outcome, str]
) -> None:
    await at_work.execution.checkpoint()
    change(at_work)

    assert await ended_by(at_work, "intend") == expected
    assert [pod.intent for pod in at_work.on_record().pods] == [None, None]
