"""No pod is deleted on an old proof, an old lease or a clock that jumped, whatever happened since the proof."""

import asyncio
from collections.abc import Callable

import pytest

from exporter.clock import from_rfc3339
from exporter.foundation.probe import Dialer
from sandbox.transport import Mishap
from tests.support.incident import (
    RECOVERED_IN,
    MachineClock,
    Program,
    alert,
    blind,
    deleted,
    deleted_names,
    ended,
    now,
    runs_of,
    until,
    working,
)
from tests.support.inprocess import JOURNAL, TIMED_OUT, InProcessCluster, broken_foundation
from webhook.record.journal import Outcome, PodState, Run
from webhook.runbook.execution import Execution
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)

WINDOW = 2 * 10 + DEFAULT.proof_margin
"""Seconds for which a proof is valid: the attempts of these settings, and the margin."""


@pytest.fixture
def cluster() -> InProcessCluster:
    """Nobody has the lock, and whoever runs takes it when it is free: `lock-back`."""
    return InProcessCluster(faults=("lock-elsewhere",))


def ages(cluster: InProcessCluster) -> list[float]:
    """Of each DELETE: the seconds since the last check inside an api pod was sent, by the audit log."""
    found, checked = [], float("-inf")
    for event in cluster.audit:
        moment = from_rfc3339(event["requestReceivedTimestamp"])
        if event["objectRef"].get("subresource") == "exec":
            checked = moment
        elif event["verb"] == "delete" and event["objectRef"]["resource"] == "pods":
            found.append(moment - checked)
    return found


async def test_without_an_outage_both_pods_are_deleted(cluster: InProcessCluster) -> None:
    """The control case of those below."""
    program = Program(cluster)
    program.writer.slow(0.1)
    async with working(program):
        await alert(program)
        await deleted(cluster, 2)

    assert deleted_names(cluster) == ["diego-api-0", "diego-api-1"]
    assert max(ages(cluster)) <= WINDOW


@pytest.mark.parametrize("seconds", [25, 30, 32, 33.5, 35, 36.5, 38, 40, 60, 3600])
@pytest.mark.parametrize("dial", [None, blind], ids=["seeing", "blind"])
async def test_a_bbs_that_became_active_during_an_outage_is_not_deleted(
    cluster: InProcessCluster, dial: Dialer | None, seconds: float
) -> None:
    """The API server is away right after the first delete; meanwhile the other BBS takes the lock.

    Its own probes may be blind: the age of the proof alone must be enough.
    """
    program = Program(cluster, dial=dial)
    program.writer.slow(0.1)
    async with working(program):
        await alert(program)
        await deleted(cluster, 1)
        program.writer.hang()
        cluster.fault("lock-back")
        await asyncio.sleep(seconds)
        program.writer.recover()
        run = await ended(cluster, within=600)

    assert deleted_names(cluster) == ["diego-api-0"]
    assert run.pods[1].state in {PodState.SPARED, PodState.LISTED}
    assert run.outcome in {Outcome.RECOVERED, Outcome.FAILED}


async def test_after_an_outage_a_pod_is_deleted_on_a_new_proof_only(cluster: InProcessCluster) -> None:
    """Nothing has recovered: the second pod is deleted, and its proof is as young as that of the first."""
    program = Program(cluster)
    program.writer.slow(0.1)
    async with working(program):
        await alert(program)
        await deleted(cluster, 1)
        program.writer.hang()
        await asyncio.sleep(60)
        program.writer.recover()
        await deleted(cluster, 2)

    assert max(ages(cluster)) <= WINDOW


# ---- the holder stands still


def stops_after_intent(
    monkeypatch: pytest.MonkeyPatch, program: Program, then: Callable[[], object], *, seconds: float = 0.0
) -> asyncio.Event:
    """The first time that this program has recorded an intent, something happens before it sends the DELETE."""
    intend = Execution.intend
    stopped = asyncio.Event()

    async def standing_still(execution: Execution, uid: str) -> None:
        await intend(execution, uid)
        if execution._store is program.store and not stopped.is_set():
            stopped.set()
            then()
            await asyncio.sleep(seconds)

    monkeypatch.setattr(Execution, "intend", standing_still)
    return stopped


async def test_a_holder_that_was_stopped_between_intent_and_delete_deletes_nothing_that_was_spared(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP for ten minutes: another takes the lease, proves the BBS reachable and spares the pods."""
    first, second = Program(cluster), Program(cluster, identity="b")

    def stop() -> None:  # nothing of the first is sent while it stands still, not even a renewal
        first.writer.mishap = lambda request: None if request.call == "delete pods" else Mishap(error=TIMED_OUT)
        cluster.fault("lock-back")

    stopped = stops_after_intent(monkeypatch, first, stop, seconds=600)
    async with working(first):
        await alert(first)
        async with asyncio.timeout(RECOVERED_IN):
            await stopped.wait()
        async with working(second):
            run = await ended(cluster, within=300)
            assert now() < 600
            await asyncio.sleep(600 - now() + 60)
            first.writer.recover()
            await asyncio.sleep(60)

    assert (run.outcome, run.reason) == (Outcome.NOT_NEEDED, "not-restarted")
    assert [pod.state for pod in run.pods] == [PodState.SPARED] * 2
    assert cluster.deletes == []


async def test_a_delete_that_takes_effect_late_is_on_record_and_not_claimed_to_be_spared() -> None:
    """The first process dies while its DELETE is on its way for 40 s; the other pod's BBS becomes active meanwhile."""
    cluster = InProcessCluster(faults=("lock-elsewhere",), seed=1)
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.mishap = lambda request: Mishap(delay=40) if request.call == "delete pods" else None
    async with working(first) as task:
        await alert(first)
        await until(lambda: first.writer.calls["delete pods"] == 1)
        await first.kill(task)
    cluster.fault("lock-back")
    async with working(second):
        run = await ended(cluster, within=300)

    assert deleted_names(cluster) == ["diego-api-0"], "the seed is one with which diego-api-1 takes the lock"
    assert run.outcome is Outcome.RECOVERED
    assert [pod.state for pod in run.pods] == [PodState.REPLACED, PodState.SPARED]


async def test_a_delete_that_arrives_late_does_not_hit_a_pod_that_became_active() -> None:
    """The same, but the pod that the DELETE names becomes active: its label changes, and so its resourceVersion."""
    cluster = InProcessCluster(faults=("lock-elsewhere",), seed=3)
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.mishap = lambda request: Mishap(delay=40) if request.call == "delete pods" else None
    async with working(first) as task:
        await alert(first)
        await until(lambda: first.writer.calls["delete pods"] == 1)
        await first.kill(task)
    cluster.fault("lock-back")
    async with working(second):
        run = await ended(cluster, within=300)

    codes = [each["responseStatus"]["code"] for each in cluster.audit if each["verb"] == "delete"]
    assert (codes, cluster.deletes) == ([409], [])
    assert (run.outcome, [pod.state for pod in run.pods]) == (Outcome.NOT_NEEDED, [PodState.SPARED] * 2)


# ---- clocks


@pytest.mark.parametrize(
    "jump",
    [
        lambda clock: clock.suspend(8 * 3600),
        lambda clock: clock.suspend(60),
        lambda clock: clock.set_wall(8 * 3600),
        lambda clock: clock.set_wall(-8 * 3600),
    ],
    ids=["suspended for hours", "suspended for a minute", "wall time forward", "wall time back"],
)
async def test_after_a_clock_jumped_the_proof_is_repeated_before_a_delete(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch, jump: Callable[[MachineClock], None]
) -> None:
    program = Program(cluster)
    checks: list[int] = []

    def happens() -> None:
        checks.append(program.writer.calls["get pods/exec"])
        jump(program.clock)

    stops_after_intent(monkeypatch, program, happens)
    async with working(program):
        await alert(program)
        await until(lambda: program.writer.calls["delete pods"] > 0, within=300)
        checks.append(program.writer.calls["get pods/exec"])

    assert checks[1] - checks[0] >= 2 * 2, "two attempts from two api pods"
    assert max(ages(cluster)) <= WINDOW


# ---- a run that is resumed late


async def test_a_run_that_is_resumed_after_its_deadline_waits_for_the_new_pods(cluster: InProcessCluster) -> None:
    """Everybody was away for an hour. The pod that was deleted a moment before comes back within its usual time."""
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.slow(0.1)
    async with working(first) as task:
        await alert(first)
        await deleted(cluster, 2)
        await first.kill(task)
    cluster.fault("lock-back")
    await asyncio.sleep(3600)
    second.writer.slow(0.5)
    async with working(second):
        await until(lambda: cluster.leases[JOURNAL].spec.holder_identity == "b")
        for name in ("diego-api-0", "diego-api-1"):  # a person restarts them once more
            await second.writer.delete_pod(name, uid=cluster.pod(name).uid)
        run = await ended(cluster, within=300)

    assert (run.outcome, run.reason) == (Outcome.RECOVERED, "")


async def test_a_run_that_restarted_nothing_does_not_claim_to_have_recovered_the_foundation(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process died between intent and delete; the BBS recovered by itself."""
    first, second = Program(cluster), Program(cluster, identity="b")
    stopped = stops_after_intent(monkeypatch, first, first.writer.kill, seconds=10)
    async with working(first) as task:
        await alert(first)
        async with asyncio.timeout(RECOVERED_IN):
            await stopped.wait()
        await first.kill(task)
    cluster.fault("lock-back")
    async with working(second):
        run = await ended(cluster, within=300)

    assert (run.outcome, run.reason) == (Outcome.NOT_NEEDED, "not-restarted")
    assert (cluster.deletes, [pod.state for pod in run.pods]) == ([], [PodState.SPARED] * 2)
    assert cluster.journal().disruptions != (), "the intent counts: it may have been a delete"


async def test_a_foundation_that_is_restarted_and_works_is_recovered() -> None:
    """The control case."""
    cluster = broken_foundation()
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run: Run = await ended(cluster)

    assert run.outcome is Outcome.RECOVERED
    assert len(runs_of(cluster)) == 1
