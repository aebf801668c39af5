"""Loss is remembered, no answer ends a medic or leaves it deaf, and what was not answered is decided again."""

import asyncio
import logging
from typing import NoReturn

import msgspec
import pytest

from exporter.kubernetes.api import ApiError, ConflictError
from exporter.kubernetes.transport import Response
from sandbox.transport import Mishap
from tests.support.incident import (
    RECOVERED_IN,
    Program,
    alert,
    deleted,
    deleted_names,
    ended,
    runs_of,
    uids,
    until,
    working,
)
from tests.support.inprocess import JOURNAL, InProcessCluster, broken_foundation
from tests.support.moments import at
from webhook.record import changes
from webhook.record.encoding import encode
from webhook.record.errors import FencedError, JournalLostError
from webhook.record.journal import Journal, Outcome, PodState
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)

MALFORMED = {
    "not UTF-8": b'{"metadata": {"name": "\xff\xfe"}}',
    "nested too deep": b"[" * 100_000,
    "not JSON": b"<html>",
    "another shape": b'{"metadata": 7}',
    "nothing": b"",
}


@pytest.fixture
def cluster() -> InProcessCluster:
    return broken_foundation()


def malformed(program: Program, call: str, body: bytes) -> None:
    """From now on this call is answered with 200 and these bytes."""
    answer = Mishap(error=Response(200, body))
    program.writer.mishap = lambda request: answer if request.call == call else None


# ---- a journal that is lost


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "deleted and created again, empty"])
async def test_a_journal_that_was_lost_is_lost_to_a_new_process_as_well(
    cluster: InProcessCluster, replaced: bool
) -> None:
    """Paused; then the ConfigMap is deleted while no process runs, or another process creates a new one."""
    first, second = Program(cluster), Program(cluster, identity="b")
    async with working(first):
        await first.store.update(lambda j: (changes.pause(j, by="ann", reason="maintenance", now=at(0)), None))
        await asyncio.sleep(5)
    cluster.delete("configmaps", JOURNAL)
    if replaced:
        empty = {"foundation": "cf", "journal.json": encode(Journal(foundation="cf"))}
        cluster.put("configmaps", metadata={"name": JOURNAL, "uid": "another"}, data=empty)
    async with working(second):
        await asyncio.sleep(5)
        with pytest.raises(JournalLostError):
            await alert(second)
        with pytest.raises(JournalLostError):
            await Program(cluster, identity="a person who only looks").store.refresh()
        await asyncio.sleep(300)

    assert cluster.deletes == []
    assert list(cluster.config_maps) == ([JOURNAL] if replaced else []), "only `reset` creates a new one"


async def test_a_foundation_without_a_lease_has_lost_nothing(cluster: InProcessCluster) -> None:
    """The control case: the first process ever."""
    program = Program(cluster)
    async with working(program):
        await alert(program)

        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_reset_of_a_lost_journal_keeps_the_epoch(cluster: InProcessCluster) -> None:
    """A holder from before the loss stays fenced."""
    first, person = Program(cluster), Program(cluster, identity="cli")
    async with working(first):
        await asyncio.sleep(5)
    epoch = cluster.journal().epoch
    cluster.write_config_map(JOURNAL, {"foundation": "cf", "journal.json": "junk"})
    assert await person.store.reset_lost()

    assert cluster.journal().epoch >= epoch > 0
    with pytest.raises(FencedError):
        await first.store.update(lambda j: (msgspec.structs.replace(j, notes=()), None), epoch=epoch - 1)
    async with working(person):
        await alert(person)
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


# ---- answers that are malformed


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_answer_about_the_journal_does_not_end_a_medic(
    cluster: InProcessCluster, body: bytes
) -> None:
    program = Program(cluster)
    async with working(program) as task:
        await asyncio.sleep(1)
        malformed(program, "get configmaps", body)
        await asyncio.sleep(60)
        assert not task.done()
        program.writer.recover()
        await alert(program)

        assert (await ended(cluster)).outcome is Outcome.RECOVERED


@pytest.mark.parametrize("call", ["get leases", "update leases"])
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_answer_about_the_lease_leaves_no_deaf_leader(
    cluster: InProcessCluster, call: str, body: bytes
) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        malformed(program, call, body)
        await asyncio.sleep(60)
        program.writer.recover()
        await alert(program)

        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_defect_in_a_renewal_leaves_no_deaf_leader(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises: a renewal that failed, and no more."""
    program = Program(cluster)

    async def crash(_name: str) -> NoReturn:
        raise RecursionError("maximum recursion depth exceeded")

    async with working(program):
        await asyncio.sleep(1)
        with monkeypatch.context() as patched:
            patched.setattr(program.writer, "read_lease", crash)
            await asyncio.sleep(20)
        await alert(program)

        assert (await ended(cluster)).outcome is Outcome.RECOVERED


# ---- what was not answered is decided again


async def test_an_alert_that_an_unproven_run_did_not_answer_leads_to_another_run(cluster: InProcessCluster) -> None:
    """One exec fails. The alert still fires and is not sent again, as with a `repeat_interval` of hours."""
    program = Program(cluster)
    program.writer.fail("get pods/exec", ApiError(500, "InternalError", ""), times=2)
    async with working(program):
        await alert(program)
        first = await ended(cluster)
        second = await ended(cluster, runs=2, within=60 + RECOVERED_IN)

    assert (first.outcome, first.reason) == (Outcome.UNPROVEN, "exec-failed")
    assert second.outcome is Outcome.RECOVERED
    assert second.started - first.started >= at(60) - at(0), "after `retry`"


async def test_an_alert_that_a_run_has_answered_leads_to_no_other(cluster: InProcessCluster) -> None:
    """The control case."""
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await ended(cluster)
        await asyncio.sleep(3600)

    assert len(runs_of(cluster)) == 1


# ---- refusals


async def test_a_run_whose_record_is_forbidden_gives_the_lease_away_and_ends_once_it_is_allowed(
    cluster: InProcessCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The permission to update the journal is taken away after the first delete, and given back an hour later."""
    program = Program(cluster)
    program.writer.slow(0.1)
    async with working(program):
        await alert(program)
        await deleted(cluster, 1)
        forbidden = ApiError(403, "Forbidden", "configmaps is forbidden")
        program.writer.fail("update configmaps", forbidden, times=-1)
        await until(lambda: cluster.leases[JOURNAL].spec.holder_identity == "")
        assert program.metric("diego_webhook_leader") == 0
        await asyncio.sleep(3600)
        assert deleted_names(cluster) in (["diego-api-0"], ["diego-api-0", "diego-api-1"])
        program.writer.recover()
        run = await ended(cluster, within=600)

    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "journal not writable" in {record.message for record in errors}
    assert run.outcome is Outcome.RECOVERED
    assert len(cluster.deletes) == len(set(cluster.deletes))


async def test_a_conflict_of_another_cause_is_not_taken_for_a_replacement(cluster: InProcessCluster) -> None:
    """409 to the DELETE, though the pod is the one that was meant: it is read again, and deleted."""
    originals = uids(cluster)
    conflict = ConflictError(409, "Conflict", "Operation cannot be fulfilled on pods: please try again")
    program = Program(cluster)
    program.writer.fail("delete pods", conflict)
    async with working(program):
        await alert(program)
        await until(lambda: len(runs_of(cluster)) == 1 and program.writer.calls["delete pods"] == 1)
        await asyncio.sleep(0.1)
        states = [pod.state for pod in runs_of(cluster)[-1].pods]
        run = await ended(cluster)

    assert PodState.REPLACED not in states
    assert run.outcome is Outcome.RECOVERED
    assert cluster.deletes == originals


async def test_a_conflict_at_every_delete_ends_the_run_within_its_limit(cluster: InProcessCluster) -> None:
    program = Program(cluster)
    conflict = ConflictError(409, "Conflict", "please try again")
    program.writer.fail("delete pods", conflict, times=-1)
    async with working(program):
        await alert(program)
        run = await ended(cluster, within=DEFAULT.fate + 100)

    assert (run.outcome, run.reason) == (Outcome.FAILED, "deadline")
    assert (cluster.deletes, [pod.state for pod in run.pods]) == ([], [PodState.INTENDED, PodState.LISTED])
