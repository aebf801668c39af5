"""Guards and the mode apply before every delete, also in the middle of a run; a positive proof spares every pod."""

import asyncio
from collections.abc import Callable

import pytest

from exporter.kubernetes.api import ApiError
from sandbox.cluster.foundation import Foundation, Timing
from sandbox.transport import Mishap, Request
from tests.support.foundations import foundation
from tests.support.incident import (
    FAST,
    RESTART,
    Program,
    alert,
    blind,
    deleted,
    deleted_names,
    ended,
    reaches,
    runs_of,
    working,
)
from tests.support.inprocess import InProcessCluster, answer_of, broken_foundation, healthy_foundation
from webhook.record.journal import Outcome, PodState, Run, Step

pytestmark = pytest.mark.looptime(noop_cycles=1)

LOST = ApiError(500, "InternalError", "error dialing backend: i/o timeout")
OBSERVE = foundation(remediation=FAST | {"mode": "observe"})


@pytest.fixture
def cluster() -> InProcessCluster:
    """No restart helps, and no pod recovers, until `lock-back`. A new template is not rolled out by itself."""
    return InProcessCluster(faults=("lock-elsewhere",), foundation=Foundation(update_strategy="OnDelete"))


async def handed_over(cluster: InProcessCluster, first: Program, second: Program, pods: int) -> Run:
    """The first is stopped once so many pods were deleted, or in mid-proof for 0; the second has the same identity."""
    first.writer.slow(0.1)
    async with working(first):
        await alert(first)
        await (deleted(cluster, pods) if pods else reaches(cluster, Step.CONFIRM_UNREACHABLE))
    async with working(second):
        return await ended(cluster, within=600)


# ---- the mode


@pytest.mark.parametrize(
    ("pods", "outcome", "reason"),
    [(0, Outcome.OBSERVED, "observe"), (1, Outcome.FAILED, "observe after 1 of 2")],
)
async def test_mode_observe_after_a_reload_stops_a_run_of_mode_auto(
    cluster: InProcessCluster, pods: int, outcome: Outcome, reason: str
) -> None:
    run = await handed_over(cluster, Program(cluster), Program(cluster, OBSERVE), pods)

    assert (run.mode, run.outcome, run.reason) == ("auto", outcome, reason)
    assert ("it would have deleted diego-api-0, diego-api-1" in run.detail) == (pods == 0)
    assert deleted_names(cluster) == ["diego-api-0"][:pods]


@pytest.mark.parametrize("pods", [0, 1])
async def test_a_reload_that_changes_something_else_does_not_stop_a_run(cluster: InProcessCluster, pods: int) -> None:
    """The control case."""
    changed = foundation(remediation=FAST | {"cooldown": "10m"})
    run = await handed_over(cluster, Program(cluster), Program(cluster, changed), pods)

    assert deleted_names(cluster) == ["diego-api-0", "diego-api-1"]
    assert (run.outcome, run.reason) == (Outcome.FAILED, "no-active-label"), "no restart helps here"


async def test_a_run_that_lists_more_pods_than_todays_max_pods_stops(cluster: InProcessCluster) -> None:
    changed = foundation(remediation=FAST | {"max_pods": 1})
    run = await handed_over(cluster, Program(cluster), Program(cluster, changed), 1)

    assert (run.outcome, run.reason) == (Outcome.FAILED, "max-pods after 1 of 2")
    assert deleted_names(cluster) == ["diego-api-0"]


async def test_a_statefulset_that_the_config_does_not_restart_any_more_is_left_alone(
    cluster: InProcessCluster,
) -> None:
    first = Program(cluster)
    changed = foundation(restart=("diego-locket",), remediation=FAST)
    run = await handed_over(cluster, first, Program(cluster, changed), 1)

    assert run.outcome is Outcome.FAILED
    assert deleted_names(cluster) == ["diego-api-0"]


# ---- guards in the middle of a run


def exclude(cluster: InProcessCluster, annotation: str = "diego-medic/exclude") -> None:
    cluster.change("statefulsets", "diego-api", metadata={"annotations": {annotation: "true"}})


def roll_out(cluster: InProcessCluster) -> None:
    """A new template, which a restart would deploy."""
    found = cluster.object("statefulsets", "diego-api")
    template = found["spec"]["template"]
    spec = {**found["spec"], "template": {**template, "spec": {**template["spec"], "terminationGracePeriodSeconds": 3}}}
    cluster.change("statefulsets", "diego-api", spec=spec, metadata={"generation": found["metadata"]["generation"] + 1})


GUARDS = [
    pytest.param(exclude, "excluded", id="exclude"),
    pytest.param(lambda cluster: exclude(cluster, "diego-medic/pause"), "paused", id="pause"),
    pytest.param(roll_out, "rollout", id="rollout"),
]
Change = Callable[[InProcessCluster], None]


@pytest.mark.parametrize(("change", "reason"), GUARDS)
async def test_a_run_that_is_resumed_looks_at_the_guards_again(
    cluster: InProcessCluster, change: Change, reason: str
) -> None:
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.slow(0.1)
    async with working(first) as task:
        await alert(first)
        await deleted(cluster, 1)
        await first.kill(task)
    change(cluster)
    async with working(second):
        run = await ended(cluster, within=300)

    assert (run.outcome, run.reason) == (Outcome.FAILED, f"{reason} after 1 of 2")
    assert deleted_names(cluster) == ["diego-api-0"]


@pytest.mark.parametrize(("change", "reason"), [*GUARDS, pytest.param(None, "", id="control")])
async def test_the_second_statefulset_is_guarded_when_its_turn_comes(change: Change | None, reason: str) -> None:
    """CFEE before 2.0: diego-locket first, and while its pods are awaited somebody changes diego-api."""
    stage = Foundation(locket="diego-locket", update_strategy="OnDelete")
    cluster = InProcessCluster(faults=("lock-elsewhere",), foundation=stage)
    program = Program(cluster, foundation(restart=("diego-locket", "diego-api"), remediation=FAST))
    async with working(program):
        await alert(program)
        await deleted(cluster, 2)
        if change is not None:
            change(cluster)
        run = await ended(cluster, within=900)

    lockets, pods = ["diego-locket-0", "diego-locket-1"], ["diego-api-0", "diego-api-1"]
    if change is None:
        assert deleted_names(cluster) == [*lockets, *pods]
    else:
        assert (run.outcome, run.reason) == (Outcome.FAILED, f"{reason} after 2 of 4")
        assert deleted_names(cluster) == lockets


# ---- a positive proof


async def test_a_restart_of_locket_that_was_enough_spares_the_pods_of_diego_api() -> None:
    """CFEE before 2.0. The proof for the second StatefulSet is a new one, however young the first is."""
    cluster = InProcessCluster(
        faults=("locket-hang",), foundation=Foundation(locket="diego-locket"), timing=Timing(start=1, stop=1)
    )
    settings = foundation(restart=("diego-locket", "diego-api"), remediation=FAST)
    program = Program(cluster, settings, dial=blind)
    async with working(program):
        await alert(program)
        run = await ended(cluster, within=200)

    assert (run.outcome, deleted_names(cluster)) == (Outcome.RECOVERED, ["diego-locket-0", "diego-locket-1"])
    assert [pod.state for pod in run.pods][2:] == [PodState.SPARED] * 2


async def test_blind_probes_of_its_own_do_not_overrule_that_the_cloud_controller_reaches_the_bbs() -> None:
    """The first process died after one delete, which was enough. The second one cannot connect to any pod."""
    cluster = broken_foundation()
    first, second = Program(cluster), Program(cluster, identity="b", dial=blind)
    first.writer.slow(0.1)
    async with working(first) as task:
        await alert(first)
        await deleted(cluster, 1)
        await first.kill(task)
    await asyncio.sleep(RESTART)
    async with working(second):
        run = await ended(cluster, within=300)

    assert deleted_names(cluster) == ["diego-api-0"]
    assert (run.outcome, run.pods[1].state) == (Outcome.RECOVERED, PodState.SPARED)


async def test_blind_probes_of_its_own_do_not_keep_it_from_a_restart(cluster: InProcessCluster) -> None:
    """The control case: the Cloud Controller does not reach it either."""
    program = Program(cluster, dial=blind)
    async with working(program):
        await alert(program)
        await deleted(cluster, 2)


@pytest.mark.parametrize("recovers", [False, True])
async def test_the_cloud_controller_is_asked_once_more_after_evidence_was_kept(
    cluster: InProcessCluster, recovers: bool
) -> None:
    """The guards are blind, and the proof is still fresh: nothing else tells that the BBS has recovered meanwhile."""
    program = Program(cluster, dial=blind)
    program.writer.mishap = lambda request: Mishap(back=5) if request.call == "get pods/log" else None
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.PRESERVE_EVIDENCE)
        if recovers:
            cluster.fault("lock-back")
        run = await ended(cluster, within=600)

    assert run.reason == ("reachable" if recovers else "no-active-label")
    assert deleted_names(cluster) == ([] if recovers else ["diego-api-0", "diego-api-1"])


@pytest.mark.parametrize("holds", [False, True])
async def test_one_success_counts_only_where_it_holds(holds: bool) -> None:
    """Reachable at the first attempt, and no longer a moment later: that proves neither."""
    cluster = healthy_foundation()
    program = Program(cluster)

    def breaks(request: Request) -> None:
        if not holds and request.call == "get pods/exec":
            asyncio.get_running_loop().call_later(0.5, cluster.fault, "locket-db-down")

    program.writer.mishap = breaks
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, run.reason) == ((Outcome.NOT_NEEDED, "reachable") if holds else (Outcome.UNPROVEN, "flapping"))
    assert cluster.deletes == []


async def test_a_split_brain_wins_over_a_bbs_that_is_reachable(cluster: InProcessCluster) -> None:
    """Between the proof and the deletes two BBS become active: the Cloud Controller reaches one of them."""
    program = Program(cluster)
    program.writer.slow(0.5)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.PRESERVE_EVIDENCE)
        cluster.fault("split-brain")
        run = await ended(cluster, within=120)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.REFUSED, "split-brain", [])


async def test_one_bbs_that_recovers_at_that_moment_is_not_a_split_brain(cluster: InProcessCluster) -> None:
    """The control case."""
    program = Program(cluster)
    program.writer.slow(0.5)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.PRESERVE_EVIDENCE)
        cluster.fault("lock-back")
        run = await ended(cluster, within=120)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.NOT_NEEDED, "reachable", [])


# ---- a node that is lost


async def test_an_api_pod_on_a_lost_node_does_not_veto() -> None:
    """Its containers are still reported as ready, its Ready condition is False, and no exec reaches it."""
    cluster = broken_foundation()
    program = Program(cluster)

    def unreachable(request: Request) -> Mishap | None:
        lost = request.call == "get pods/exec" and request.name == "api-1"
        return Mishap(error=answer_of(LOST)) if lost else None

    program.writer.mishap = unreachable
    status = cluster.object("pods", "api-1")["status"]
    others = [each for each in status["conditions"] if each["type"] != "Ready"]
    condition = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
    cluster.change("pods", "api-1", status={**status, "conditions": [*others, condition]})
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert run.outcome is Outcome.RECOVERED
    assert len(runs_of(cluster)) == 1
