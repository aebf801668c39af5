"""A medic at work, in virtual time: incidents from the request to the end."""

import asyncio
from typing import Any

import pytest

from tests.support.incident import Program, alert, deleted_names, ended, now, reaches, runs_of, uids, working
from tests.support.inprocess import JOURNAL, InProcessCluster, broken_foundation, healthy_foundation
from tests.support.moments import person
from webhook.medic.medic import Medic
from webhook.record.journal import Journal, Outcome, Run, Step, StepResult
from webhook.requests.decision import request_as_person
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time

STEPS = [step for step in Step if step is not Step.AWAIT_APPROVAL]


@pytest.fixture
def cluster() -> InProcessCluster:
    return broken_foundation()


async def test_a_broken_foundation_is_restarted_and_recovers(cluster: InProcessCluster) -> None:
    originals = uids(cluster)
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, run.reason, run.requested_by, run.executor) == (Outcome.RECOVERED, "", "Alert-a", "a")
    assert [step.name for step in run.steps] == STEPS
    assert {step.result for step in run.steps} == {StepResult.OK}
    assert cluster.deletes == originals == [(pod.name, pod.uid) for pod in run.pods]
    assert program.metric("diego_remediation_decisions_total", decision="run", reason="asked") == 1
    assert program.metric("diego_remediation_runs_total", runbook="restart-diego-api", outcome="recovered") == 1


async def test_where_the_bbs_is_reachable_nothing_is_done() -> None:
    """The control case."""
    cluster = healthy_foundation()
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, cluster.deletes) == (Outcome.NOT_NEEDED, [])


async def test_while_nothing_is_requested_it_waits(cluster: InProcessCluster) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(600)

    assert (runs_of(cluster), cluster.deletes) == ((), [])
    assert program.writer.calls["create configmaps"] == 1
    assert program.writer.calls["update configmaps"] == 1, "the new holder's epoch"


async def test_a_holder_records_its_epoch_before_anything_else(cluster: InProcessCluster) -> None:
    """So that whoever held the lease before is stopped from then on."""
    cluster.put_journal(Journal(foundation="cf", epoch=4))
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(DEFAULT.lease_duration + 5)
        assert program.metric("diego_webhook_leader") == 1

    assert cluster.journal().epoch == 5
    assert program.metric("diego_webhook_leader") == 0


async def test_a_queued_request_is_executed_when_it_is_due(cluster: InProcessCluster) -> None:
    cluster.fault("lock-elsewhere")  # no restart helps
    program = Program(cluster)
    async with working(program):
        await alert(program)
        failed = await ended(cluster, within=900)
        left = cluster.journal().request
        await asyncio.sleep(300)
        cluster.fault("lock-back")
        await alert(program)
        started = now()
        while len(runs_of(cluster)) < 2:
            await asyncio.sleep(0.1)
            assert now() < started + 1000

    assert (failed.outcome, failed.reason) == (Outcome.FAILED, "no-active-label")
    assert left is not None
    assert left.waiting_for == "cooldown"
    assert 600 <= now() - started <= 600 + 2 * DEFAULT.poll
    assert program.metric("diego_remediation_decisions_total", decision="run", reason="asked") == 2


async def test_a_person_is_answered_as_alerts_are(cluster: InProcessCluster) -> None:
    program = Program(cluster)
    async with working(program):
        await program.store.update(lambda before: request_as_person(before, person(0, observe=True), program.settings))
        run = await ended(cluster)

    assert (run.outcome, run.person, cluster.deletes) == (Outcome.OBSERVED, person(0, observe=True), [])


async def test_an_api_server_that_comes_back_needs_no_new_start(cluster: InProcessCluster) -> None:
    program = Program(cluster)
    program.writer.fail("get configmaps", times=-1)
    async with working(program):
        await asyncio.sleep(60)
        assert (program.medic.tried, program.store.journal) == (True, None)
        assert cluster.leases == {}, "without the journal its epoch is not known"

        program.writer.recover()
        await alert(program)
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_lost_answer_to_the_opening_of_a_run_leaves_one_run(
    cluster: InProcessCluster, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        await alert(program)
        program.writer.fail("update configmaps", effective=True)
        run = await ended(cluster)

    assert [each.outcome for each in runs_of(cluster)] == [Outcome.RECOVERED]
    assert len(cluster.deletes) == 2
    assert run.executor == "a"
    assert "API server not reachable" in caplog.text
    assert "medic failed" not in caplog.text


async def test_a_lease_that_was_deleted_is_taken_again(cluster: InProcessCluster) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        cluster.delete("leases", JOURNAL)
        await asyncio.sleep(2 * DEFAULT.lease_duration)
        assert program.metric("diego_webhook_leader") == 1

        await alert(program)
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_run_is_not_opened_by_a_holder_that_does_not_trust_its_lease(cluster: InProcessCluster) -> None:
    """The lease cannot be renewed any more, though everything else continues."""
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        for call in ("get leases", "update leases"):
            program.writer.fail(call, times=-1)
        await asyncio.sleep(12)
        await alert(program)
        await asyncio.sleep(60)
        assert runs_of(cluster) == ()

        program.writer.recover()
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_defect_does_not_end_the_watch(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(cluster)
    decide = Medic._decide
    failures = iter([True])

    async def failing(medic: Medic, held: Any) -> Run | None:
        if next(failures, False):
            raise ZeroDivisionError("a defect")
        return await decide(medic, held)

    monkeypatch.setattr(Medic, "_decide", failing)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert run.outcome is Outcome.RECOVERED
    assert "medic failed" in caplog.text


# ---- journals that cannot be used


async def test_nothing_is_done_on_the_journal_of_another(cluster: InProcessCluster) -> None:
    cluster.put_journal(Journal(foundation="other"))
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(60)

    assert (cluster.journal(), cluster.leases) == (Journal(foundation="other"), {})


async def test_a_journal_that_is_lost_in_the_middle_of_a_run_stops_it(
    cluster: InProcessCluster, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        cluster.delete("configmaps", JOURNAL)
        await asyncio.sleep(120)

    assert "journal refused" in caplog.text
    assert (deleted_names(cluster), cluster.config_maps) == ([], {})


# ---- the machine's clock


@pytest.mark.parametrize(("seconds", "said"), [(-3600, 1), (3600, 1), (25, 0), (0, 0)])
async def test_a_clock_that_differs_from_the_api_servers_is_reported_once(
    caplog: pytest.LogCaptureFixture, seconds: float, said: int
) -> None:
    program = Program(healthy_foundation())
    program.clock.set_wall(seconds)
    async with working(program):
        await asyncio.sleep(60)

    assert caplog.text.count("clock differs from the API server's") == said
