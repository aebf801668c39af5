"""Where a pod is deleted: only what is on the list, by its UID, once, and never before that is on record."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from exporter.kubernetes.api import ApiError
from exporter.kubernetes.objects import Pod
from tests.support.executing import EPOCH, UIDS, Bench, bench, holding_on, listed, open_run
from tests.support.memory_writer import TIMED_OUT
from tests.support.moments import NOON, at
from webhook.record import journal as journals
from webhook.record.journal import Outcome, PodRecord, Run
from webhook.record.store import FencedError
from webhook.runbook.deletion import PATIENCE, answered, delete_listed
from webhook.runbook.execution import End

pytestmark = pytest.mark.looptime

FIRST, SECOND = "diego-api-0", "diego-api-1"
NOT_ANSWERED = [TIMED_OUT, ApiError(500, "InternalError", ""), ApiError(503, "", ""), ApiError(429, "", "")]


@pytest.fixture
async def at_work() -> AsyncIterator[Bench]:
    made = await bench()
    renewal = holding_on(made.held)
    yield made
    renewal.cancel()


@pytest.fixture
async def resumed() -> AsyncIterator[Bench]:
    """Who was here before has put the intent for the first pod on record, and died."""
    made = await bench(open_run(pods=listed(intended=1)))
    renewal = holding_on(made.held)
    yield made
    renewal.cancel()


async def delete(made: Bench, number: int = 0) -> PodRecord:
    """Deletes a pod of the list, and returns what is on record of it."""
    await delete_listed(made.execution.run.pods[number], execution=made.execution, writer=made.writer)
    return made.on_record().pods[number]


async def ended_by(made: Bench) -> tuple[Outcome, str]:
    with pytest.raises(End) as end:
        await delete(made)
    return end.value.outcome, end.value.reason


def pause(made: Bench) -> None:
    made.cluster.put_journal(journals.pause(made.cluster.journal(), by="ann", reason="", now=at(0)))


def take_over(made: Bench) -> None:
    journal = made.cluster.journal()
    made.cluster.put_journal(type(journal)(foundation="cf", epoch=EPOCH + 1, runs=journal.runs))


def lose_the_lease(made: Bench) -> None:
    made.held.lost = True


def now() -> float:
    return asyncio.get_running_loop().time()


# ---- what becomes of it


async def test_the_intent_is_on_record_before_the_delete(at_work: Bench) -> None:
    seen: list[Run] = []
    at_work.writer.before = lambda call: seen.append(at_work.on_record()) if call == "delete pods" else None

    await delete(at_work, 0)
    await delete(at_work, 1)

    assert [[pod.intent for pod in run.pods] for run in seen] == [[at(0), None], [at(0), at(0)]]
    assert [[pod.deleted for pod in run.pods] for run in seen] == [[False, False], [True, False]]
    assert at_work.cluster.deletes == [(FIRST, UIDS[0]), (SECOND, UIDS[1])]


async def test_a_delete_that_is_accepted_is_on_record(at_work: Bench) -> None:
    record = await delete(at_work)

    assert (record.deleted, record.answer, record.intent) == (True, "deleted", at(0))
    assert at_work.writer.calls["delete pods"] == 1
    assert at_work.writer.calls["get pods"] == 0


async def test_a_pod_that_is_gone_is_dealt_with(at_work: Bench) -> None:
    at_work.cluster.delete("pods", FIRST)

    record = await delete(at_work)

    assert (record.deleted, record.answer) == (True, "gone already")


async def test_a_pod_that_was_replaced_is_dealt_with_and_its_successor_not_touched(at_work: Bench) -> None:
    at_work.cluster.replace_pod(FIRST, uid="new")

    record = await delete(at_work)

    assert (record.deleted, record.answer) == (True, "replaced already")
    assert at_work.cluster.deletes == []
    assert not at_work.cluster.pod(FIRST).terminating


def test_what_became_of_one_pod_changes_no_other() -> None:
    run = answered(open_run(pods=listed(intended=2)), uid=UIDS[1], answer="spared", deleted=False)

    assert [(pod.answer, pod.deleted) for pod in run.pods] == [("", False), ("spared", False)]


# ---- a delete that is not answered


@pytest.mark.parametrize("error", NOT_ANSWERED)
async def test_a_lost_answer_leads_to_a_look_and_to_no_second_delete(at_work: Bench, error: Exception) -> None:
    at_work.writer.fail("delete pods", error, effective=True)

    record = await delete(at_work)

    assert (record.deleted, record.answer) == (True, "deleted")
    assert (at_work.writer.calls["delete pods"], at_work.writer.calls["get pods"]) == (1, 1)


@pytest.mark.parametrize("error", NOT_ANSWERED)
async def test_a_delete_that_never_took_effect_is_sent_again(at_work: Bench, error: Exception) -> None:
    at_work.writer.fail("delete pods", error)

    record = await delete(at_work)

    assert (record.deleted, record.answer) == (True, "deleted")
    assert at_work.cluster.deletes == [(FIRST, UIDS[0])]
    assert at_work.writer.calls["delete pods"] == 2


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        (lambda made: made.cluster.replace_pod(FIRST, uid="new"), "replaced already"),
        (lambda made: made.cluster.delete("pods", FIRST), "gone already"),
    ],
)
async def test_the_uid_tells_whether_it_took_effect(
    at_work: Bench, meanwhile: Callable[[Bench], None], expected: str
) -> None:
    """The pod went within the time-out, and its successor stands in its place already, or not yet."""
    at_work.cluster.on_delete = lambda _pod: meanwhile(at_work)
    at_work.writer.fail("delete pods", effective=True)

    record = await delete(at_work)

    assert (record.deleted, record.answer) == (True, expected)
    assert at_work.cluster.deletes == [(FIRST, UIDS[0])]


async def test_a_delete_that_took_effect_late_does_not_cost_the_successor(at_work: Bench) -> None:
    """The pod was read and stood untouched; when the delete is sent again, its successor stands there."""
    at_work.writer.fail("delete pods")
    calls = at_work.writer.calls
    at_work.writer.before = lambda call: (
        at_work.cluster.replace_pod(FIRST, uid="new") if call == "get configmaps" and calls["get pods"] == 1 else None
    )

    record = await delete(at_work)

    assert (record.answer, calls["delete pods"]) == ("replaced already", 2)
    assert at_work.cluster.deletes == []
    assert not at_work.cluster.pod(FIRST).terminating


async def test_the_api_server_is_asked_until_it_says(at_work: Bench) -> None:
    at_work.writer.fail("delete pods", effective=True)
    at_work.writer.fail("get pods", times=20)

    assert (await delete(at_work)).deleted
    assert 38 < now() < 50


async def test_after_two_minutes_it_is_a_failure(at_work: Bench) -> None:
    at_work.writer.fail("delete pods", effective=True)
    at_work.writer.fail("get pods", times=-1)

    assert await ended_by(at_work) == (Outcome.FAILED, "deadline")
    assert PATIENCE <= now() < PATIENCE + 10
    assert at_work.on_record().pods[0].answer == ""
    assert at_work.on_record().disruptive


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_a_delete_that_is_refused_is_not_repeated(at_work: Bench, status: int) -> None:
    at_work.writer.fail("delete pods", ApiError(status, "Forbidden", "pods is forbidden"), times=-1)

    assert await ended_by(at_work) == (Outcome.FAILED, f"delete-refused {FIRST}")
    assert at_work.writer.calls["delete pods"] == 1
    assert at_work.cluster.deletes == []


async def test_a_delete_that_is_refused_the_second_time_is_not_repeated_either(at_work: Bench) -> None:
    at_work.writer.fail("delete pods", ApiError(403, "Forbidden", ""), times=-1)
    at_work.writer.fail("delete pods", TIMED_OUT)

    assert await ended_by(at_work) == (Outcome.FAILED, f"delete-refused {FIRST}")
    assert at_work.writer.calls["delete pods"] == 2


@pytest.mark.parametrize(("stop", "expected"), [(pause, End), (take_over, FencedError), (lose_the_lease, FencedError)])
async def test_nothing_is_sent_again_that_was_stopped_meanwhile(
    at_work: Bench, stop: Callable[[Bench], None], expected: type[Exception]
) -> None:
    at_work.writer.fail("delete pods")
    at_work.writer.before = lambda call: stop(at_work) if call == "get pods" else None

    with pytest.raises(expected) as stopped:
        await delete(at_work)

    assert (at_work.writer.calls["delete pods"], at_work.cluster.deletes) == (1, [])
    if isinstance(stopped.value, End):
        assert (stopped.value.outcome, stopped.value.reason) == (Outcome.FAILED, "paused after 1 of 2")


# ---- stopped before


@pytest.mark.parametrize("number", [0, 1])
async def test_nothing_is_deleted_while_it_is_paused(number: int) -> None:
    made = await bench(open_run(pods=listed(intended=number, answered=number)))
    pause(made)

    with pytest.raises(End) as end:
        await delete(made, number)

    assert (end.value.outcome, end.value.reason) == (
        (Outcome.FAILED, "paused after 1 of 2") if number else (Outcome.REFUSED, "paused")
    )
    assert made.writer.calls["delete pods"] == 0
    assert made.on_record().pods[number].intent is None


async def test_nothing_is_deleted_without_the_lease(at_work: Bench) -> None:
    at_work.held.lost = True

    with pytest.raises(FencedError):
        await delete(at_work)

    assert at_work.writer.calls["delete pods"] == 0
    assert at_work.on_record().pods[0].intent is None


@pytest.mark.parametrize("call", ["get configmaps", "update configmaps"])
async def test_nothing_is_deleted_whose_intent_could_not_be_recorded(at_work: Bench, call: str) -> None:
    at_work.writer.fail(call, times=-1)

    assert await ended_by(at_work) == (Outcome.UNPROVEN, "api-unreachable")
    assert at_work.writer.calls["delete pods"] == 0


async def test_an_intent_that_may_not_be_on_record_is_followed_by_no_delete(at_work: Bench) -> None:
    """Every answer is lost, so whether it is there is not known; the next who comes will find it out."""
    at_work.writer.fail("update configmaps", effective=True, times=-1)

    assert (await ended_by(at_work))[1] == "api-unreachable"
    assert at_work.writer.calls["delete pods"] == 0
    assert at_work.on_record().pods[0].intent is not None


# ---- resumed


async def test_a_pod_that_stands_untouched_is_deleted_by_the_successor(resumed: Bench) -> None:
    record = await delete(resumed)

    assert (record.deleted, record.answer, record.intent) == (True, "deleted", NOON)
    assert resumed.cluster.deletes == [(FIRST, UIDS[0])]


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        (lambda made: made.cluster.replace_pod(FIRST, uid="new"), "replaced already"),
        (lambda made: made.cluster.delete("pods", FIRST), "gone already"),
        (lambda made: made.cluster.terminate(made.cluster.pod(FIRST)), "deleted"),
    ],
)
async def test_what_the_predecessor_deleted_is_not_deleted_again(
    resumed: Bench, meanwhile: Callable[[Bench], None], expected: str
) -> None:
    meanwhile(resumed)

    record = await delete(resumed)

    assert (record.deleted, record.answer) == (True, expected)
    assert resumed.writer.calls["delete pods"] == 0


async def test_a_successor_that_has_no_lease_does_not_ask_what_became_of_it(resumed: Bench) -> None:
    resumed.held.lost = True

    with pytest.raises(FencedError):
        await delete(resumed)

    assert (resumed.writer.calls["get pods"], resumed.writer.calls["delete pods"]) == (0, 0)


async def test_two_executors_by_accident_delete_each_pod_once(at_work: Bench) -> None:
    """Both think that they may: the precondition on the UID is the last line."""
    other = await bench(cluster=at_work.cluster)
    new: list[str] = []

    def replace(pod: Pod) -> None:
        new.append(f"new-{len(new)}")
        at_work.cluster.replace_pod(pod.name, uid=new[-1])

    at_work.cluster.on_delete = replace
    for each in (at_work, other):
        each.writer.latency = lambda: 0.1

    await asyncio.gather(delete(at_work, 0), delete(other, 0))

    assert at_work.cluster.deletes == [(FIRST, UIDS[0])]
    assert at_work.cluster.pod(FIRST).uid == "new-0"
