"""Several programs on one foundation: one acts, and whoever dies, another goes on where the journal says."""

import asyncio

import msgspec
import pytest

from tests.support.medics import (
    HEALED_IN,
    RESTART,
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
from tests.support.moments import at, firing
from webhook.medic.medic import POLL_INTERVAL
from webhook.record import journal as journals
from webhook.record.journal import Outcome, Step, StepResult
from webhook.record.lease import DURATION
from webhook.requests.decision import ask
from webhook.writer import LeaseSpec

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time


@pytest.fixture
def cluster() -> BrokenFoundation:
    return BrokenFoundation()


@pytest.mark.parametrize("step", list(Step))
async def test_a_run_survives_whoever_executes_it(cluster: BrokenFoundation, step: Step) -> None:
    """Killed in each of the steps; another takes the lease, and the run, when the first was silent for long enough."""
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.latency = lambda: 0.1  # so that each step takes its time
    async with working(first) as task:
        await alert(first)
        await reaches(cluster, step)
        await first.kill(task)
    killed = now()
    async with working(second):
        run = await ended(cluster, within=DURATION + HEALED_IN + 10)

    assert run.outcome is Outcome.RECOVERED
    assert now() - killed > DURATION
    assert len(runs_of(cluster)) == 1
    assert sorted(cluster.deletes) == [(f"diego-api-{n}", f"diego-api-{n}-uid") for n in range(2)]
    assert StepResult.INTERRUPTED in {each.result for each in run.steps}


async def test_a_program_that_ends_hands_over_at_once(cluster: BrokenFoundation) -> None:
    first, second = Program(cluster), Program(cluster, identity="b")
    async with working(first):
        await alert(first)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
    stopped = now()
    async with working(second):
        await asyncio.sleep(1)
        assert second.metric("diego_webhook_leader") == 1
        run = await ended(cluster)

    assert run.outcome is Outcome.RECOVERED
    assert now() - stopped < DURATION + HEALED_IN
    assert run.executor == "a"


async def test_of_several_programs_one_acts(cluster: BrokenFoundation) -> None:
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


async def test_every_program_shows_what_another_does(cluster: BrokenFoundation) -> None:
    acting, showing = Program(cluster), Program(cluster, identity="b")
    async with working(acting), working(showing):
        await alert(acting)
        await ended(cluster)
        await asyncio.sleep(POLL_INTERVAL + 0.1)

        assert showing.store.journal == cluster.journal()


async def test_a_pause_from_elsewhere_stops_a_run(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        cluster.put_journal(journals.pause(cluster.journal(), by="ann", reason="maintenance", now=at(0)))
        run = await ended(cluster)

    assert (run.outcome, run.reason, cluster.deletes) == (Outcome.REFUSED, "paused", [])


async def test_a_holder_who_was_replaced_opens_no_run(cluster: BrokenFoundation) -> None:
    """It has not noticed yet that another has taken the lease, but the journal knows."""
    program = Program(cluster)
    async with working(program):
        await asyncio.sleep(0.5)
        cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="b", lease_duration_seconds=3600, lease_transitions=9))
        asked, _, _ = ask(cluster.journal(), [firing("a")], program.settings, at(0))
        cluster.put_journal(msgspec.structs.replace(asked, epoch=9))
        await asyncio.sleep(60)

    assert (runs_of(cluster), cluster.journal().request is not None) == ((), True)


async def test_a_successor_proves_again_before_it_deletes_more(cluster: BrokenFoundation) -> None:
    """The first of two pods was deleted, and that was enough: the second serves by now, and is spared."""
    cluster.enough, cluster.serves = 1, "diego-api-1"
    first, second = Program(cluster), Program(cluster, identity="b")
    first.writer.latency = lambda: 0.2
    async with working(first) as task:
        await alert(first)
        async with asyncio.timeout(HEALED_IN):
            while not cluster.deletes:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.1)
        await first.kill(task)
    await asyncio.sleep(RESTART)
    async with working(second):
        run = await ended(cluster, within=DURATION + HEALED_IN)

    assert run.outcome is Outcome.RECOVERED
    assert cluster.deletes == [("diego-api-0", "diego-api-0-uid")]
    assert [(pod.answer, pod.deleted) for pod in run.pods] == [("replaced already", True), ("spared", False)]


async def test_a_lease_that_was_taken_away_stops_whoever_had_it(cluster: BrokenFoundation) -> None:
    program = Program(cluster)
    async with working(program):
        await alert(program)
        await reaches(cluster, Step.CONFIRM_UNREACHABLE)
        cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="b", lease_duration_seconds=3600, lease_transitions=9))
        cluster.put_journal(msgspec.structs.replace(cluster.journal(), epoch=9))
        await asyncio.sleep(300)

        assert program.medic.waits_for == "held by b"
    assert (cluster.deletes, cluster.journal().runs[-1].outcome) == ([], None)
