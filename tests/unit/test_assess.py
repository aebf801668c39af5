"""What a probe proves: the table that gauges, decisions and deletes all stand on."""

import pytest

from exporter.foundation import assess
from exporter.foundation.view import Call, CallResult, Probe, ProbeResult, Reading

REACHED, NOT_REACHED, NOTHING = True, False, None
TABLE = {
    ProbeResult.SUCCESS: REACHED,
    ProbeResult.TLS: REACHED,
    ProbeResult.RESET: REACHED,
    ProbeResult.REFUSED: NOT_REACHED,
    ProbeResult.TIMEOUT: NOT_REACHED,
    ProbeResult.UNREACHABLE: NOT_REACHED,
    ProbeResult.DNS: NOTHING,
    ProbeResult.ERROR: NOTHING,
}


@pytest.mark.parametrize("result", ProbeResult)
def test_what_each_result_proves(result: ProbeResult) -> None:
    assert assess.proves(result, no_ready_endpoint=False) is TABLE[result]


@pytest.mark.parametrize("result", ProbeResult)
def test_an_empty_service_makes_a_missing_name_a_proof_and_changes_nothing_else(result: ProbeResult) -> None:
    expected = NOT_REACHED if result is ProbeResult.DNS else TABLE[result]

    assert assess.proves(result, no_ready_endpoint=True) is expected


@pytest.mark.parametrize("result", ProbeResult)
@pytest.mark.parametrize("before", [True, False])
def test_a_probe_that_proves_nothing_leaves_the_last_known_value(*, before: bool, result: ProbeResult) -> None:
    known = Reading(last=Probe(ProbeResult.SUCCESS, at=100), reachable=before, known_at=100)
    after = assess.read(known, Probe(result, at=200), no_ready_endpoint=False)
    proved = TABLE[result]

    assert after.last == Probe(result, at=200)
    assert (after.reachable, after.known_at) == ((before, 100) if proved is None else (proved, 200))


ANSWERS = {
    CallResult.ANSWERED: True,
    CallResult.FAILED: False,
    CallResult.TIMEOUT: False,
    CallResult.CLOSED: False,
    CallResult.TLS: None,
    CallResult.ERROR: None,
}
BEFORE = Reading(last=Call(CallResult.ANSWERED, at=100), reachable=True, known_at=100)


def probed(call: Call | None) -> Probe:
    return Probe(ProbeResult.SUCCESS, at=200, call=call)


@pytest.mark.parametrize("result", CallResult)
def test_what_each_result_of_a_call_proves(result: CallResult) -> None:
    """What does not prove that the BBS is silent leaves the last known value, with its age."""
    call = Call(result, at=200)
    after = assess.read_call(BEFORE, probed(call), reachable=True)
    proved = ANSWERS[result]

    assert assess.answered(result) is proved
    assert after.last is call
    assert (after.reachable, after.known_at) == ((True, 100) if proved is None else (proved, 200))


@pytest.mark.parametrize("reachable", [True, None])
def test_a_call_that_was_not_made_leaves_everything(reachable: bool | None) -> None:
    assert assess.read_call(BEFORE, probed(None), reachable=reachable) is BEFORE


def test_where_nobody_accepts_it_is_unknown_at_once_whether_anybody_answers() -> None:
    """Otherwise `answers` would say for a while that a BBS works which is proved unreachable."""
    assert assess.read_call(BEFORE, probed(None), reachable=False) == Reading()
