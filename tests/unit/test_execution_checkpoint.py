"""Whether a run may continue: at each checkpoint, and by compare-and-swap at each intent."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from tests.support.bench import RECOVERED, Bench, alerts, bench, listed, open_run, verdict_of
from tests.support.incident import now
from tests.support.inprocess import JOURNAL, broken_foundation
from tests.support.moments import at, person
from webhook.record.errors import FencedError, JournalLostError
from webhook.record.journal import Journal, Outcome
from webhook.record.reasons import RunReason
from webhook.runbook.context import EndRun, Verdict
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("deleted", [0, 1])
async def test_where_nothing_forbids_it_a_checkpoint_passes(deleted: int) -> None:
    made = await bench(deleted=deleted)
    before = made.writer.calls["get configmaps"]
    await made.execution.checkpoint()
    assert made.writer.calls["get configmaps"] == before + 1, "the journal must be read again"


async def test_a_pause_refuses_before_the_first_delete() -> None:
    made = await bench()
    made.pause()

    assert await verdict_of(made) == (Outcome.REFUSED, RunReason.PAUSED)


async def test_a_pause_stops_further_deletes() -> None:
    made = await bench(deleted=1)
    made.pause()

    with pytest.raises(EndRun) as end:
        await made.execution.checkpoint()
    assert (end.value.verdict.outcome, end.value.verdict.text) == (Outcome.FAILED, "paused after 1 of 2")


async def test_resolved_alerts_cancel_before_the_first_delete() -> None:
    made = await bench()
    made.withdraw()

    assert await verdict_of(made) == (Outcome.CANCELLED, RunReason.RESOLVED)


async def test_resolved_alerts_do_not_stop_a_restart() -> None:
    made = await bench(deleted=1)
    made.withdraw()

    await made.execution.checkpoint()


async def test_the_request_of_a_person_is_not_withdrawn_by_resolved_alerts() -> None:
    made = await bench(open_run(person=person(0), alerts=alerts(firing=False)))

    await made.execution.checkpoint()


async def test_without_a_trusted_lease_a_run_does_not_continue() -> None:
    made = await bench(renewing=False)
    await asyncio.sleep(DEFAULT.lease_trusted - 0.1)
    await made.execution.checkpoint()
    await asyncio.sleep(0.1)

    with pytest.raises(FencedError):
        await made.execution.checkpoint()


async def test_a_lease_that_ran_out_while_the_journal_was_read_is_noticed() -> None:
    made = await bench(renewing=False)
    made.writer.slow(1.5)
    await asyncio.sleep(DEFAULT.lease_trusted - 2)

    with pytest.raises(FencedError):
        await made.execution.checkpoint()


def attempt(made: Bench, call: str) -> Awaitable[object]:
    attempts: dict[str, Callable[[], Awaitable[object]]] = {
        "checkpoint": made.execution.checkpoint,
        "intend": lambda: made.execution.intend(made.execution.run.pods[0].uid),
        "save": lambda: made.execution.save(lambda run: msgspec.structs.replace(run, evidence="late")),
        "end": lambda: made.execution.end(RECOVERED),
    }
    return attempts[call]()


@pytest.mark.parametrize("call", ["checkpoint", "intend", "save", "end"])
async def test_a_later_holder_fences(call: str) -> None:
    made = await bench()
    made.take_over()
    before = made.cluster.journal()

    with pytest.raises(FencedError):
        await attempt(made, call)

    assert made.cluster.journal() == before


@pytest.mark.parametrize("call", ["checkpoint", "intend", "save", "end"])
async def test_a_run_that_another_process_has_ended_is_left_alone(call: str) -> None:
    made = await bench()
    ended = open_run(outcome=Outcome.FAILED, ended=at(-1), reason="theirs", pods=listed(made.cluster))
    made.put(runs=(ended,))

    with pytest.raises(FencedError, match="not open any more"):
        await attempt(made, call)

    assert made.on_record() == ended


async def test_a_lost_journal_stops_a_run() -> None:
    made = await bench()
    await made.execution.checkpoint()
    made.cluster.delete("configmaps", JOURNAL)

    with pytest.raises(JournalLostError):
        await made.execution.checkpoint()


@pytest.mark.parametrize("call", ["checkpoint", "intend"])
async def test_an_unreachable_api_server_is_inconclusive(call: str) -> None:
    made = await bench()
    made.unreachable()

    assert await verdict_of(made, call) == (Outcome.UNPROVEN, RunReason.API_UNREACHABLE)
    assert DEFAULT.lease_trusted - DEFAULT.retry_longest <= now() <= DEFAULT.lease_trusted
    assert made.cluster.journal().disruptions == ()


async def test_once_pods_were_deleted_an_unreachable_api_server_is_a_failure() -> None:
    made = await bench(deleted=1)
    made.unreachable()

    assert await verdict_of(made) == (Outcome.FAILED, RunReason.DEADLINE)
    assert DEFAULT.patience - DEFAULT.retry_longest <= now() <= DEFAULT.patience


async def test_a_short_outage_is_waited_for() -> None:
    made = await bench()
    made.unreachable(seconds=5)

    await made.execution.checkpoint()
    assert 5 <= now() < DEFAULT.lease_trusted


# ---- intents


async def test_an_intent_is_on_record() -> None:
    made = await bench()
    await made.execution.intend(made.execution.run.pods[1].uid)

    assert [pod.intended_at for pod in made.on_record().pods] == [None, at(0)]
    assert made.execution.run == made.on_record()
    assert [each.run for each in made.cluster.journal().disruptions] == ["cf-1"]


async def test_an_intent_whose_answer_was_lost_counts_once() -> None:
    made = await bench()
    made.writer.fail("update configmaps", effective=True)

    for pod in made.execution.run.pods:
        await made.execution.intend(pod.uid)

    assert len(made.cluster.journal().disruptions) == 1
    assert all(pod.intended_at for pod in made.on_record().pods)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Bench.pause, (Outcome.REFUSED, RunReason.PAUSED)),
        (Bench.withdraw, (Outcome.CANCELLED, RunReason.RESOLVED)),
    ],
)
async def test_what_is_recorded_between_checkpoint_and_intent_is_noticed(
    change: Callable[[Bench], None], expected: tuple[Outcome, RunReason]
) -> None:
    made = await bench()
    await made.execution.checkpoint()
    change(made)

    assert await verdict_of(made, "intend") == expected
    assert [pod.intended_at for pod in made.on_record().pods] == [None, None]


async def test_a_run_whose_alerts_were_not_answered_leaves_them_queued() -> None:
    made = await bench()
    await made.execution.end(Verdict(Outcome.UNPROVEN, RunReason.EXEC_FAILED))

    request = made.cluster.journal().request
    assert request is not None
    assert (request.alerts, request.waiting_for, request.due) == (alerts(), "retry", at(60))


async def test_a_run_that_recovered_the_foundation_leaves_nothing_queued() -> None:
    """The control case."""
    made = await bench()
    await made.execution.end(RECOVERED)

    assert made.cluster.journal().request is None


async def test_a_run_that_is_not_on_record_is_not_resumed() -> None:
    cluster = broken_foundation()
    cluster.put_journal(Journal(foundation="cf", epoch=3, runs=(open_run(id="cf-0"),)))
    made = await bench(cluster=cluster)
    made.put(runs=())

    with pytest.raises(FencedError):
        await made.execution.checkpoint()
