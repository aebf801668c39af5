"""The lease in the hands of one program, in virtual time: taken, renewed, given back, and lost."""

import asyncio
import contextlib
from datetime import datetime

import pytest

from exporter.kubernetes.api import ConflictError
from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.leases import FORBIDDEN, NAME, a_lock, held_by, now, spec, trusted
from webhook.record.lease import new_identity
from webhook.timings import DEFAULT
from webhook.writer import LeaseSpec

pytestmark = pytest.mark.looptime


@pytest.fixture
def cluster() -> Shelf:
    return Shelf()


@pytest.fixture
def writer(cluster: Shelf) -> InProcessWriter:
    return InProcessWriter(cluster)


def test_two_programs_on_one_host_differ() -> None:
    assert new_identity() != new_identity()


def test_the_deadlines_leave_room_between_them() -> None:
    """A renewal may hang, and the next still comes in time; only much later may another take the lease."""
    assert DEFAULT.lease_renew + DEFAULT.lease_attempt + DEFAULT.lease_retry < DEFAULT.lease_trusted
    assert DEFAULT.lease_duration - DEFAULT.lease_trusted >= 5


async def test_the_first_takes_it_at_once(writer: InProcessWriter, cluster: Shelf) -> None:
    async with held_by(writer, "a") as held:
        assert (now(), held.epoch, trusted(held)) == (0, 1, True)
        taken = spec(cluster)
    assert (taken.holder_identity, taken.lease_duration_seconds, taken.lease_transitions) == ("a", 15, 1)
    assert taken.acquire_time == taken.renew_time == datetime.fromisoformat("1970-01-12T13:46:40+00:00")


async def test_it_is_renewed_for_as_long_as_it_is_held(writer: InProcessWriter, cluster: Shelf) -> None:
    async with held_by(writer, "a") as held:
        renewals = []
        for _ in range(120):
            await asyncio.sleep(0.5)
            assert trusted(held)
            renewals.append(spec(cluster).renew_time)
        acquired = spec(cluster).acquire_time

    assert len(set(renewals)) == 12
    assert acquired == datetime.fromisoformat("1970-01-12T13:46:40+00:00")
    assert spec(cluster).lease_transitions == 1


async def test_it_is_free_for_the_next_at_once(writer: InProcessWriter, cluster: Shelf) -> None:
    async with held_by(writer, "a") as first:
        await asyncio.sleep(7)

    assert (trusted(first), spec(cluster).holder_identity, spec(cluster).lease_transitions) == (False, "", 1)
    async with held_by(InProcessWriter(cluster), "b") as second:
        assert (second.epoch, now()) == (2, 7)


async def test_it_is_given_back_when_the_work_fails(writer: InProcessWriter, cluster: Shelf) -> None:
    with pytest.raises(RuntimeError):
        async with held_by(writer, "a"):
            raise RuntimeError
    assert spec(cluster).holder_identity == ""


async def test_giving_it_back_takes_two_seconds_at_most(writer: InProcessWriter, cluster: Shelf) -> None:
    async with held_by(writer, "a"):
        writer.slow(3600.0)

    assert now() == 2
    assert spec(cluster).holder_identity == "a"


async def test_a_cancelled_program_ends(writer: InProcessWriter) -> None:
    async def work() -> None:
        async with held_by(writer, "a"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(30)
    task.cancel()
    await asyncio.wait([task], timeout=1)

    assert task.cancelled()


async def test_a_cancellation_at_the_moment_of_giving_it_back_is_not_swallowed(writer: InProcessWriter) -> None:
    """The work has ended, the renewal is being ended, and now the program shall end."""

    async def work() -> None:
        async with held_by(writer, "a"):
            await asyncio.sleep(5.5)
            asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.wait([task], timeout=10)

    assert task.cancelled()


# ---- the API server


async def test_what_keeps_it_from_being_taken_is_told(writer: InProcessWriter) -> None:
    lock = a_lock(writer)
    writer.fail("create leases", FORBIDDEN, times=3)

    async def take() -> None:
        async with lock.hold():
            assert lock.waits_for == ""

    task = asyncio.create_task(take())
    await asyncio.sleep(1)
    assert lock.waits_for == "403 Forbidden: leases is forbidden"
    await task


async def test_an_api_server_that_hangs_is_asked_again(writer: InProcessWriter) -> None:
    writer.slow(3600.0)
    lock = a_lock(writer)

    async def take() -> None:
        async with lock.hold():
            pass

    task = asyncio.create_task(take())
    await asyncio.sleep(60)
    assert lock.waits_for == "the API server does not answer"
    writer.slow(0.0)
    await asyncio.wait_for(task, 10)


async def test_a_holder_that_is_cut_off_stops_trusting_its_lease(writer: InProcessWriter) -> None:
    """Well before another may take it; and trusts it again when it was renewed, if nobody has taken it."""
    async with held_by(writer, "a") as held:
        await asyncio.sleep(DEFAULT.lease_renew + 0.001)
        writer.fail("get leases", times=-1)
        await asyncio.sleep(DEFAULT.lease_trusted - 0.1)
        assert trusted(held)
        await asyncio.sleep(0.2)
        assert (trusted(held), held.lost) == (False, False)

        writer.recover()
        await asyncio.sleep(DEFAULT.lease_retry + 0.001)
        assert trusted(held)


@pytest.mark.parametrize("call", ["get leases", "update leases"])
async def test_two_failures_in_a_row_do_not_shake_it(writer: InProcessWriter, call: str) -> None:
    async with held_by(writer, "a") as held:
        for _ in range(10):
            writer.fail(call, times=2)
            for _ in range(120):
                await asyncio.sleep(0.1)
                assert trusted(held)


async def test_one_call_that_hangs_does_not_shake_it(writer: InProcessWriter) -> None:
    async with held_by(writer, "a") as held:
        await asyncio.sleep(4.9)
        writer.slow(3600.0)
        await asyncio.sleep(1)
        writer.slow(0.0)
        for _ in range(200):
            await asyncio.sleep(0.1)
            assert trusted(held)


async def test_a_holder_that_comes_back_too_late_has_lost_it(cluster: Shelf) -> None:
    writer = InProcessWriter(cluster)
    async with held_by(writer, "a") as first:
        writer.fail("get leases", times=-1)
        async with held_by(InProcessWriter(cluster), "b") as second:
            assert not trusted(first)
            writer.recover()
            await asyncio.sleep(DEFAULT.lease_retry + DEFAULT.lease_renew)
            assert (first.lost, trusted(first), trusted(second)) == (True, False, True)

    assert spec(cluster).holder_identity == ""


@pytest.mark.parametrize("call", ["create leases", "update leases"])
async def test_a_lost_answer_to_taking_it(cluster: Shelf, call: str) -> None:
    """It is taken again, by the same program, under a later epoch."""
    writer = InProcessWriter(cluster)
    if call == "update leases":
        cluster.write_lease(NAME, LeaseSpec(holder_identity="", lease_transitions=4))
    writer.fail(call, effective=True)

    async with held_by(writer, "a") as held:
        assert now() == DEFAULT.lease_retry
        assert held.epoch == spec(cluster).lease_transitions == (6 if call == "update leases" else 2)


async def test_a_lost_answer_to_a_renewal(writer: InProcessWriter, cluster: Shelf) -> None:
    async with held_by(writer, "a") as held:
        writer.fail("update leases", effective=True, times=2)
        for _ in range(300):
            await asyncio.sleep(0.1)
            assert trusted(held)
        assert spec(cluster).lease_transitions == 1


async def test_who_comes_second_in_a_race_looks_again(writer: InProcessWriter) -> None:
    writer.fail("create leases", ConflictError(409, "AlreadyExists", NAME))

    async with held_by(writer, "a"):
        assert now() == DEFAULT.lease_retry


async def test_somebody_else_who_writes_the_lease_takes_it(writer: InProcessWriter, cluster: Shelf) -> None:
    async with held_by(writer, "a") as held:
        cluster.write_lease(NAME, LeaseSpec(holder_identity="kubectl", lease_transitions=1))
        await asyncio.sleep(DEFAULT.lease_renew + 0.001)
        assert held.lost
    with contextlib.suppress(KeyError):
        assert spec(cluster).holder_identity == "kubectl"


async def test_it_is_trusted_from_before_it_was_asked_for(writer: InProcessWriter) -> None:
    """When the API server got to it is not known: it may have been at once."""
    writer.slow(1.0)
    async with held_by(writer, "a") as held:
        assert now() == 4
        writer.fail("get leases", times=-1)
        await asyncio.sleep(DEFAULT.lease_trusted - 4 - 0.1)
        assert trusted(held)
        await asyncio.sleep(0.2)
        assert not trusted(held)


async def test_the_same_program_takes_its_own_lease_again(cluster: Shelf) -> None:
    """After a change of the config: the medic that ends must not give away what the new one has taken."""
    writer = InProcessWriter(cluster)
    async with contextlib.AsyncExitStack() as later:
        async with held_by(writer, "a"):
            second = await later.enter_async_context(held_by(writer, "a"))
            assert (now(), second.epoch) == (0, 2)
        assert spec(cluster).holder_identity == "a"
        await asyncio.sleep(30)
        assert trusted(second)


async def test_the_older_of_the_two_knows_that_it_has_lost(cluster: Shelf) -> None:
    writer = InProcessWriter(cluster)
    async with held_by(writer, "a") as first, held_by(writer, "a") as second:
        await asyncio.sleep(DEFAULT.lease_renew + 0.001)
        assert (first.lost, trusted(second)) == (True, True)
