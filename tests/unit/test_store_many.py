"""Many callers of one store at the same time: a handful of writes, and nobody's change is lost or done twice."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
import pytest

from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.stores import a_store, noting, texts, with_epoch
from webhook.record.journal import Journal
from webhook.record.store import Store

pytestmark = pytest.mark.looptime


@pytest.fixture
def cluster() -> Shelf:
    return Shelf()


@pytest.fixture
def writer(cluster: Shelf) -> InProcessWriter:
    return InProcessWriter(cluster)


@pytest.fixture
def store(writer: InProcessWriter) -> Store:
    return a_store(writer)


async def test_two_hundred_at_once_cost_a_handful_of_writes(
    store: Store, writer: InProcessWriter, cluster: Shelf
) -> None:
    counted: Callable[[Journal], tuple[Journal, int]] = lambda journal: (  # noqa: E731 - a change is a function
        msgspec.structs.replace(journal, epoch=journal.epoch + 1),
        journal.epoch,
    )
    results = await asyncio.gather(*(store.update(counted) for _ in range(200)))

    assert sorted(results) == list(range(200))
    assert cluster.journal().epoch == 200
    assert writer.calls["update configmaps"] + writer.calls["create configmaps"] <= 3


async def test_programs_that_write_at_the_same_time_lose_nothing(cluster: Shelf) -> None:
    writers = [InProcessWriter(cluster) for _ in range(4)]
    for number, each in enumerate(writers):
        each.slow(0.01 + number / 1000)
    stores = [a_store(each) for each in writers]

    await asyncio.gather(*(stores[number % 4].update(noting(f"note {number}")) for number in range(20)))

    assert sorted(texts(cluster.journal())) == sorted(f"note {number}" for number in range(20))


async def test_a_change_that_refuses_fails_only_its_caller(store: Store, cluster: Shelf) -> None:
    def refusing(_journal: Journal) -> tuple[Journal, None]:
        raise RuntimeError("no")

    first, second, third = await asyncio.gather(
        store.update(noting("one")), store.update(refusing), store.update(noting("three")), return_exceptions=True
    )

    assert (first, repr(second), third) == ("one", "RuntimeError('no')", "three")
    assert texts(cluster.journal()) == ["one", "three"]


async def test_a_caller_who_gives_up_while_it_writes_takes_nobody_along(
    store: Store, writer: InProcessWriter, cluster: Shelf
) -> None:
    """The one that holds the pen for all of them is cut off by its deadline."""
    await store.refresh()
    writer.slow(1.0)
    first = asyncio.create_task(store.update(noting("first")))
    await asyncio.sleep(0.1)
    batch = [asyncio.create_task(store.update(noting(f"note {number}"))) for number in range(5)]
    writer.hang("update configmaps")  # it is lost on its way
    await asyncio.sleep(2.5)  # the first is written, and the second caller writes for all five

    batch[0].cancel()
    writer.recover()

    assert await asyncio.gather(first, *batch[1:]) == ["first", "note 1", "note 2", "note 3", "note 4"]
    assert batch[0].cancelled()
    assert texts(cluster.journal()) == ["first", "note 1", "note 2", "note 3", "note 4"]


async def test_a_caller_who_gives_up_when_it_took_effect_leaves_no_double(
    store: Store, writer: InProcessWriter, cluster: Shelf
) -> None:
    """The others are applied again, on top of what is there: a change has to be safe to apply twice."""
    await store.refresh()
    writer.slow(1.0)
    first = asyncio.create_task(store.update(noting("first")))
    await asyncio.sleep(0.1)
    batch = [asyncio.create_task(store.update(lambda journal: (with_epoch(journal, 9), "done"))) for _ in range(3)]
    await asyncio.sleep(7)  # on its way back: the Lease is read before and after a journal is created

    assert cluster.journal().epoch == 9
    batch[0].cancel()

    assert await asyncio.gather(first, *batch[1:]) == ["first", "done", "done"]
    assert cluster.journal().epoch == 9


async def test_a_caller_who_gives_up_waiting_asks_no_more(
    store: Store, writer: InProcessWriter, cluster: Shelf
) -> None:
    writer.slow(1.0)
    first = asyncio.create_task(store.update(noting("first")))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(store.update(noting("second")))
    third = asyncio.create_task(store.update(noting("third")))
    await asyncio.sleep(0.1)

    second.cancel()

    assert list(await asyncio.gather(first, third)) == ["first", "third"]
    assert texts(cluster.journal()) == ["first", "third"]


async def test_nobody_is_left_waiting_when_all_give_up(
    store: Store, writer: InProcessWriter, cluster: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    writer.slow(1.0)
    tasks = [asyncio.create_task(store.update(noting(f"note {number}"))) for number in range(5)]
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    writer.slow(0.0)
    assert await store.update(noting("later")) == "later"
    assert texts(cluster.journal()) == ["later"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
