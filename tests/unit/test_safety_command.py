"""`diego-runbook run` beside what is on record: it deletes nothing that its flags forbid, and never waits for ever."""

import asyncio
from typing import Any, NoReturn

import msgspec
import pytest

from tests.support.bench import open_run
from tests.support.foundations import foundation
from tests.support.incident import FAST, MachineClock, Program, alert, deleted, deleted_names, ended, reaches, working
from tests.support.inprocess import JOURNAL, InProcessCluster, InProcessWriter, broken_foundation
from webhook.medic import wiring
from webhook.medic.medic import Medic
from webhook.operator import run_command
from webhook.operator.command_context import CommandContext, ExitCode
from webhook.record.journal import Journal, Outcome, Step
from webhook.writer import LeaseSpec

pytestmark = pytest.mark.looptime(noop_cycles=1)

SETTINGS = foundation(remediation=FAST)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> InProcessCluster:
    made = broken_foundation()
    monkeypatch.setattr(wiring, "writer_for", lambda *_: InProcessWriter(made))
    monkeypatch.setattr(run_command, "dial_tcp", made.dial)
    return made


def at_desk() -> CommandContext:
    command = CommandContext()
    command.clock = MachineClock()
    return command


async def run(*, observe: bool = False, settings: Any = SETTINGS, within: float = 600) -> ExitCode:
    async with asyncio.timeout(within):
        return await run_command.run(at_desk(), settings, observe=observe, output="text")


async def test_a_run_of_a_person_restarts_the_pods(cluster: InProcessCluster) -> None:
    """The control case."""
    assert await run() is ExitCode.OK
    assert deleted_names(cluster) == ["diego-api-0", "diego-api-1"]


async def test_observe_deletes_nothing(cluster: InProcessCluster) -> None:
    assert await run(observe=True) is ExitCode.OK
    assert (cluster.deletes, cluster.journal().runs[-1].outcome) == ([], Outcome.OBSERVED)


@pytest.mark.parametrize("pods", [0, 1])
@pytest.mark.parametrize("configured", [SETTINGS, foundation()], ids=["auto", "no mode"])
async def test_observe_neither_continues_nor_ends_a_run_of_mode_auto_that_is_open(
    cluster: InProcessCluster, configured: Any, pods: int
) -> None:
    """Its webhook has died, before the first delete or after it."""
    webhook, successor = Program(cluster), Program(cluster, identity="b")
    webhook.writer.slow(0.1)
    async with working(webhook) as task:
        await alert(webhook)
        await (deleted(cluster, 1) if pods else reaches(cluster, Step.CONFIRM_UNREACHABLE))
        await webhook.kill(task)
    assert await run(observe=True, settings=configured) is ExitCode.UNKNOWN

    open_run = cluster.journal().open_run
    assert open_run is not None
    assert (open_run.mode, len(cluster.deletes)) == ("auto", pods)
    async with working(successor):
        assert (await ended(cluster, within=300)).outcome is Outcome.RECOVERED


async def test_observe_leaves_a_run_alone_that_is_opened_after_the_request(cluster: InProcessCluster) -> None:
    """A webhook holds the lease, opens a run of mode `auto` and dies before the command's medic takes the lease."""
    cluster.put_journal(Journal(foundation="cf"))
    cluster.write_lease(JOURNAL, LeaseSpec(holder_identity="webhook", lease_duration_seconds=15, lease_transitions=1))
    command = asyncio.create_task(run(observe=True))
    await asyncio.sleep(5)
    journal = cluster.journal()
    assert journal.request is not None
    cluster.put_journal(msgspec.structs.replace(journal, runs=(open_run(),)))
    await asyncio.sleep(300)

    assert cluster.leases[JOURNAL].spec.holder_identity == "", "another webhook can take it at once"
    assert (cluster.journal().runs, cluster.deletes) == ((open_run(),), [])
    command.cancel()
    await asyncio.wait([command])


async def test_a_medic_that_crashes_ends_the_command(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(_medic: Medic) -> NoReturn:
        await asyncio.sleep(5)
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(Medic, "_act", crash)
    with pytest.raises(ExceptionGroup) as crashed:
        await run(within=60)

    assert crashed.group_contains(RecursionError)
    assert cluster.journal().request is None, "a person who does not wait any more does not request a run"
