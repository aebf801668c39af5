"""A medic at work, in virtual time: incidents from the request to the end."""

import asyncio
from typing import Any

import pytest

from tests.support.medics import (
    BrokenFoundation,
    Program,
    alert,
    ended,
    now,
    reaches,
    runs_of,
    working,
)
from tests.support.memory_writer import JOURNAL
from tests.support.moments import person
from webhook.medic.medic import POLL_INTERVAL, Medic
from webhook.record.journal import Journal, Outcome, Run, Step, StepResult
from webhook.record.lease import DURATION
from webhook.requests.decision import ask_as_person

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time


@pytest.fixture
def cluster() -> BrokenFoundation:
    return BrokenFoundation()


async def test_an_incident_is_healed(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, run.reason, run.asked_by, run.executor) == (Outcome.RECOVERED, "", "Alert-a", "a")
    assert [step.name for step in run.steps] == list(Step)
    assert {step.result for step in run.steps} == {StepResult.OK}
    assert cluster.deletes == [("diego-api-0", "diego-api-0-uid"), ("diego-api-1", "diego-api-1-uid")]
    assert [(pod.name, pod.uid) for pod in run.pods] == cluster.deletes
    assert program.metric("diego_remediation_decisions_total", decision="run", reason="asked") == 1
    assert program.metric("diego_remediation_runs_total", runbook="restart-diego-api", outcome="recovered") == 1


async def test_where_the_bbs_is_reachable_nothing_is_done(cluster: BrokenFoundation) -> None:
    """The control case."""
    for number in range(2):
        cluster.replace_pod(f"diego-api-{number}")
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, cluster.deletes) == (Outcome.NOT_NEEDED, [])


async def test_while_nothing_is_asked_it_waits(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(600)

    assert (runs_of(cluster), cluster.deletes) == ((), [])
    assert program.writer.calls["update configmaps"] + program.writer.calls["create configmaps"] == 1


async def test_a_holder_puts_its_epoch_on_record_before_anything_else(cluster: BrokenFoundation) -> None:
    """So that whoever held the lease before is stopped from then on."""
    cluster.put_journal(Journal(foundation="cf", epoch=4))
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(DURATION + 5)
        assert program.metric("diego_webhook_leader") == 1

    assert cluster.journal().epoch == 5
    assert program.metric("diego_webhook_leader") == 0


async def test_what_is_wanted_is_executed_when_its_time_comes(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        cluster.healing = False
        await alert(program)
        failed = await ended(cluster, within=900)
        await asyncio.sleep(300)
        cluster.healing = True
        await alert(program)
        waiting = cluster.journal().request
        began = now()
        async with asyncio.timeout(1000):
            while len(runs_of(cluster)) < 2:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.1)

    assert (failed.outcome, failed.reason) == (Outcome.FAILED, "unreachable")
    assert waiting is not None
    assert waiting.waits_for == "cooldown"
    assert 600 <= now() - began <= 600 + 2 * POLL_INTERVAL
    assert program.metric("diego_remediation_decisions_total", decision="run", reason="asked") == 2


async def test_a_person_is_answered_as_alerts_are(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await program.store.update(lambda before: ask_as_person(before, person(0, observe=True), program.settings))
        run = await ended(cluster)

    assert (run.outcome, run.person, cluster.deletes) == (Outcome.OBSERVED, person(0, observe=True), [])


async def test_an_api_server_that_comes_back_is_no_reason_to_begin_anew(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    program.writer.fail("get configmaps", times=-1)
    async with working(program):
        await asyncio.sleep(60)
        assert (program.medic.tried, program.store.journal) == (True, None)
        assert cluster.leases == {}, "without the journal its epoch is not known"

        program.writer.heal()
        await alert(program)
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_lost_answer_to_the_opening_of_a_run_leaves_one_run(
    cluster: BrokenFoundation, caplog: pytest.LogCaptureFixture
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
    assert "the API server is out of reach" in caplog.text
    assert "the medic failed" not in caplog.text


async def test_a_lease_that_was_deleted_is_taken_again(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        cluster.leases.clear()
        await asyncio.sleep(2 * DURATION)
        assert program.metric("diego_webhook_leader") == 1

        await alert(program)
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_run_is_not_opened_by_who_does_not_trust_its_lease(cluster: BrokenFoundation) -> None:
    """The leases can't be renewed any more, though all else goes on."""
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(1)
        for call in ("get leases", "update leases"):
            program.writer.fail(call, times=-1)
        await asyncio.sleep(12)
        await alert(program)
        await asyncio.sleep(60)
        assert runs_of(cluster) == ()

        program.writer.heal()
        assert (await ended(cluster)).outcome is Outcome.RECOVERED


async def test_a_defect_does_not_end_the_watch(
    cluster: BrokenFoundation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    assert "the medic failed" in caplog.text


# ---- journals that can't be used


async def test_nothing_is_done_on_the_journal_of_another(cluster: BrokenFoundation) -> None:
    cluster.put_journal(Journal(foundation="other"), name=JOURNAL)
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(60)

    assert (cluster.journal(), cluster.leases) == (Journal(foundation="other"), {})


async def test_a_journal_that_is_lost_in_the_middle_of_a_run_stops_it(
    cluster: BrokenFoundation, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        del cluster.config_maps[JOURNAL]
        await asyncio.sleep(120)

    assert "the journal is refused" in caplog.text
    assert (cluster.deletes, cluster.config_maps) == ([], {})
