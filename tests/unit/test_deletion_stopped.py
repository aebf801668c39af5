"""When no pod is deleted: paused, without the lease, not on record; and what a process does that resumes the run."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.bench import FIRST, SECOND, Bench, bench, gone, replaced, terminating, verdict_of, whenever
from tests.support.incident import deleted_names, now, uids
from tests.support.inprocess import InProcessWriter
from webhook.record.errors import FencedError
from webhook.record.journal import Outcome, PodState
from webhook.record.reasons import RunReason
from webhook.runbook.context import EndRun
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)

# ---- stopped before


@pytest.mark.parametrize("number", [0, 1])
async def test_nothing_is_deleted_while_it_is_paused(number: int) -> None:
    made = await bench(deleted=number)
    made.pause()

    with pytest.raises(EndRun) as end:
        await made.delete()

    assert (end.value.verdict.outcome, end.value.verdict.text) == (
        (Outcome.FAILED, "paused after 1 of 2") if number else (Outcome.REFUSED, "paused")
    )
    assert made.writer.calls["delete pods"] == 0
    assert made.on_record().pods[number].intended_at is None


async def test_nothing_is_deleted_without_the_lease() -> None:
    made = await bench()
    made.held.lost = True

    with pytest.raises(FencedError):
        await made.delete()

    assert made.writer.calls["delete pods"] == 0
    assert made.on_record().pods[0].intended_at is None


@pytest.mark.parametrize("call", ["get configmaps", "update configmaps"])
async def test_nothing_is_deleted_whose_intent_cannot_be_recorded(call: str) -> None:
    made = await bench()
    made.writer.fail(call, times=-1)

    assert await verdict_of(made, "delete") == (Outcome.UNPROVEN, RunReason.API_UNREACHABLE)
    assert made.writer.calls["delete pods"] == 0


async def test_an_intent_that_may_not_be_on_record_is_followed_by_no_delete() -> None:
    """No answer arrives any more, so it is unknown whether it is there; the next holder will find it out."""
    made = await bench()
    made.writer.fail("update configmaps", effective=True, times=-1)
    whenever(made, "update configmaps", lambda: made.writer.fail("get configmaps", times=-1))

    assert (await verdict_of(made, "delete"))[1] is RunReason.API_UNREACHABLE
    assert made.writer.calls["delete pods"] == 0
    assert made.on_record().pods[0].intended_at is not None


# ---- resumed


async def test_a_pod_that_runs_untouched_is_deleted_by_the_successor_once_nothing_is_outstanding() -> None:
    made = await bench(pods=1, intended=1)

    (record,) = await made.delete(resumed=True)

    assert record.state is PodState.DELETED
    assert deleted_names(made.cluster) == [FIRST]
    assert now() > DEFAULT.outstanding


@pytest.mark.parametrize(
    ("happened", "expected"),
    [(replaced, PodState.REPLACED), (gone, PodState.GONE), (terminating, PodState.DELETED)],
)
async def test_what_the_predecessor_deleted_is_not_deleted_again(
    happened: Callable[[Bench], None], expected: PodState
) -> None:
    made = await bench(pods=1, intended=1)
    happened(made)

    (record,) = await made.delete(resumed=True)

    assert record.state is expected
    assert made.writer.calls["delete pods"] == 0


async def test_a_delete_that_arrives_late_is_on_record_as_deleted() -> None:
    """The predecessor's request takes effect while the successor waits for it."""
    made = await bench(pods=1, intended=1)

    async def arrive() -> None:
        await asyncio.sleep(DEFAULT.outstanding - 1)
        await InProcessWriter(made.cluster).delete_pod(FIRST, uid=made.cluster.pod(FIRST).uid)

    arrival = asyncio.create_task(arrive())
    (record,) = await made.delete(resumed=True)
    await arrival

    assert record.state is PodState.DELETED
    assert made.writer.calls["delete pods"] == 0


async def test_a_successor_without_the_lease_deletes_nothing() -> None:
    made = await bench(pods=1, intended=1)
    made.held.lost = True

    with pytest.raises(FencedError):
        await made.delete(resumed=True)

    assert made.writer.calls["delete pods"] == 0


async def test_two_executors_by_accident_delete_each_pod_once() -> None:
    """Both think that they may: the precondition on the UID is the last line."""
    first = await bench()
    originals = uids(first.cluster)
    second = await bench(cluster=first.cluster)
    for each in (first, second):
        each.writer.slow(0.1)

    await asyncio.gather(first.delete(), second.delete())
    await asyncio.sleep(60)

    assert sorted(set(first.cluster.deletes)) == originals
    assert {name for name, _ in originals} == {FIRST, SECOND}
    assert [uid for _, uid in uids(first.cluster)] != [uid for _, uid in originals]
