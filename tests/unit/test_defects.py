"""A defect of the program ends a run, and never as a success."""

import pytest

from tests.support.incident import Program, alert, ended, working
from tests.support.inprocess import broken_foundation
from webhook.record.journal import Outcome
from webhook.runbook.recovery import Recovery
from webhook.runbook.runbook import Runbook

pytestmark = pytest.mark.looptime(noop_cycles=1)


async def broken(*_args: object) -> str:
    raise ZeroDivisionError("a defect")


@pytest.mark.parametrize(
    ("place", "name", "outcome", "deletes"),
    [
        (Runbook, "preserve_evidence", Outcome.UNPROVEN, 0),
        (Recovery, "await_ready", Outcome.FAILED, 2),
        (Recovery, "verify", Outcome.FAILED, 2),
    ],
    ids=["before the first delete", "after the last one", "in the verification"],
)
async def test_a_defect_ends_the_run_as_internal_error(
    place: type, name: str, outcome: Outcome, deletes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, broken)
    cluster = broken_foundation()
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster)

    assert (run.outcome, run.reason) == (outcome, "internal-error")
    assert run.detail == "ZeroDivisionError: a defect"
    assert len(cluster.deletes) == deletes
