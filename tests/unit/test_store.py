"""The journal's place: compare-and-swap, what goes wrong on the way, and holders from before."""

import asyncio

import msgspec
import pytest

from exporter.kubernetes.api import ApiUnreachableError, KubernetesError, NotFoundError
from tests.support.inprocess import JOURNAL, TIMED_OUT, InProcessWriter, Shelf
from tests.support.stores import CONFLICT, FORBIDDEN, a_store, nothing, noting, run, texts, with_epoch
from webhook.record.errors import FencedError
from webhook.record.journal import MAX_RUNS, Journal
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


async def test_a_foundation_that_was_never_acted_on_has_an_empty_journal(store: Store, cluster: Shelf) -> None:
    assert await store.refresh() == Journal(foundation="cf")
    assert cluster.config_maps == {}


async def test_a_change_is_on_record_when_its_result_is_there(store: Store, cluster: Shelf) -> None:
    assert await store.update(noting("one")) == "one"
    assert await store.update(noting("two")) == "two"

    assert texts(cluster.journal()) == ["one", "two"]
    assert store.journal == cluster.journal()
    assert (cluster.config_maps[JOURNAL].data or {})["foundation"] == "cf"


async def test_what_changes_nothing_is_not_written(store: Store, writer: InProcessWriter) -> None:
    await store.update(noting("one"))
    written = writer.calls["update configmaps"] + writer.calls["create configmaps"]

    assert await store.update(nothing) == 1
    assert writer.calls["update configmaps"] + writer.calls["create configmaps"] == written


async def test_what_would_change_nothing_in_an_old_journal_is_asked_of_the_new_one(
    store: Store, writer: InProcessWriter, cluster: Shelf
) -> None:
    """Another program has written since; an alert must not be told that it joins a run that has ended."""
    await store.update(noting("one"))
    await a_store(InProcessWriter(cluster)).update(noting("two"))

    assert await store.update(nothing) == 2


async def test_what_is_remembered_is_what_is_on_record(store: Store, cluster: Shelf) -> None:
    """Also where writing it has trimmed it."""
    runs = tuple(run(number) for number in range(MAX_RUNS + 5))
    await store.update(lambda journal: (msgspec.structs.replace(journal, runs=runs), None))

    assert store.journal == cluster.journal()
    assert store.journal is not None
    assert len(store.journal.runs) == MAX_RUNS


async def test_what_stands_beside_the_journal_stays(store: Store, cluster: Shelf) -> None:
    await store.update(noting("one"))
    cluster.write_config_map(JOURNAL, (cluster.config_maps[JOURNAL].data or {}) | {"mine": "a person's"})
    await store.refresh()

    await store.update(noting("two"))

    assert (cluster.config_maps[JOURNAL].data or {})["mine"] == "a person's"


async def test_news_are_told_once(store: Store, cluster: Shelf) -> None:
    other = a_store(InProcessWriter(cluster))
    await store.refresh()
    seen = store.changed.count
    await store.refresh()
    assert store.changed.count == seen

    await other.update(noting("one"))
    await store.refresh()

    assert store.changed.count == seen + 1


async def test_a_journal_that_is_not_read_any_more_is_shown_for_a_while(store: Store, writer: InProcessWriter) -> None:
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


# ---- what goes wrong on the way


async def test_a_conflict_is_read_and_applied_again(store: Store, cluster: Shelf) -> None:
    await store.update(noting("one"))
    await a_store(InProcessWriter(cluster)).update(noting("two"))

    await store.update(noting("three"))

    assert texts(cluster.journal()) == ["one", "two", "three"]


async def test_two_programs_that_create_it_at_once(cluster: Shelf) -> None:
    stores = [a_store(InProcessWriter(cluster)) for _ in range(2)]
    for each in stores:
        await each.refresh()

    await asyncio.gather(*(each.update(noting(f"note {number}")) for number, each in enumerate(stores)))

    assert texts(cluster.journal()) == ["note 0", "note 1"]


async def test_conflicts_without_an_end_are_given_up(store: Store, writer: InProcessWriter) -> None:
    writer.fail("create configmaps", CONFLICT, times=-1)

    with pytest.raises(ApiUnreachableError, match="20 conflicts in a row"):
        await store.update(noting("one"))


@pytest.mark.parametrize("error", [TIMED_OUT, FORBIDDEN])
async def test_what_could_not_be_written_is_told_to_every_caller(
    store: Store, writer: InProcessWriter, cluster: Shelf, error: KubernetesError
) -> None:
    await store.update(noting("one"))
    writer.fail("update configmaps", error, times=-1)

    results = await asyncio.gather(*(store.update(noting("two")) for _ in range(3)), return_exceptions=True)

    assert [str(each) for each in results] == [str(error)] * 3
    assert texts(cluster.journal()) == ["one"]
    assert store.journal is None


async def test_a_lost_answer_is_an_error_and_what_is_there_is_read_anew(
    store: Store, writer: InProcessWriter, cluster: Shelf
) -> None:
    """Whether it took effect is not known; a change that is safe to apply twice is made again by its caller."""
    await store.update(noting("one"))
    writer.fail("update configmaps", effective=True)

    with pytest.raises(ApiUnreachableError):
        await store.update(lambda journal: (with_epoch(journal, 7), None))

    assert cluster.journal().epoch == 7
    assert await store.update(lambda journal: (with_epoch(journal, 7), journal.epoch)) == 7
    assert writer.calls["update configmaps"] == 1


async def test_a_lost_answer_of_the_creation(store: Store, writer: InProcessWriter, cluster: Shelf) -> None:
    writer.fail("create configmaps", effective=True)
    with pytest.raises(ApiUnreachableError):
        await store.update(noting("one"))

    await store.update(noting("two"))

    assert texts(cluster.journal()) == ["one", "two"]


async def test_a_namespace_that_is_missing_is_no_lost_journal(store: Store, writer: InProcessWriter) -> None:
    writer.fail("create configmaps", NotFoundError(404, "NotFound", 'namespaces "cf" not found'))

    with pytest.raises(NotFoundError):
        await store.update(noting("one"))
    await store.update(noting("two"))


# ---- the epoch


async def test_a_holder_from_before_is_fenced(store: Store, cluster: Shelf) -> None:
    await store.update(noting("old"), epoch=3)
    await a_store(InProcessWriter(cluster)).update(nothing, epoch=4)

    with pytest.raises(FencedError):
        await store.update(noting("late"), epoch=3)

    assert texts(cluster.journal()) == ["old"]
    assert (cluster.journal().epoch, store.epoch) == (4, 4)


async def test_of_two_holders_with_the_same_epoch_one_claims_the_journal(store: Store, cluster: Shelf) -> None:
    """Somebody deleted the Lease twice in a moment."""
    await store.claim(4)

    with pytest.raises(FencedError, match="epoch 4 is on record, so 4 is not new"):
        await a_store(InProcessWriter(cluster)).claim(4)
    await a_store(InProcessWriter(cluster)).claim(5)

    assert cluster.journal().epoch == 5


async def test_who_holds_no_lease_writes_beside_the_holder(store: Store, cluster: Shelf) -> None:
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


async def test_the_epoch_is_known_while_the_journal_is_not(store: Store, writer: InProcessWriter) -> None:
    assert store.epoch == 0
    await store.update(nothing, epoch=4)
    writer.fail("get configmaps")
    with pytest.raises(ApiUnreachableError):
        await store.refresh()

    assert (store.journal, store.epoch) == (None, 4)


async def test_the_journal_is_known_while_it_is_read(store: Store, writer: InProcessWriter) -> None:
    await store.update(noting("one"))
    writer.slow(1.0)
    reading = asyncio.create_task(store.refresh())
    await asyncio.sleep(0.5)

    assert store.journal is not None
    await reading
