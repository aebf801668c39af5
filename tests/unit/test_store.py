"""The journal's place: compare-and-swap, many callers at once, lost answers, and journals that can't be used."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
import pytest

from exporter.kube_api import ApiError, ApiUnreachableError, ConflictError, NotFoundError
from tests.support.memory_writer import JOURNAL, TIMED_OUT, MemoryCluster, MemoryWriter
from tests.support.moments import at
from webhook.journal import MAX_RUNS, Journal, Outcome, Run, note
from webhook.store import FencedError, ForeignJournalError, JournalLostError, Store

pytestmark = pytest.mark.looptime

CONFLICT = ConflictError(409, "Conflict", "the object has been modified")
FORBIDDEN = ApiError(403, "Forbidden", "configmaps is forbidden")


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


@pytest.fixture
def writer(cluster: MemoryCluster) -> MemoryWriter:
    return MemoryWriter(cluster)


@pytest.fixture
def store(writer: MemoryWriter) -> Store:
    return a_store(writer)


def a_store(writer: MemoryWriter, foundation: str = "cf") -> Store:
    return Store(name=JOURNAL, foundation=foundation, writer=writer)


def noting(text: str) -> Callable[[Journal], tuple[Journal, str]]:
    """A change: one more note, each with a text of its own."""
    return lambda journal: (note(journal, text, at(0)), text)


def texts(journal: Journal) -> list[str]:
    return [each.text for each in journal.notes]


def nothing(journal: Journal) -> tuple[Journal, int]:
    return journal, len(journal.notes)


def run(number: int) -> Run:
    return Run(
        id=f"cf-{number}",
        foundation="cf",
        runbook="restart-diego-api",
        mode="auto",
        started=at(number),
        outcome=Outcome.FAILED,
    )


# ---- reading and writing


async def test_a_foundation_that_was_never_acted_on_has_an_empty_journal(store: Store, cluster: MemoryCluster) -> None:
    assert await store.refresh() == Journal(foundation="cf")
    assert cluster.config_maps == {}


async def test_a_change_is_on_record_when_its_result_is_there(store: Store, cluster: MemoryCluster) -> None:
    assert await store.update(noting("one")) == "one"
    assert await store.update(noting("two")) == "two"

    assert texts(cluster.journal()) == ["one", "two"]
    assert store.journal == cluster.journal()
    assert (cluster.config_maps[JOURNAL].data or {})["foundation"] == "cf"


async def test_what_changes_nothing_is_not_written(store: Store, writer: MemoryWriter) -> None:
    await store.update(noting("one"))
    written = writer.calls["update configmaps"] + writer.calls["create configmaps"]

    assert await store.update(nothing) == 1
    assert writer.calls["update configmaps"] + writer.calls["create configmaps"] == written


async def test_what_would_change_nothing_in_an_old_journal_is_asked_of_the_new_one(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster
) -> None:
    """Another program has written since; an alert must not be told that it joins a run that has ended."""
    await store.update(noting("one"))
    await a_store(MemoryWriter(cluster)).update(noting("two"))

    assert await store.update(nothing) == 2


async def test_what_is_remembered_is_what_is_on_record(store: Store, cluster: MemoryCluster) -> None:
    """Also where writing it has trimmed it."""
    runs = tuple(run(number) for number in range(MAX_RUNS + 5))
    await store.update(lambda journal: (msgspec.structs.replace(journal, runs=runs), None))

    assert store.journal == cluster.journal()
    assert store.journal is not None
    assert len(store.journal.runs) == MAX_RUNS


async def test_what_stands_beside_the_journal_stays(store: Store, cluster: MemoryCluster) -> None:
    await store.update(noting("one"))
    cluster.write_config_map(JOURNAL, (cluster.config_maps[JOURNAL].data or {}) | {"mine": "a person's"})
    await store.refresh()

    await store.update(noting("two"))

    assert (cluster.config_maps[JOURNAL].data or {})["mine"] == "a person's"


async def test_news_are_told_once(store: Store, cluster: MemoryCluster) -> None:
    other = a_store(MemoryWriter(cluster))
    await store.refresh()
    store.changed.clear()
    await store.refresh()
    assert not store.changed.is_set()

    await other.update(noting("one"))
    await store.refresh()

    assert store.changed.is_set()


async def test_a_journal_that_is_not_read_any_more_is_shown_for_a_while(store: Store, writer: MemoryWriter) -> None:
    assert store.recent(60) is None
    await store.update(noting("one"))
    writer.fail("get configmaps", times=-1)
    await asyncio.sleep(60)
    with pytest.raises(ApiUnreachableError):
        await store.refresh()

    assert store.journal is None
    assert texts(store.recent(60) or Journal(foundation="")) == ["one"]
    await asyncio.sleep(0.001)
    assert store.recent(60) is None


# ---- many at once


async def test_two_hundred_at_once_cost_a_handful_of_writes(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster
) -> None:
    counted: Callable[[Journal], tuple[Journal, int]] = lambda journal: (  # noqa: E731 - a change is a function
        msgspec.structs.replace(journal, epoch=journal.epoch + 1),
        journal.epoch,
    )
    results = await asyncio.gather(*(store.update(counted) for _ in range(200)))

    assert sorted(results) == list(range(200))
    assert cluster.journal().epoch == 200
    assert writer.calls["update configmaps"] + writer.calls["create configmaps"] <= 3


async def test_programs_that_write_at_the_same_time_lose_nothing(cluster: MemoryCluster) -> None:
    writers = [MemoryWriter(cluster) for _ in range(4)]
    for number, each in enumerate(writers):
        each.latency = lambda number=number: 0.01 + number / 1000  # type: ignore[misc]
    stores = [a_store(each) for each in writers]

    await asyncio.gather(*(stores[number % 4].update(noting(f"note {number}")) for number in range(20)))

    assert sorted(texts(cluster.journal())) == sorted(f"note {number}" for number in range(20))


async def test_a_change_that_refuses_fails_only_its_caller(store: Store, cluster: MemoryCluster) -> None:
    def refusing(_journal: Journal) -> tuple[Journal, None]:
        raise RuntimeError("no")

    first, second, third = await asyncio.gather(
        store.update(noting("one")), store.update(refusing), store.update(noting("three")), return_exceptions=True
    )

    assert (first, repr(second), third) == ("one", "RuntimeError('no')", "three")
    assert texts(cluster.journal()) == ["one", "three"]


async def test_a_caller_who_gives_up_while_it_writes_takes_nobody_along(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster
) -> None:
    """The one that holds the pen for all of them is cut off by its deadline."""
    await store.refresh()
    writer.latency = lambda: 1.0
    first = asyncio.create_task(store.update(noting("first")))
    await asyncio.sleep(0.1)
    batch = [asyncio.create_task(store.update(noting(f"note {number}"))) for number in range(5)]
    await asyncio.sleep(2.5)  # the first is written, and the second caller writes for all five

    batch[0].cancel()

    assert await asyncio.gather(first, *batch[1:]) == ["first", "note 1", "note 2", "note 3", "note 4"]
    assert batch[0].cancelled()
    assert texts(cluster.journal()) == ["first", "note 1", "note 2", "note 3", "note 4"]


async def test_a_caller_who_gives_up_when_it_took_effect_leaves_no_double(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster
) -> None:
    """The others are applied again, on top of what is there: a change has to be safe to apply twice."""
    await store.refresh()
    writer.latency = lambda: 1.0
    first = asyncio.create_task(store.update(noting("first")))
    await asyncio.sleep(0.1)
    batch = [asyncio.create_task(store.update(lambda journal: (_epoch(journal, 9), "done"))) for _ in range(3)]
    await asyncio.sleep(3)  # on its way back

    assert cluster.journal().epoch == 9
    batch[0].cancel()

    assert await asyncio.gather(first, *batch[1:]) == ["first", "done", "done"]
    assert cluster.journal().epoch == 9


def _epoch(journal: Journal, epoch: int) -> Journal:
    return msgspec.structs.replace(journal, epoch=epoch)


async def test_a_caller_who_gives_up_waiting_asks_no_more(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster
) -> None:
    writer.latency = lambda: 1.0
    first = asyncio.create_task(store.update(noting("first")))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(store.update(noting("second")))
    third = asyncio.create_task(store.update(noting("third")))
    await asyncio.sleep(0.1)

    second.cancel()

    assert list(await asyncio.gather(first, third)) == ["first", "third"]
    assert texts(cluster.journal()) == ["first", "third"]


async def test_nobody_is_left_waiting_when_all_give_up(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster, caplog: pytest.LogCaptureFixture
) -> None:
    writer.latency = lambda: 1.0
    tasks = [asyncio.create_task(store.update(noting(f"note {number}"))) for number in range(5)]
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    writer.latency = lambda: 0.0
    assert await store.update(noting("later")) == "later"
    assert texts(cluster.journal()) == ["later"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# ---- what goes wrong on the way


async def test_a_conflict_is_read_and_applied_again(store: Store, cluster: MemoryCluster) -> None:
    await store.update(noting("one"))
    await a_store(MemoryWriter(cluster)).update(noting("two"))

    await store.update(noting("three"))

    assert texts(cluster.journal()) == ["one", "two", "three"]


async def test_two_programs_that_create_it_at_once(cluster: MemoryCluster) -> None:
    stores = [a_store(MemoryWriter(cluster)) for _ in range(2)]
    for each in stores:
        await each.refresh()

    await asyncio.gather(*(each.update(noting(f"note {number}")) for number, each in enumerate(stores)))

    assert texts(cluster.journal()) == ["note 0", "note 1"]


async def test_conflicts_without_an_end_are_given_up(store: Store, writer: MemoryWriter) -> None:
    writer.fail("create configmaps", CONFLICT, times=-1)

    with pytest.raises(ApiUnreachableError, match="20 conflicts in a row"):
        await store.update(noting("one"))


@pytest.mark.parametrize("error", [TIMED_OUT, FORBIDDEN])
async def test_what_could_not_be_written_is_told_to_every_caller(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster, error: Exception
) -> None:
    await store.update(noting("one"))
    writer.fail("update configmaps", error, times=-1)

    results = await asyncio.gather(*(store.update(noting("two")) for _ in range(3)), return_exceptions=True)

    assert results == [error] * 3
    assert texts(cluster.journal()) == ["one"]
    assert store.journal is None


async def test_a_lost_answer_is_an_error_and_what_is_there_is_read_anew(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster
) -> None:
    """Whether it took effect is not known; a change that is safe to apply twice is made again by its caller."""
    await store.update(noting("one"))
    writer.fail("update configmaps", effective=True)

    with pytest.raises(ApiUnreachableError):
        await store.update(lambda journal: (_epoch(journal, 7), None))

    assert cluster.journal().epoch == 7
    assert await store.update(lambda journal: (_epoch(journal, 7), journal.epoch)) == 7
    assert writer.calls["update configmaps"] == 1


async def test_a_lost_answer_of_the_creation(store: Store, writer: MemoryWriter, cluster: MemoryCluster) -> None:
    writer.fail("create configmaps", effective=True)
    with pytest.raises(ApiUnreachableError):
        await store.update(noting("one"))

    await store.update(noting("two"))

    assert texts(cluster.journal()) == ["one", "two"]


async def test_a_namespace_that_is_missing_is_no_lost_journal(store: Store, writer: MemoryWriter) -> None:
    writer.fail("create configmaps", NotFoundError(404, "NotFound", 'namespaces "cf" not found'))

    with pytest.raises(NotFoundError):
        await store.update(noting("one"))
    await store.update(noting("two"))


# ---- the epoch


async def test_a_holder_from_before_is_fenced(store: Store, cluster: MemoryCluster) -> None:
    await store.update(noting("old"), epoch=3)
    await a_store(MemoryWriter(cluster)).update(nothing, epoch=4)

    with pytest.raises(FencedError):
        await store.update(noting("late"), epoch=3)

    assert texts(cluster.journal()) == ["old"]
    assert (cluster.journal().epoch, store.epoch) == (4, 4)


async def test_who_holds_no_lease_writes_beside_the_holder(store: Store, cluster: MemoryCluster) -> None:
    await store.update(nothing, epoch=4)
    await store.update(noting("an alert"))

    assert (texts(cluster.journal()), cluster.journal().epoch) == (["an alert"], 4)


async def test_one_that_is_fenced_fails_alone(store: Store) -> None:
    await store.update(nothing, epoch=4)

    fenced, current = await asyncio.gather(
        store.update(noting("late"), epoch=3), store.update(noting("now"), epoch=4), return_exceptions=True
    )

    assert isinstance(fenced, FencedError)
    assert current == "now"


async def test_the_epoch_is_known_while_the_journal_is_not(store: Store, writer: MemoryWriter) -> None:
    assert store.epoch == 0
    await store.update(nothing, epoch=4)
    writer.fail("get configmaps")
    with pytest.raises(ApiUnreachableError):
        await store.refresh()

    assert (store.journal, store.epoch) == (None, 4)


async def test_the_journal_is_known_while_it_is_read(store: Store, writer: MemoryWriter) -> None:
    await store.update(noting("one"))
    writer.latency = lambda: 1.0
    reading = asyncio.create_task(store.refresh())
    await asyncio.sleep(0.5)

    assert store.journal is not None
    await reading


# ---- journals that can't be used


async def test_the_journal_of_another_foundation_is_not_touched(cluster: MemoryCluster, writer: MemoryWriter) -> None:
    await a_store(writer, "other").update(noting("one"))
    before = cluster.config_maps[JOURNAL]
    store = a_store(writer)

    for attempt in (store.refresh(), store.update(noting("two")), store.reset_lost()):
        with pytest.raises(ForeignJournalError) as refused:
            await attempt
        assert refused.value.reason == "foreign-journal"

    assert cluster.config_maps[JOURNAL] == before


async def test_a_foreign_journal_that_is_unreadable_is_foreign(store: Store, cluster: MemoryCluster) -> None:
    """It is not ours to begin anew."""
    cluster.write_config_map(JOURNAL, {"foundation": "other", "journal.json": "junk"})

    with pytest.raises(ForeignJournalError):
        await store.reset_lost()


async def test_it_is_foreign_by_what_is_inside_as_well(store: Store, cluster: MemoryCluster) -> None:
    cluster.put_journal(Journal(foundation="other"))
    cluster.write_config_map(JOURNAL, (cluster.config_maps[JOURNAL].data or {}) | {"foundation": "cf"})

    with pytest.raises(ForeignJournalError):
        await store.refresh()


UNREADABLE = [
    None,
    {},
    {"foundation": "cf"},
    {"foundation": "cf", "journal.json": ""},
    {"foundation": "cf", "journal.json": '{"version": 2}'},
    {"journal.json": "junk"},
]


@pytest.mark.parametrize("data", UNREADABLE)
async def test_a_journal_that_is_unreadable_is_lost(
    store: Store, cluster: MemoryCluster, data: dict[str, str] | None
) -> None:
    cluster.write_config_map(JOURNAL, data)

    for attempt in (store.refresh(), store.update(noting("one"))):
        with pytest.raises(JournalLostError) as refused:
            await attempt
        assert refused.value.reason == "journal-lost"
    assert cluster.config_maps[JOURNAL].data == data


@pytest.mark.parametrize("known_by", ["reading", "writing", "an unreadable one"])
async def test_a_journal_that_is_gone_while_it_was_known_is_lost(
    store: Store, cluster: MemoryCluster, known_by: str
) -> None:
    if known_by == "reading":
        cluster.put_journal(Journal(foundation="cf"))
        await store.refresh()
    elif known_by == "writing":
        await store.update(noting("one"))
    else:
        cluster.write_config_map(JOURNAL, {"foundation": "cf", "journal.json": "junk"})
        with pytest.raises(JournalLostError):
            await store.refresh()
    del cluster.config_maps[JOURNAL]

    for attempt in (store.update(noting("two")), store.refresh(), store.update(nothing)):
        with pytest.raises(JournalLostError, match="was there and is gone"):
            await attempt
    assert cluster.config_maps == {}


async def test_a_journal_that_comes_back_is_used_again(store: Store, cluster: MemoryCluster) -> None:
    await store.update(noting("one"))
    kept = cluster.config_maps.pop(JOURNAL)
    with pytest.raises(JournalLostError):
        await store.refresh()
    cluster.config_maps[JOURNAL] = kept

    await store.update(noting("two"))

    assert texts(cluster.journal()) == ["one", "two"]


# ---- reset


@pytest.mark.parametrize("data", UNREADABLE)
async def test_a_person_begins_a_lost_journal_anew(
    store: Store, cluster: MemoryCluster, data: dict[str, str] | None
) -> None:
    """The old text is kept beside it, and is still there after the next write."""
    cluster.write_config_map(JOURNAL, data)

    assert await store.reset_lost() is True
    await store.update(noting("one"))

    assert texts(cluster.journal()) == ["one"]
    assert (cluster.config_maps[JOURNAL].data or {}).get("lost") == (data or {}).get("journal.json")


async def test_a_person_begins_one_anew_that_is_gone(store: Store, cluster: MemoryCluster) -> None:
    await store.update(noting("one"))
    del cluster.config_maps[JOURNAL]

    assert await store.reset_lost() is True
    assert cluster.journal() == Journal(foundation="cf")
    await store.update(noting("two"))


async def test_a_journal_that_is_there_is_not_begun_anew(store: Store, cluster: MemoryCluster) -> None:
    assert await store.reset_lost() is False
    await store.update(noting("one"))

    assert await store.reset_lost() is False
    assert texts(cluster.journal()) == ["one"]


async def test_what_can_not_be_read_for_now_is_not_lost(
    store: Store, writer: MemoryWriter, cluster: MemoryCluster
) -> None:
    await store.update(noting("one"))
    writer.fail("get configmaps")

    with pytest.raises(ApiUnreachableError):
        await store.reset_lost()

    assert texts(cluster.journal()) == ["one"]
