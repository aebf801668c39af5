"""Mode `approve`: nothing is deleted until a person approves, and then only on a new proof."""

import asyncio

import msgspec
import pytest

from tests.support.foundations import foundation
from tests.support.incident import FAST, Program, alert, deleted_names, ended, now, reaches, runs_of, working
from tests.support.inprocess import InProcessCluster
from tests.support.moments import at, resolved
from webhook.record import changes
from webhook.record.journal import Outcome, Step
from webhook.requests.alerts import request_as_alerts

pytestmark = pytest.mark.looptime(noop_cycles=1)

APPROVE = foundation(remediation=FAST | {"mode": "approve"})
AUTO = foundation(remediation=FAST)
TIMEOUT = APPROVE.remediation.approval_timeout


@pytest.fixture
def cluster() -> InProcessCluster:
    """Nobody has the lock, and whoever runs takes it when it is free: `lock-back`."""
    return InProcessCluster(faults=("lock-elsewhere",))


async def waiting(program: Program) -> None:
    """A run that has proved it, and waits for a person."""
    await alert(program)
    await reaches(program.cluster, Step.AWAIT_APPROVAL)


async def approve(program: Program) -> None:
    run_id = runs_of(program.cluster)[-1].id
    moment = at(now())
    await program.store.update(lambda journal: (changes.approve(journal, run_id, by="ann", now=moment), None))


async def test_it_waits_and_deletes_nothing(cluster: InProcessCluster) -> None:
    program = Program(cluster, APPROVE)
    async with working(program):
        await waiting(program)
        await asyncio.sleep(TIMEOUT - 120)

    run = runs_of(cluster)[-1]
    assert (run.step, run.outcome, cluster.deletes) == (Step.AWAIT_APPROVAL, None, [])
    assert run.evidence != ""
    assert [event["reason"] for event in cluster.events] == ["AwaitingApproval"]


async def test_an_approved_run_proves_it_again_and_deletes(cluster: InProcessCluster) -> None:
    program = Program(cluster, APPROVE)
    program.writer.slow(0.1)
    async with working(program):
        await waiting(program)
        await asyncio.sleep(600)
        checks = program.writer.calls["get pods/exec"]
        await approve(program)
        await reaches(cluster, Step.RESTART)
        again = program.writer.calls["get pods/exec"] - checks
        await reaches(cluster, Step.AWAIT_READY)
        cluster.fault("lock-back")
        run = await ended(cluster)

    assert again >= 2 * 2, "two attempts from two api pods"
    assert deleted_names(cluster) == ["diego-api-0", "diego-api-1"]
    assert (run.outcome, run.approval and run.approval.by) == (Outcome.RECOVERED, "ann")
    assert [step.name for step in run.steps][1:5] == [
        Step.CONFIRM_UNREACHABLE,
        Step.PRESERVE_EVIDENCE,
        Step.AWAIT_APPROVAL,
        Step.CONFIRM_UNREACHABLE,
    ]


async def test_an_approved_run_deletes_nothing_where_the_bbs_has_recovered(cluster: InProcessCluster) -> None:
    program = Program(cluster, APPROVE)
    async with working(program):
        await waiting(program)
        cluster.fault("lock-back")
        await asyncio.sleep(60)
        await approve(program)
        run = await ended(cluster)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.NOT_NEEDED, "reachable", [])


async def test_a_pause_ends_it(cluster: InProcessCluster) -> None:
    program = Program(cluster, APPROVE)
    async with working(program):
        await waiting(program)
        await program.store.update(lambda j: (changes.pause(j, by="ann", reason="", now=at(0)), None))
        run = await ended(cluster)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.REFUSED, "paused", [])


async def test_resolved_alerts_end_it(cluster: InProcessCluster) -> None:
    program = Program(cluster, APPROVE)
    async with working(program):
        await waiting(program)
        asks = [resolved("a", ended=now())]
        moment = at(now())
        await program.store.update(lambda j: (request_as_alerts(j, asks, APPROVE, moment)[0], None))
        run = await ended(cluster, within=600)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.CANCELLED, "resolved", [])


async def test_nobody_approves_it_in_time(cluster: InProcessCluster) -> None:
    program = Program(cluster, APPROVE)
    async with working(program):
        await waiting(program)
        started = now()
        run = await ended(cluster, within=TIMEOUT + 60)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.CANCELLED, "not-approved", [])
    assert TIMEOUT <= now() - started < TIMEOUT + 10


async def test_the_time_limit_counts_from_the_request_and_not_from_the_takeover(cluster: InProcessCluster) -> None:
    first, second = Program(cluster, APPROVE), Program(cluster, APPROVE, identity="b")
    async with working(first) as task:
        await waiting(first)
        started = now()
        await asyncio.sleep(TIMEOUT - 60)
        await first.kill(task)
    async with working(second):
        run = await ended(cluster, within=TIMEOUT)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.CANCELLED, "not-approved", [])
    assert TIMEOUT <= now() - started < TIMEOUT + 60


async def test_the_breaker_ends_it_where_it_opens_meanwhile(cluster: InProcessCluster) -> None:
    program = Program(cluster, APPROVE)
    async with working(program):
        await waiting(program)
        cluster.put_journal(msgspec.structs.replace(cluster.journal(), breaker_opened=at(now())))
        run = await ended(cluster)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.REFUSED, "breaker-open", [])


async def test_the_wait_survives_the_process_that_waits(cluster: InProcessCluster) -> None:
    """Approved while no process runs: the next one proves it again before it deletes."""
    first, second = Program(cluster, APPROVE), Program(cluster, APPROVE, identity="b")
    async with working(first) as task:
        await waiting(first)
        await first.kill(task)
    await approve(second)
    checks = second.writer.calls["get pods/exec"]
    async with working(second):
        await reaches(cluster, Step.AWAIT_READY)

    assert second.writer.calls["get pods/exec"] - checks >= 2 * 2
    assert deleted_names(cluster) == ["diego-api-0", "diego-api-1"]


async def test_a_run_of_mode_auto_waits_where_the_config_demands_approval_by_now(cluster: InProcessCluster) -> None:
    first, second = Program(cluster, AUTO), Program(cluster, APPROVE)
    async with working(first):
        await alert(first)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
    async with working(second):
        await reaches(cluster, Step.AWAIT_APPROVAL)
        await asyncio.sleep(60)
        assert cluster.deletes == []
        await approve(second)
        await reaches(cluster, Step.AWAIT_READY)

    assert deleted_names(cluster) == ["diego-api-0", "diego-api-1"]
