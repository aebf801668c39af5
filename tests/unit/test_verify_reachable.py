"""The last step: a run has recovered the foundation only if the Cloud Controller says so."""

import pytest

from exporter.kubernetes.api import ApiError
from sandbox.transport import Mishap, Request
from tests.support.incident import Program, alert, deleted_names, ended, working
from tests.support.inprocess import InProcessCluster, answer_of, broken_foundation
from webhook.record.journal import Outcome, Step

pytestmark = pytest.mark.looptime(noop_cycles=1)

LOST = ApiError(500, "InternalError", "error dialing backend: i/o timeout")
BOTH = ["diego-api-0", "diego-api-1"]


@pytest.fixture
def cluster() -> InProcessCluster:
    """The incident: a restart mends it."""
    return broken_foundation()


@pytest.mark.parametrize("misled", [True, False])
async def test_a_service_that_leads_nowhere_is_no_recovery(cluster: InProcessCluster, misled: bool) -> None:
    """All new pods are ready and one is active, and still no api pod reaches the BBS. Without that: the control."""
    if misled:
        spec = cluster.object("services", "diego-api")["spec"]
        cluster.change("services", "diego-api", spec={**spec, "selector": {**spec["selector"], "zone": "elsewhere"}})
    program = Program(cluster)
    async with working(program):
        await alert(program)
        run = await ended(cluster, within=300)

    expected = (Outcome.FAILED, "unreachable") if misled else (Outcome.RECOVERED, "")
    assert (run.outcome, run.reason or "", run.step) == (*expected, Step.VERIFY_REACHABLE)
    assert deleted_names(cluster) == BOTH


async def test_an_answer_that_is_unknown_is_no_recovery(cluster: InProcessCluster) -> None:
    """After the restart one api pod reaches the BBS, and no exec reaches the other."""
    program = Program(cluster)

    def lose(request: Request) -> Mishap | None:
        lost = deleted_names(cluster) == BOTH and request.call == "get pods/exec" and request.name == "api-1"
        return Mishap(error=answer_of(LOST)) if lost else None

    program.writer.mishap = lose
    async with working(program):
        await alert(program)
        run = await ended(cluster, within=300)

    assert (run.outcome, run.reason) == (Outcome.FAILED, "not-verified (exec-failed)")
    assert deleted_names(cluster) == BOTH
