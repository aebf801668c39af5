"""Journals that can't be used: another's, unreadable or gone; and how a person begins one anew."""

import pytest

from exporter.kubernetes.api import ApiUnreachableError
from sandbox.transport import Request
from tests.support.inprocess import JOURNAL, InProcessWriter, Shelf
from tests.support.stores import a_store, nothing, noting, texts
from webhook.record.errors import ForeignJournalError, JournalLostError
from webhook.record.journal import Journal
from webhook.record.lease import JOURNAL_UID
from webhook.record.store import Store
from webhook.writer import LeaseSpec

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


async def test_the_journal_of_another_foundation_is_not_touched(cluster: Shelf, writer: InProcessWriter) -> None:
    await a_store(writer, "other").update(noting("one"))
    before = cluster.config_maps[JOURNAL]
    store = a_store(writer)

    for attempt in (store.refresh(), store.update(noting("two")), store.reset_lost()):
        with pytest.raises(ForeignJournalError) as refused:
            await attempt
        assert refused.value.reason == "foreign-journal"

    assert cluster.config_maps[JOURNAL] == before


async def test_a_foreign_journal_that_is_unreadable_is_foreign(store: Store, cluster: Shelf) -> None:
    """It is not ours to begin anew."""
    cluster.write_config_map(JOURNAL, {"foundation": "other", "journal.json": "junk"})

    with pytest.raises(ForeignJournalError):
        await store.reset_lost()


async def test_it_is_foreign_by_what_is_inside_as_well(store: Store, cluster: Shelf) -> None:
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
async def test_a_journal_that_is_unreadable_is_lost(store: Store, cluster: Shelf, data: dict[str, str] | None) -> None:
    cluster.write_config_map(JOURNAL, data)

    for attempt in (store.refresh(), store.update(noting("one"))):
        with pytest.raises(JournalLostError) as refused:
            await attempt
        assert refused.value.reason == "journal-lost"
    assert cluster.config_maps[JOURNAL].data == data


@pytest.mark.parametrize("known_by", ["reading", "writing", "an unreadable one"])
async def test_a_journal_that_is_gone_while_it_was_known_is_lost(store: Store, cluster: Shelf, known_by: str) -> None:
    if known_by == "reading":
        cluster.put_journal(Journal(foundation="cf"))
        await store.refresh()
    elif known_by == "writing":
        await store.update(noting("one"))
    else:
        cluster.write_config_map(JOURNAL, {"foundation": "cf", "journal.json": "junk"})
        with pytest.raises(JournalLostError):
            await store.refresh()
    cluster.delete("configmaps", JOURNAL)

    for attempt in (store.update(noting("two")), store.refresh(), store.update(nothing)):
        with pytest.raises(JournalLostError, match="was there and is missing"):
            await attempt
    assert cluster.config_maps == {}


async def test_a_journal_that_another_process_begins_in_the_same_moment_is_not_lost(
    store: Store, writer: InProcessWriter, cluster: Shelf
) -> None:
    """It and its Lease are created while this process is about to create it."""

    def another_is_faster(request: Request) -> None:
        if request.call == "get leases" and writer.calls["get leases"] == 2:
            cluster.put_journal(Journal(foundation="cf", epoch=1))
            cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="b", lease_transitions=1))

    writer.mishap = another_is_faster

    await store.update(noting("an alert"))

    assert (texts(cluster.journal()), cluster.journal().epoch) == (["an alert"], 1)


@pytest.mark.parametrize("remembers", [True, False])
async def test_a_journal_that_was_there_and_lost_while_this_process_created_one(
    store: Store, writer: InProcessWriter, cluster: Shelf, remembers: bool
) -> None:
    """The look at the Lease is old by then: who created a journal asks again which one the Lease remembers."""

    def another_came_and_went(request: Request) -> None:
        if request.call == "create configmaps":
            annotations = {JOURNAL_UID: "of a journal that is gone"} if remembers else {}
            spec = {"holderIdentity": "b", "leaseTransitions": 1}
            cluster.put("leases", metadata={"name": JOURNAL, "annotations": annotations}, spec=spec)

    writer.mishap = another_came_and_went

    if remembers:
        with pytest.raises(JournalLostError, match="the Lease remembers another one"):
            await store.update(noting("an alert"))
        with pytest.raises(JournalLostError, match="the Lease remembers another one"):
            await store.update(noting("the same alert again"))
    else:
        await store.update(noting("an alert"))
        assert texts(cluster.journal()) == ["an alert"]


async def test_a_journal_that_comes_back_is_used_again(store: Store, cluster: Shelf) -> None:
    await store.update(noting("one"))
    kept = cluster.config_maps[JOURNAL].data
    cluster.delete("configmaps", JOURNAL)
    with pytest.raises(JournalLostError):
        await store.refresh()
    cluster.write_config_map(JOURNAL, kept)

    await store.update(noting("two"))

    assert texts(cluster.journal()) == ["one", "two"]


# ---- reset


@pytest.mark.parametrize("data", UNREADABLE)
async def test_a_person_begins_a_lost_journal_anew(store: Store, cluster: Shelf, data: dict[str, str] | None) -> None:
    """The old text is kept beside it, and is still there after the next write."""
    cluster.write_config_map(JOURNAL, data)

    assert await store.reset_lost() is True
    await store.update(noting("one"))

    assert texts(cluster.journal()) == ["one"]
    assert (cluster.config_maps[JOURNAL].data or {}).get("lost") == (data or {}).get("journal.json")


async def test_a_person_begins_one_anew_that_is_gone(store: Store, cluster: Shelf) -> None:
    await store.update(noting("one"))
    cluster.delete("configmaps", JOURNAL)

    assert await store.reset_lost() is True
    assert cluster.journal() == Journal(foundation="cf")
    await store.update(noting("two"))


async def test_a_journal_that_is_there_is_not_begun_anew(store: Store, cluster: Shelf) -> None:
    assert await store.reset_lost() is False
    await store.update(noting("one"))

    assert await store.reset_lost() is False
    assert texts(cluster.journal()) == ["one"]


async def test_what_can_not_be_read_for_now_is_not_lost(store: Store, writer: InProcessWriter, cluster: Shelf) -> None:
    await store.update(noting("one"))
    writer.fail("get configmaps")

    with pytest.raises(ApiUnreachableError):
        await store.reset_lost()

    assert texts(cluster.journal()) == ["one"]


async def test_an_answer_without_a_uid_is_none(cluster: Shelf, store: Store) -> None:
    """Which ConfigMap it is could not be compared with what the Lease remembers."""
    cluster.put_journal(Journal(foundation="cf"))
    cluster.change("configmaps", JOURNAL, metadata={"uid": ""})
    with pytest.raises(ApiUnreachableError, match="without a UID"):
        await store.update(noting("one"))

    cluster.change("configmaps", JOURNAL, metadata={"uid": "one"})
    assert await store.update(noting("one")) == "one"
