"""Where a pod is deleted: only what is on the list, by its UID, once, and never before the intent is on record."""

from collections.abc import Callable

import pytest

from exporter.kubernetes.api import ApiError
from sandbox.transport import Mishap
from tests.support.bench import FIRST, Bench, bench, gone, listed, open_run, replaced, verdict_of, whenever
from tests.support.incident import deleted_names, now, uids
from tests.support.inprocess import TIMED_OUT, broken_foundation
from webhook.record.changes import settle_pod
from webhook.record.errors import FencedError
from webhook.record.journal import Outcome, PodState, Run
from webhook.record.reasons import RunReason
from webhook.runbook.context import EndRun
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)

NOT_ANSWERED = [
    TIMED_OUT,
    ApiError(500, "InternalError", ""),
    ApiError(503, "", ""),
    ApiError(429, "", ""),
    ApiError(401, "Unauthorized", ""),
]
PROVED = 11.0
"""Seconds until the two attempts of these settings have proved it."""


# ---- what becomes of it


async def test_the_intent_is_on_record_before_the_delete() -> None:
    made = await bench()
    originals = uids(made.cluster)
    seen: list[Run] = []
    for number in (1, 2):
        whenever(made, "delete pods", lambda: seen.append(made.on_record()), number=number)

    await made.delete()

    assert [[pod.intended_at is not None for pod in run.pods] for run in seen] == [[True, False], [True, True]]
    assert [[pod.state for pod in run.pods] for run in seen] == [
        [PodState.INTENDED, PodState.LISTED],
        [PodState.DELETED, PodState.INTENDED],
    ]
    assert made.cluster.deletes == originals


async def test_a_delete_that_is_accepted_is_on_record() -> None:
    made = await bench(pods=1)
    (record,) = await made.delete()

    assert (record.state, record.intended_at is not None) == (PodState.DELETED, True)
    assert made.writer.calls["delete pods"] == 1
    assert made.writer.calls["get pods"] == 0


@pytest.mark.parametrize(("happened", "expected"), [(gone, PodState.GONE), (replaced, PodState.REPLACED)])
async def test_a_listed_pod_that_is_there_no_more_costs_no_delete(
    happened: Callable[[Bench], None], expected: PodState
) -> None:
    made = await bench(pods=1)
    happened(made)
    if expected is PodState.GONE:  # its controller creates the next one at once; it is gone when it is asked for
        whenever(made, "get pods", lambda: gone(made))

    (record,) = await made.delete()

    assert record.state is expected
    assert (made.writer.calls["delete pods"], made.cluster.deletes) == (0, [])


def test_what_became_of_one_pod_changes_no_other() -> None:
    run = open_run(pods=listed(broken_foundation()))
    settled = settle_pod(run, uid=run.pods[1].uid, state=PodState.SPARED)

    assert [pod.state for pod in settled.pods] == [PodState.LISTED, PodState.SPARED]


# ---- a delete that is not answered


@pytest.mark.parametrize("error", NOT_ANSWERED)
async def test_after_a_lost_answer_the_pod_is_read_and_not_deleted_again(error: ApiError) -> None:
    made = await bench(pods=1)
    made.writer.fail("delete pods", error, effective=True)

    (record,) = await made.delete()

    assert record.state is PodState.DELETED
    assert (made.writer.calls["delete pods"], made.writer.calls["get pods"]) == (1, 1)


@pytest.mark.parametrize("error", NOT_ANSWERED)
async def test_a_delete_that_never_took_effect_is_sent_again(error: ApiError) -> None:
    made = await bench(pods=1)
    made.writer.fail("delete pods", error)

    (record,) = await made.delete()

    assert record.state is PodState.DELETED
    assert deleted_names(made.cluster) == [FIRST]
    assert made.writer.calls["delete pods"] == 2


async def test_a_delete_is_answered_for_within_its_deadline_and_sent_again() -> None:
    """The first one hangs, and takes no effect."""
    made = await bench(pods=1)
    made.writer.mishap = lambda request: (
        Mishap(hangs=True) if request.call == "delete pods" and made.writer.calls["delete pods"] == 1 else None
    )

    (record,) = await made.delete()

    assert record.state is PodState.DELETED
    assert PROVED + DEFAULT.delete <= now() + 1 < PROVED + DEFAULT.delete + 5


@pytest.mark.parametrize(("happened", "expected"), [(replaced, PodState.REPLACED), (gone, PodState.GONE)])
async def test_the_uid_shows_whether_it_took_effect(happened: Callable[[Bench], None], expected: PodState) -> None:
    """The pod was away within the time-out, and its successor is in its place already, or not yet."""
    made = await bench(pods=1)
    made.writer.fail("delete pods", effective=True)
    whenever(made, "get pods", lambda: happened(made))

    (record,) = await made.delete()

    assert record.state is expected
    assert deleted_names(made.cluster) == [FIRST]


async def test_a_successor_that_appears_right_before_the_delete_is_not_deleted() -> None:
    """The precondition on the UID is the last line: 409, and the pod is read again."""
    made = await bench(pods=1)
    whenever(made, "delete pods", lambda: replaced(made))

    (record,) = await made.delete()

    assert (record.state, made.writer.calls["delete pods"]) == (PodState.REPLACED, 1)
    assert made.cluster.deletes == []
    assert not made.cluster.pod(FIRST).terminating


async def test_a_pod_that_has_changed_since_the_view_is_read_again_before_it_is_deleted() -> None:
    """It may have become active at this moment, which changes its label: 409 by the resourceVersion."""
    made = await bench(pods=1)
    whenever(made, "delete pods", lambda: made.cluster.change("pods", FIRST, metadata={"annotations": {"a": "b"}}))

    (record,) = await made.delete()

    assert (record.state, made.writer.calls["delete pods"]) == (PodState.DELETED, 2)
    assert deleted_names(made.cluster) == [FIRST]


async def test_the_api_server_is_asked_until_it_answers() -> None:
    made = await bench(pods=1)
    made.writer.fail("delete pods", effective=True)
    made.writer.fail("get pods", times=20)

    (record,) = await made.delete()

    assert record.state is PodState.REPLACED
    assert 80 < now() - PROVED < 100


async def test_after_two_minutes_without_an_answer_it_is_a_failure() -> None:
    made = await bench(pods=1)
    made.writer.fail("delete pods", effective=True)
    made.writer.fail("get pods", times=-1)

    assert await verdict_of(made, "delete") == (Outcome.FAILED, RunReason.DEADLINE)
    assert DEFAULT.fate - DEFAULT.retry_longest <= now() - PROVED <= DEFAULT.fate + 1
    assert made.on_record().pods[0].state is PodState.INTENDED
    assert made.on_record().disruptive


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_a_delete_that_is_refused_is_not_repeated(status: int) -> None:
    made = await bench(pods=1)
    made.writer.fail("delete pods", ApiError(status, "Forbidden", "pods is forbidden"), times=-1)

    with pytest.raises(EndRun) as end:
        await made.delete()
    assert (end.value.verdict.outcome, end.value.verdict.text) == (Outcome.FAILED, f"delete-refused {FIRST}")
    assert made.writer.calls["delete pods"] == 1
    assert made.cluster.deletes == []


async def test_a_delete_that_is_refused_the_second_time_is_not_repeated_either() -> None:
    made = await bench(pods=1)
    made.writer.fail("delete pods", ApiError(403, "Forbidden", ""), times=-1)
    made.writer.fail("delete pods", TIMED_OUT)

    assert await verdict_of(made, "delete") == (Outcome.FAILED, RunReason.DELETE_REFUSED)
    assert made.writer.calls["delete pods"] == 2


async def test_a_delete_that_is_never_authorized_ends_the_run() -> None:
    made = await bench(pods=1)
    made.writer.fail("delete pods", ApiError(401, "Unauthorized", ""), times=-1)

    assert await verdict_of(made, "delete") == (Outcome.FAILED, RunReason.DEADLINE)
    assert made.cluster.deletes == []
    assert now() < 300


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(Bench.pause, EndRun), (Bench.take_over, FencedError), (Bench.lose_the_lease, FencedError)],
)
async def test_nothing_is_sent_again_after_a_stop(stop: Callable[[Bench], None], expected: type[Exception]) -> None:
    made = await bench()
    made.writer.fail("delete pods")
    whenever(made, "get pods", lambda: stop(made))

    with pytest.raises(expected) as stopped:
        await made.delete()

    assert (made.writer.calls["delete pods"], made.cluster.deletes) == (1, [])
    if isinstance(stopped.value, EndRun):
        assert (stopped.value.verdict.outcome, stopped.value.verdict.text) == (Outcome.FAILED, "paused after 1 of 2")
