"""Several programs on one foundation: one acts, and whichever dies, another continues where the journal says."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from sandbox.transport import Request
from tests.support.incident import (
    RECOVERED_IN,
    RESTART,
    Program,
    alert,
    deleted,
    ended,
    now,
    reaches,
    runs_of,
    uids,
    working,
)
from tests.support.inprocess import JOURNAL, InProcessCluster, broken_foundation
from tests.support.moments import at, firing
from webhook.record import changes
from webhook.record.journal import Outcome, PodState, Step, StepResult
from webhook.requests.alerts import request_as_alerts
from webhook.timings import DEFAULT
from webhook.writer import LeaseSpec

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time

TAKEN_OVER_IN = DEFAULT.lease_duration + DEFAULT.outstanding + RECOVERED_IN + 10


@pytest.fixture
def cluster() -> InProcessCluster:
    return broken_foundation()


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.AWAIT_APPROVAL])
async def test_a_run_survives_the_process_that_executes_it(cluster: InProcessCluster, step: Step) -> None:
    """Killed in each of the steps; another takes the lease, and the run, once the first was silent for long enough."""
    originals = uids(cluster)
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.slow(0.1)  # so that each step takes its time
    async with working(first) as task:
        await alert(first)
        await reaches(cluster, step)
        await first.kill(task)
    killed = now()
    async with working(second):
        run = await ended(cluster, within=TAKEN_OVER_IN)

    assert run.outcome is Outcome.RECOVERED
    assert now() - killed > DEFAULT.lease_duration
    assert len(runs_of(cluster)) == 1
    assert sorted(cluster.deletes) == originals
    assert StepResult.INTERRUPTED in {each.result for each in run.steps}


async def test_a_program_that_is_stopped_hands_over_at_once(cluster: InProcessCluster) -> None:
    first, second = Program(cluster), Program(cluster, identity="b")
    async with working(first):
        await alert(first)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
    async with working(second):
        await asyncio.sleep(1)
        assert second.metric("diego_webhook_leader") == 1
        run = await ended(cluster)

    assert run.outcome is Outcome.RECOVERED
    assert run.executor == "a"


async def test_of_several_programs_one_acts(cluster: InProcessCluster) -> None:
    programs = [Program(cluster, identity=identity) for identity in "abc"]
    tasks = [asyncio.create_task(program.medic.run()) for program in programs]
    await asyncio.gather(*(alert(program) for program in programs for _ in range(70)))
    run = await ended(cluster)
    await asyncio.sleep(30)
    led = [program.metric("diego_webhook_leader") for program in programs]
    waiting = [program.medic.waits_for for program in programs]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert (run.outcome, len(runs_of(cluster)), len(cluster.deletes)) == (Outcome.RECOVERED, 1, 2)
    assert sorted(map(str, led)) == ["0.0", "0.0", "1.0"]
    assert len([each for each in waiting if each.startswith("held by ")]) == 2


async def test_every_program_shows_what_another_does(cluster: InProcessCluster) -> None:
    acting, showing = Program(cluster), Program(cluster, identity="b")
    async with working(acting), working(showing):
        await alert(acting)
        await ended(cluster)
        await asyncio.sleep(DEFAULT.poll + 0.1)

        assert showing.store.journal == cluster.journal()


async def test_a_pause_from_elsewhere_stops_a_run(cluster: InProcessCluster) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        cluster.put_journal(changes.pause(cluster.journal(), by="ann", reason="maintenance", now=at(0)))
        run = await ended(cluster)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.REFUSED, "paused", [])


async def test_a_holder_that_was_replaced_opens_no_run(cluster: InProcessCluster) -> None:
    """It has not noticed yet that another has taken the lease, but the journal knows."""
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(0.5)
        cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="b", lease_duration_seconds=3600, lease_transitions=9))
        asked, _, _ = request_as_alerts(cluster.journal(), [firing("a")], program.settings, at(0))
        cluster.put_journal(msgspec.structs.replace(asked, epoch=9))
        await asyncio.sleep(60)

    assert (runs_of(cluster), cluster.journal().request is not None) == ((), True)


async def test_a_holder_whose_epoch_is_not_new_waits_for_as_long_as_another_may_trust_its_lease(
    cluster: InProcessCluster,
) -> None:
    program = Program(cluster)

    def another_has_it_too(request: Request) -> None:
        if request.call == "create leases":
            cluster.put_journal(msgspec.structs.replace(cluster.journal(), epoch=1))

    program.writer.mishap = another_has_it_too
    async with working(program):
        await alert(program)
        run = await ended(cluster, within=TAKEN_OVER_IN)

    assert (run.outcome, cluster.journal().epoch) == (Outcome.RECOVERED, 2)
    assert run.started >= at(0) + timedelta(seconds=DEFAULT.lease_duration)


async def test_a_medic_that_was_replaced_deletes_nothing_whatever_it_is_doing(cluster: InProcessCluster) -> None:
    """A reload cancels it too; that the cancellation arrives is not what protects the pods."""
    program = Program(cluster)
    program.writer.slow(0.1)  # so that each step takes its time
    task = asyncio.create_task(program.medic.run())
    await asyncio.sleep(0.5)
    await alert(program)
    await reaches(cluster, Step.RESTART)
    program.medic.retire()
    await asyncio.wait([task], timeout=RECOVERED_IN)

    assert (cluster.deletes, task.done()) == ([], True)


async def test_a_successor_proves_again_before_it_deletes_more(cluster: InProcessCluster) -> None:
    """The first of two pods was deleted, and that was enough: the second is spared."""
    first_pod = uids(cluster)[0]
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.slow(0.2)
    async with working(first) as task:
        await alert(first)
        await deleted(cluster, 1)
        await first.kill(task)
    await asyncio.sleep(RESTART)
    async with working(second):
        run = await ended(cluster, within=TAKEN_OVER_IN)

    assert run.outcome is Outcome.RECOVERED
    assert run.detail.endswith("not restarted, because the BBS was reachable by then: diego-api-1")
    assert cluster.deletes == [first_pod]
    assert [pod.state for pod in run.pods] == [PodState.REPLACED, PodState.SPARED]


async def test_a_lease_that_was_taken_away_stops_its_former_holder(cluster: InProcessCluster) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="b", lease_duration_seconds=3600, lease_transitions=9))
        cluster.put_journal(msgspec.structs.replace(cluster.journal(), epoch=9))
        await asyncio.sleep(300)

        assert program.medic.waits_for == "held by b"
    assert (cluster.deletes, cluster.journal().runs[-1].outcome) == ([], None)
