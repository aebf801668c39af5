"""The lease between programs, in virtual time: who waits for whom, and for how long."""

import asyncio
from datetime import datetime
from itertools import pairwise

import msgspec
import pytest

from tests.support.clocks import LoopClock
from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.leases import NAME, a_lock, die, held_by, now, seconds_to_take, spec, trusted
from webhook.timings import DEFAULT
from webhook.writer import LeaseSpec

pytestmark = pytest.mark.looptime


@pytest.fixture
def cluster() -> Shelf:
    return Shelf()


@pytest.fixture
def writer(cluster: Shelf) -> InProcessWriter:
    return InProcessWriter(cluster)


async def test_another_waits_until_the_holder_was_silent_for_its_duration(cluster: Shelf) -> None:
    await die(cluster)

    waited = await seconds_to_take(InProcessWriter(cluster))

    assert DEFAULT.lease_duration < waited <= DEFAULT.lease_duration + 2 * DEFAULT.lease_retry


@pytest.mark.parametrize("skew", [-86_400.0, 86_400.0])
async def test_silence_is_measured_by_ones_own_clock(cluster: Shelf, skew: float) -> None:
    """The holder's renewals look a day old, or a day ahead: what counts is that they go on."""
    holder = a_lock(InProcessWriter(cluster), clock=LoopClock(1_000_000 + skew))
    waiting = a_lock(InProcessWriter(cluster), "b")

    async def wait() -> None:
        async with waiting.hold():
            pass

    async with holder.hold() as held:
        task = asyncio.create_task(wait())
        await asyncio.sleep(120)
        assert not task.done()
        assert trusted(held)
        assert waiting.waits_for == "held by a"
    await task
    assert waiting.waits_for == ""


async def test_the_duration_is_the_holders(cluster: Shelf) -> None:
    cluster.write_lease(NAME, LeaseSpec(holder_identity="other", lease_duration_seconds=60, lease_transitions=5))

    assert 60 < await seconds_to_take(InProcessWriter(cluster)) <= 60 + 2 * DEFAULT.lease_retry


@pytest.mark.parametrize(("edited", "seconds"), [(1, 15), (-1, 15), (2**31 - 1, 3600)])
async def test_a_duration_that_a_person_wrote_is_taken_within_reason(
    cluster: Shelf, edited: int, seconds: float
) -> None:
    """No shorter than its holder trusts it, and no longer than anybody can wait."""
    cluster.write_lease(NAME, LeaseSpec(holder_identity="other", lease_duration_seconds=edited, lease_transitions=5))

    assert seconds < await seconds_to_take(InProcessWriter(cluster)) <= seconds + 2 * DEFAULT.lease_retry


@pytest.mark.parametrize("name", ["", None])
async def test_a_lease_whose_holder_was_removed_by_hand_is_taken_once_he_knows(
    cluster: Shelf, writer: InProcessWriter, name: str | None
) -> None:
    """Who gives it back leaves no renewTime: that is the control, `test_a_free_lease_is_taken_at_once`."""
    async with held_by(writer, "a") as held:
        await asyncio.sleep(1)
        cluster.write_lease(NAME, msgspec.structs.replace(spec(cluster), holder_identity=name))
        taking = asyncio.create_task(seconds_to_take(InProcessWriter(cluster)))
        await asyncio.sleep(DEFAULT.lease_renew - 1)
        assert trusted(held)
        assert not taking.done()
        await asyncio.sleep(0.1)
        assert held.lost
    assert await taking > DEFAULT.lease_duration


async def test_each_sign_of_life_begins_the_wait_anew(cluster: Shelf) -> None:
    await die(cluster)
    task = asyncio.create_task(seconds_to_take(InProcessWriter(cluster)))
    await asyncio.sleep(14)
    cluster.write_lease(
        NAME, msgspec.structs.replace(spec(cluster), renew_time=datetime.fromisoformat("2026-01-31T00Z"))
    )

    assert await task > 14 + DEFAULT.lease_duration


@pytest.mark.parametrize("holder", ["", None])
async def test_a_free_lease_is_taken_at_once(cluster: Shelf, holder: str | None) -> None:
    cluster.write_lease(NAME, LeaseSpec(holder_identity=holder, lease_transitions=41))

    async with held_by(InProcessWriter(cluster), "b") as held:
        assert (now(), held.epoch) == (0, 42)


async def test_the_epoch_grows_with_every_holder_and_with_what_the_journal_knows(cluster: Shelf) -> None:
    epochs = []
    for identity, known in (("a", 0), ("b", 0), ("a", 9), ("a", 0)):
        async with held_by(InProcessWriter(cluster), identity, epoch=known) as held:
            epochs.append(held.epoch)

    assert epochs == [1, 2, 10, 11]


async def test_one_of_many_takes_it_and_then_the_next(cluster: Shelf) -> None:
    taken: list[tuple[str, int, float]] = []

    async def take(identity: str) -> None:
        async with held_by(InProcessWriter(cluster), identity) as held:
            taken.append((identity, held.epoch, now()))
            await asyncio.sleep(10)

    await asyncio.gather(*(take(identity) for identity in "abcd"))

    assert sorted(identity for identity, _, _ in taken) == list("abcd")
    assert [epoch for _, epoch, _ in taken] == [1, 2, 3, 4]
    assert all(later - earlier >= 10 for (*_, earlier), (*_, later) in pairwise(taken))


# ---- deleted


async def test_where_somebody_acted_before_a_missing_lease_is_waited_for(cluster: Shelf) -> None:
    """Its holder may not know yet that it is gone; the journal's epoch says that there was one."""
    async with held_by(InProcessWriter(cluster), "b", epoch=6) as held:
        assert DEFAULT.lease_duration < now() <= DEFAULT.lease_duration + 2 * DEFAULT.lease_retry
        assert held.epoch == 7


async def test_a_lease_that_came_and_went_between_two_looks_is_noticed_by_its_epoch(cluster: Shelf) -> None:
    """Two looks found none, 15 s apart; in between somebody has taken it, and the lease was deleted once more."""
    known = [6]
    lock = a_lock(InProcessWriter(cluster), "b")

    async def take() -> float:
        async with lock.hold(least_epoch=lambda: known[0]):
            return now()

    taking = asyncio.create_task(take())
    await asyncio.sleep(13)
    known[0] = 7  # what the other holder has written into the journal

    assert await taking > 13 + DEFAULT.lease_duration


async def test_a_holder_whose_lease_was_deleted_has_lost_it(writer: InProcessWriter, cluster: Shelf) -> None:
    async with held_by(writer, "a") as held:
        cluster.delete("leases", NAME)
        await asyncio.sleep(DEFAULT.lease_renew + 0.001)
        assert (held.lost, trusted(held)) == (True, False)

    assert cluster.leases == {}


async def test_a_deleted_lease_is_not_taken_while_its_holder_trusts_it(cluster: Shelf) -> None:
    async with held_by(InProcessWriter(cluster), "a") as first:
        waiting = asyncio.create_task(seconds_to_take(InProcessWriter(cluster), epoch=1))
        await asyncio.sleep(7)
        cluster.delete("leases", NAME)
        while not waiting.done():
            await asyncio.sleep(0.1)
            assert not (trusted(first) and NAME in cluster.leases)

    assert await waiting > 7 + DEFAULT.lease_duration
