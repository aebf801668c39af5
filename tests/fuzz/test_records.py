"""A ConfigMap or a Lease that somebody edited: it is used as it says, or refused, and never overwritten unread."""

import asyncio
import json
import re
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
from hypothesis import event, given, note
from prometheus_client import CollectorRegistry

from exporter.foundation.view import FoundationView
from exporter.kubernetes.api import KubernetesError
from exporter.serving import text
from tests.support import version_1
from tests.support.foundations import foundation
from tests.support.fuzzing import body, mutated, play, randoms
from tests.support.inprocess import JOURNAL, InProcessWriter, Shelf
from tests.support.journals import FULL, open_run
from tests.support.leases import a_lock, trusted
from tests.support.moments import NOON, at, firing, person, resolved
from tests.support.stores import a_store, noting
from webhook.http.pieces import Viewer, foundation_pieces, overview_piece, run_pieces, runs_piece
from webhook.metrics import JournalCollector
from webhook.operator.run_report import history_lines, run_lines
from webhook.record import changes
from webhook.record.encoding import JournalUnreadableError, decode, encode
from webhook.record.errors import FencedError, JournalError
from webhook.record.journal import Journal, Outcome
from webhook.record.lease import JOURNAL_UID, Held
from webhook.record.public import public_run
from webhook.requests.alerts import request_as_alerts
from webhook.requests.decision import begin, decide, left_wanted, reconsider, request_as_person
from webhook.status.known import Known
from webhook.status.timeline import ZOOMS
from webhook.timings import DEFAULT

WINDOW = timedelta(hours=6)
CF = foundation(remediation={"mode": "auto"})
RUNNING = msgspec.structs.replace(FULL, paused=None, breaker_opened=None, runs=(*FULL.runs, open_run(id="cf-2")))
QUEUED = msgspec.structs.replace(FULL, paused=None, breaker_opened=None)
TEXTS = [
    *(encode(each) for each in (FULL, RUNNING, QUEUED, Journal(foundation="cf"))),
    *(version_1.IN_THE_MIDDLE, version_1.ANSWERS, version_1.WAITING),
]


MOMENT = re.compile(r"2026-[0-9T:.-]*Z")
MOMENTS = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-01-31T12:05:00Z", "9999-12-31T23:59:59.999999Z")


def edited(random: Random) -> str:
    """A journal's text: a few places changed, or only its moments."""
    text = random.choice(TEXTS)
    if random.random() < 0.5:
        return body(random, lambda _: json.loads(text)).decode(errors="replace")
    return MOMENT.sub(lambda found: random.choice(MOMENTS) if random.random() < 0.3 else found[0], text)


@given(randoms)
def test_a_journal_that_can_be_read_can_be_worked_with(random: Random) -> None:
    try:
        journal = decode(edited(random))
    except JournalUnreadableError as error:
        note(str(error))
        return
    note(str(journal))
    event("open" if journal.open_run else "read")
    assert decode(encode(journal)) == decode(encode(decode(encode(journal))))
    worked_with(journal)


def worked_with(journal: Journal) -> None:
    """All that the programs do with a journal that they have read."""
    decide(journal, CF, NOON)
    for asks in ([firing("f")], [resolved("f", ended=3)], [firing("g"), firing("h")]):
        encode(request_as_alerts(journal, asks, CF, at(300))[0])
    encode(request_as_person(journal, person(300), CF)[0])
    changed, _ = reconsider(journal, CF, at(300))
    encode(changed)
    if changed.request is not None:
        encode(begin(changed, CF, run_id="cf-9", executor="me", now=at(300))[0])
    if (run := journal.open_run) is not None:
        for pod in run.pods[:1]:
            encode(changes.record_intent(journal, run, pod.uid, window=WINDOW, now=at(300)))
        over = msgspec.structs.replace(run, outcome=Outcome.FAILED, ended=at(300))
        wanted = left_wanted(over, CF, at(300))
        encode(changes.end_run(journal, over, breaker_runs=3, breaker_window=WINDOW, wanted=wanted, now=at(300)))
    for change in (changes.resume, changes.reset):
        encode(change(journal, by="ann", now=NOON))
    for run in journal.runs:
        msgspec.json.encode(public_run(run))
        "\n".join(run_lines(run)).encode()
    "\n".join(history_lines(journal)).encode()
    shown(journal)
    registry = CollectorRegistry()
    registry.register(JournalCollector(foundations=lambda: [CF], journals=lambda: {"cf": journal}))
    assert "diego_remediation_mode" in text.encode(registry.collect(), text.Format.TEXT)


def shown(journal: Journal) -> None:
    """The status page, whole."""
    known = Known(foundation=CF, view=FoundationView(), now=NOON, journal=journal)
    for zoom in ZOOMS.values():
        viewer = Viewer(may_act=True, zoom=zoom)
        pieces = overview_piece([known]) | foundation_pieces(known, (), viewer)
        pieces |= runs_piece(journal.runs, now=NOON, several=False)
        for run in journal.runs:
            pieces |= run_pieces(known, run, viewer)
        "".join(pieces.values()).encode()


@given(randoms)
def test_what_is_not_read_is_not_overwritten(random: Random) -> None:
    play(stored(random))


async def stored(random: Random) -> None:
    cluster = Shelf()
    right = {"foundation": "cf", "journal.json": edited(random)}
    data = mutated(random, right, most=1) if random.random() < 0.3 else right
    before = {"metadata": {"name": JOURNAL, "uid": "one"}, "data": data}
    cluster.put("configmaps", **json.loads(json.dumps(before)))
    if random.random() < 0.5:
        annotations = mutated(random, {JOURNAL_UID: random.choice(("one", "one", "two"))}, most=1)
        spec = mutated(random, {"holderIdentity": "a", "leaseTransitions": 3, "leaseDurationSeconds": 15}, most=1)
        cluster.put("leases", metadata={"name": JOURNAL, "annotations": annotations}, spec=spec)
    store = a_store(InProcessWriter(cluster))

    try:
        await store.refresh()
    except (JournalError, KubernetesError) as refused:
        event(type(refused).__name__)
        written = await answered(store.update(noting("one")))
        assert not written
        assert cluster.object("configmaps", JOURNAL)["data"] == data, "it was overwritten, and nobody has read it"
        return
    event("read")
    assert await answered(store.update(noting("one")))
    assert cluster.journal().notes[-1].text == "one"


async def answered(update: Any) -> bool:
    try:
        await update
    except (JournalError, KubernetesError):
        return False
    return True


@given(randoms)
def test_a_lease_that_somebody_edits_has_one_holder_at_most_and_soon_one_again(random: Random) -> None:
    play(contended(random))


async def contended(random: Random) -> None:
    cluster, held = Shelf(), list[Held]()
    medics = [a_medic(cluster, random, name, held) for name in "ab"]
    tasks = [asyncio.create_task(medic) for medic in medics]
    for _ in range(2):
        await asyncio.sleep(random.uniform(0, 12))
        edit(random, cluster)
        for _ in range(12):  # for as long as a holder trusts its lease, and a little longer
            await asyncio.sleep(1)
            assert sum(trusted(each) for each in held) <= 1, "two may act"
            for task in tasks:
                assert not task.done(), task
    for _ in range(15):
        await asyncio.sleep(10)
        if any(map(trusted, held)):
            break

    assert sum(trusted(each) for each in held) == 1, "nobody leads any more"
    assert len({each.epoch for each in held}) == len(held), "an epoch came twice"


async def a_medic(cluster: Shelf, random: Random, name: str, held: list[Held]) -> None:
    """Holds the lease whenever it can, as `Medic` does; `held`: what it might have deleted pods with."""
    writer = InProcessWriter(cluster)
    writer.slow(lambda: random.uniform(0, 0.2))
    store = a_store(writer)
    while True:
        with suppress(JournalError):  # created by the other one in between
            await store.ensure()
            async with a_lock(writer, name).hold(
                least_epoch=lambda: store.epoch, journal_uid=lambda: store.uid
            ) as mine:
                try:
                    await store.claim(mine.epoch)
                except FencedError:
                    await asyncio.sleep(DEFAULT.lease_duration)
                    continue
                held.append(mine)
                while not mine.lost:  # noqa: ASYNC110 - the time is virtual
                    await asyncio.sleep(1)
        await asyncio.sleep(DEFAULT.poll)


def edit(random: Random, cluster: Shelf) -> None:
    """As `kubectl edit lease` does, within what the API server validates.

    Nobody writes the identity of another program there, which has a random part. A long duration is waited for.
    """
    if JOURNAL not in cluster.leases:
        return
    if random.random() < 0.2:
        cluster.delete("leases", JOURNAL)
        return
    found = cluster.object("leases", JOURNAL)
    spec = dict(found["spec"])
    key, value = random.choice(EDITS)
    spec[key] = value
    if value is None:
        del spec[key]
    annotations = random.choice((None, {}, {"a": "b"}, {JOURNAL_UID: ""}))
    cluster.put("leases", metadata={"name": JOURNAL, "annotations": annotations}, spec=spec)
    event(f"{key}: {value}")


EDITS: tuple[tuple[str, Any], ...] = (
    *(("holderIdentity", each) for each in (None, "", "c")),
    *(("leaseDurationSeconds", each) for each in (None, 1, 2, 60)),
    *(("leaseTransitions", each) for each in (None, 0, 1, 1_000_000)),
    *(("renewTime", each) for each in (None, "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z")),
    *(("acquireTime", each) for each in (None, "2020-01-01T00:00:00.000000Z")),
)
