"""A DELETE that was not answered may still be on its way: a pod is not on record as spared before it cannot arrive."""

import asyncio

import pytest

from sandbox.transport import Mishap, Request
from tests.support.bench import FIRST, Bench, bench
from tests.support.incident import Program, alert, ended, now, runs_of, until, working
from tests.support.inprocess import InProcessCluster, InProcessWriter
from webhook.record.journal import PodState
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)


async def unanswered(*, delay: float, recovers: bool) -> Bench:
    """The DELETE of the first pod is on its way for so long; meanwhile the other BBS becomes active, or not."""
    made = await bench(cluster=InProcessCluster(faults=("lock-elsewhere",)), pods=1)

    def slow(request: Request) -> Mishap | None:
        if request.call != "delete pods" or made.writer.calls["delete pods"] > 1:
            return None
        if recovers:
            asyncio.get_running_loop().call_later(1, made.cluster.fault, "lock-back")
        return Mishap(delay=delay)

    made.writer.mishap = slow
    return made


@pytest.mark.parametrize("delay", [12.0, DEFAULT.outstanding - 5])
async def test_a_pod_that_an_unanswered_delete_takes_is_not_on_record_as_spared(delay: float) -> None:
    made = await unanswered(delay=delay, recovers=True)

    (record,) = await made.delete()

    taken = made.cluster.deletes == [(FIRST, record.uid)]
    assert (record.state in {PodState.DELETED, PodState.REPLACED}) is taken


async def test_it_is_spared_once_the_delete_cannot_arrive_any_more() -> None:
    made = await unanswered(delay=10_000, recovers=True)

    (record,) = await made.delete()

    assert (record.state, made.cluster.deletes) == (PodState.SPARED, [])
    assert now() >= DEFAULT.outstanding


async def test_where_the_bbs_stays_unreachable_it_is_sent_again_at_once() -> None:
    """The control case."""
    made = await unanswered(delay=10_000, recovers=False)

    (record,) = await made.delete()

    assert (record.state, made.cluster.deletes) == (PodState.DELETED, [(FIRST, record.uid)])
    assert now() < DEFAULT.outstanding


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_spared_pod_is_read_once_more_at_the_end_of_the_run(arrives: bool) -> None:
    """The API server accepts the DELETE of a process that died only after the pod is on record as spared."""
    cluster = InProcessCluster(faults=("lock-elsewhere",), seed=1)
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.mishap = lambda request: Mishap(delay=10_000) if request.call == "delete pods" else None
    async with working(first) as task:
        await alert(first)
        await until(lambda: first.writer.calls["delete pods"] == 1)
        await first.kill(task)
    cluster.fault("lock-back")
    async with working(second):
        await until(lambda: runs_of(cluster)[0].pods[0].state is PodState.SPARED)
        if arrives:
            await InProcessWriter(cluster).delete_pod(FIRST, uid=cluster.pod(FIRST).uid)
        run = await ended(cluster, within=300)

    assert (run.pods[0].state is PodState.SPARED) is not arrives
