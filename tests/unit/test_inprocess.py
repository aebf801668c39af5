"""The sandbox in-process, through the client itself: what is slow, lost or hanging there, in virtual time."""

import asyncio
from contextlib import aclosing

import pytest

from exporter.foundation.view import ProbeResult
from exporter.kubernetes.api import PODS, ApiError, ApiUnreachableError, ConflictError
from sandbox.transport import Mishap
from tests.support.clocks import LoopClock
from tests.support.inprocess import (
    TIMED_OUT,
    InProcessCluster,
    InProcessWriter,
    broken_foundation,
    healthy_foundation,
)
from tests.support.moments import NOON
from webhook.writer import Deleted

pytestmark = pytest.mark.looptime

BBS = "diego-api.cf.svc.cluster.local"
NC = ("nc", "-zv", "-w", "5", BBS, "8889")
FORBIDDEN = ApiError(403, "Forbidden", "pods is forbidden")


def now() -> float:
    return asyncio.get_running_loop().time()


async def restart(cluster: InProcessCluster, writer: InProcessWriter) -> None:
    for name in ("diego-api-0", "diego-api-1"):
        assert await writer.delete_pod(name, uid=cluster.pod(name).uid) is Deleted.ACCEPTED


async def test_a_healthy_foundation_is_reached_from_inside_and_from_outside() -> None:
    cluster = healthy_foundation()
    result = await InProcessWriter(cluster).exec("api-0", "api", NC, timeout=10)

    assert result.exit_code == 0
    assert (await cluster.dial(BBS, 8889, timeout=5))[0] is ProbeResult.SUCCESS


@pytest.mark.parametrize("frozen_label", [False, True])
async def test_a_broken_foundation_is_restored_by_a_restart(frozen_label: bool) -> None:
    cluster = broken_foundation(frozen_label=frozen_label)
    writer = InProcessWriter(cluster)
    assert sum(pod.has_label("skiff-role-active", "true") for pod in cluster.pods.values()) == frozen_label
    assert (await writer.exec("api-0", "api", NC, timeout=10)).exit_code == 1
    assert (await cluster.dial(BBS, 8889, timeout=5))[0] is ProbeResult.REFUSED

    cluster.fault("thaw-label")
    uids = {name: pod.uid for name, pod in cluster.pods.items() if name.startswith("diego")}
    await restart(cluster, writer)
    await asyncio.sleep(25)

    assert (await writer.exec("api-0", "api", NC, timeout=10)).exit_code == 0
    assert cluster.deletes == list(uids.items())


async def test_a_watch_sees_what_happens_at_the_moment_at_which_it_happens() -> None:
    cluster = broken_foundation()
    writer = InProcessWriter(cluster)
    listing = await writer.list(PODS)
    await restart(cluster, writer)
    ready: dict[str, float] = {}
    watch = writer.watch(PODS, since=listing.resource_version, window=60, silence=70)
    async with aclosing(watch) as events:
        async for event in events:
            if event.object is not None and event.object.fully_ready:
                ready.setdefault(event.object.name, round(now(), 1))
        assert event.type == "BOOKMARK"

    assert now() == 60, "the server ends it in time"
    assert set(ready) >= {"diego-api-0", "diego-api-1"}
    assert all(15 < moment < 25 for moment in ready.values())


async def test_the_same_seed_gives_the_same_run() -> None:
    async def play() -> list[tuple[str, str]]:
        cluster = broken_foundation(seed=7)
        await restart(cluster, InProcessWriter(cluster))
        return cluster.deletes

    assert await play() == await play()


async def test_an_error_comes_before_the_effect() -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    uid = cluster.pod("diego-api-0").uid
    writer.fail("delete pods", FORBIDDEN)
    writer.fail("delete pods", TIMED_OUT)
    for error in (TIMED_OUT, FORBIDDEN):
        with pytest.raises(type(error), match=str(error)):
            await writer.delete_pod("diego-api-0", uid=uid)
        assert not cluster.pod("diego-api-0").terminating

    assert await writer.delete_pod("diego-api-0", uid=uid) is Deleted.ACCEPTED, "the control"
    assert cluster.pod("diego-api-0").terminating


async def test_a_lost_answer_comes_after_the_effect() -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    uid = cluster.pod("diego-api-0").uid
    writer.fail("delete pods", effective=True)
    with pytest.raises(ApiUnreachableError):
        await writer.delete_pod("diego-api-0", uid=uid)

    assert cluster.deletes == [("diego-api-0", uid)]
    assert cluster.pod("diego-api-0").terminating


async def test_one_program_is_cut_off_and_another_is_not() -> None:
    cluster = healthy_foundation()
    first, second = InProcessWriter(cluster), InProcessWriter(cluster)
    first.kill()
    with pytest.raises(ApiUnreachableError):
        await first.list(PODS)

    assert len((await second.list(PODS)).items) == 4
    first.recover()
    assert len((await first.list(PODS)).items) == 4


@pytest.mark.parametrize("effective", [False, True])
async def test_a_call_that_hangs_ends_at_the_deadline_of_the_client(effective: bool) -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    writer.hang("delete pods", effective=effective)
    with pytest.raises(ApiUnreachableError, match="timed out"):
        await writer.delete_pod("diego-api-0", uid=cluster.pod("diego-api-0").uid, timeout=3)

    assert now() == 3
    assert len(cluster.deletes) == effective


async def test_what_is_on_its_way_is_not_called_back() -> None:
    """As with TCP: a client that gives up, or is killed, does not stop its request."""
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    writer.slow(4.0)
    with pytest.raises(ApiUnreachableError):
        await writer.delete_pod("diego-api-0", uid=cluster.pod("diego-api-0").uid, timeout=3)
    assert cluster.deletes == []
    await asyncio.sleep(1.1)

    assert len(cluster.deletes) == 1


@pytest.mark.parametrize(
    ("mishap", "answer"),
    [
        (Mishap(), Deleted.ACCEPTED),
        (Mishap(again=10), Deleted.ACCEPTED),
        (Mishap(again=10, second=True), Deleted.CONFLICT),
        (Mishap(again=0.1, second=True), Deleted.CONFLICT),
    ],
)
async def test_a_call_that_arrives_twice_takes_effect_once(mishap: Mishap, answer: Deleted) -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    pod = cluster.pod("api-0")
    writer.mishap = lambda request: mishap if request.call == "delete pods" else None
    version = pod.metadata.resource_version

    assert await writer.delete_pod("api-0", uid=pod.uid, resource_version=version, timeout=20) is answer
    await asyncio.sleep(60)
    assert cluster.deletes == [("api-0", pod.uid)]


async def test_an_answer_may_come_later_than_the_effect() -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    writer.mishap = lambda _request: Mishap(back=5)
    uid = cluster.pod("api-0").uid
    deleting = asyncio.create_task(writer.delete_pod("api-0", uid=uid))
    await asyncio.sleep(1)
    assert (cluster.deletes, deleting.done()) == ([("api-0", uid)], False)
    assert (await deleting, now()) == (Deleted.ACCEPTED, 5)


async def test_a_pod_whose_node_dies_is_not_ready_until_the_node_is_back() -> None:
    cluster = healthy_foundation()
    uid = cluster.pod("api-0").uid
    assert cluster.pod("api-0").fully_ready
    cluster.fault("node-dies", "api-0")
    await asyncio.sleep(1)
    assert not cluster.pod("api-0").fully_ready
    cluster.fault("node-back", "api-0")
    await asyncio.sleep(1)
    assert (cluster.pod("api-0").fully_ready, cluster.pod("api-0").uid) == (True, uid)


async def test_a_pod_that_is_deleted_stays_until_its_dead_node_is_back() -> None:
    cluster = healthy_foundation()
    uid = cluster.pod("api-0").uid
    cluster.fault("node-dies", "api-0")
    await InProcessWriter(cluster).delete_pod("api-0", uid=uid)
    await asyncio.sleep(120)
    assert cluster.pod("api-0").uid == uid
    cluster.fault("node-back", "api-0")
    await asyncio.sleep(30)
    assert (cluster.pod("api-0").fully_ready, cluster.pod("api-0").uid == uid) == (True, False)


async def test_a_server_that_hangs_is_silent() -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    events = writer.watch(PODS, since=(await writer.list(PODS)).resource_version, window=30, silence=40)
    cluster.mishaps.set(hanging=True)
    with pytest.raises(ApiUnreachableError, match="timed out"):
        await anext(events)
    with pytest.raises(ApiUnreachableError, match="timed out"):
        await writer.list(PODS)
    assert now() == 50

    cluster.mishaps.set(hanging=False)
    await writer.list(PODS)


async def test_a_server_that_dies_cuts_its_watches() -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    events = writer.watch(PODS, since=(await writer.list(PODS)).resource_version, window=30, silence=40)
    following = asyncio.create_task(anext(events))
    await asyncio.sleep(1)
    cluster.mishaps.set(killed=True)
    with pytest.raises(ApiUnreachableError, match="Connection reset by peer"):
        await following
    with pytest.raises(ApiUnreachableError, match="Connection refused"):
        await writer.list(PODS)


async def test_two_writers_of_one_object_compare_and_swap() -> None:
    cluster = healthy_foundation()
    first, second = InProcessWriter(cluster), InProcessWriter(cluster)
    made = await first.create_config_map("x", {"a": "1"})
    await second.update_config_map("x", {"a": "2"}, read=made.metadata)
    with pytest.raises(ConflictError):
        await first.update_config_map("x", {"a": "3"}, read=made.metadata)

    assert cluster.config_maps["x"].data == {"a": "2"}


async def test_a_precondition_that_does_not_hold_is_a_conflict() -> None:
    cluster = healthy_foundation()
    writer = InProcessWriter(cluster)
    pod = cluster.pod("diego-api-0")
    answers = [
        await writer.delete_pod(pod.name, uid="another"),
        await writer.delete_pod(pod.name, uid=pod.uid, resource_version="1"),
        await writer.delete_pod("nobody", uid=pod.uid),
        await writer.delete_pod(pod.name, uid=pod.uid, resource_version=pod.metadata.resource_version),
    ]

    assert answers == [Deleted.CONFLICT, Deleted.CONFLICT, Deleted.GONE, Deleted.ACCEPTED]
    assert cluster.deletes == [(pod.name, pod.uid)]


async def test_an_exec_takes_as_long_as_its_program() -> None:
    cluster = healthy_foundation()
    cluster.fault("blackhole")
    result = await InProcessWriter(cluster).exec("api-0", "api", NC, timeout=10)
    assert (result.exit_code, now()) == (1, 5)
    assert (await cluster.dial(BBS, 8889, timeout=3))[0] is ProbeResult.TIMEOUT
    assert now() == 8

    late = await InProcessWriter(cluster).exec("api-0", "api", NC, timeout=2)
    assert (late.exit_code, late.error, now()) == (None, "no answer within 2 s", 10)


async def test_the_cluster_has_a_clock_of_its_own() -> None:
    writer = InProcessWriter(healthy_foundation(clock=LoopClock(NOON.timestamp() + 90)))
    await asyncio.sleep(5.5)
    await writer.list(PODS)

    assert writer.server_time == NOON.timestamp() + 95


async def test_an_exec_that_is_refused() -> None:
    cluster = healthy_foundation()
    cluster.delete("pods", "api-0")
    with pytest.raises(ApiError, match="404"):
        await InProcessWriter(cluster).exec("api-0", "api", NC, timeout=10)
