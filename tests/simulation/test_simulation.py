"""The simulation: the product has no violation, an incident can be replayed, and the judges can fail."""

import gc
import logging
import sys
from collections.abc import Iterator

import pytest

from sandbox.simulation.faults import CALL_FAULTS, Plan
from sandbox.simulation.incident import Incident, Report
from sandbox.simulation.loop import Process
from sandbox.simulation.settings import SceneName
from sandbox.transport import Mishap, Request
from webhook.runbook.licence import Licence, Proof
from webhook.runbook.proof import Prover

SEEDS = 40
CONTROL = 60


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Simulated programs log thousands of lines, and coroutines of those that were killed are collected unfinished."""
    logging.disable(logging.CRITICAL)
    monkeypatch.setattr(sys, "unraisablehook", lambda _error: None)
    yield
    gc.collect()
    logging.disable(logging.NOTSET)


pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


def play(seed: int, scene: SceneName = "random") -> Report:
    return Incident(Plan(seed, scene=scene)).play()


def test_random_incidents_have_no_violation() -> None:
    assert [(seed, violations) for seed in range(SEEDS) if (violations := play(seed).violations)] == []


def test_the_reference_incident_is_repaired_by_one_run() -> None:
    report = play(0, "reference")
    assert (report.violations, report.outcomes, report.deletes) == ([], ("recovered",), 2)


def lines(seed: int) -> list[tuple[float, str]]:
    incident = Incident(Plan(seed))
    incident.play()
    return incident.lines()


@pytest.mark.parametrize("seed", [3, 17, 43, 175, 2454, 2749])
def test_the_same_seed_plays_the_same_incident(seed: int) -> None:
    """Wherever the objects are in memory: in the last four, tasks are cancelled that asyncio keeps in a set."""
    first = lines(seed)
    for others in range(3):
        play(others)
        assert lines(seed) == first


def test_other_seeds_play_other_incidents() -> None:
    assert lines(1) != lines(2)


def test_the_judges_notice_a_licence_that_never_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_proof(prover: Prover) -> Proof | None:
        return prover._proof

    monkeypatch.setattr(Licence, "expired", lambda _licence, _now: None)
    monkeypatch.setattr(Prover, "fresh", any_proof)
    assert any(play(seed).violations for seed in range(CONTROL))


@pytest.mark.parametrize("fault", ["crash", "stop-70"])
def test_a_process_can_be_hit_before_any_of_its_callbacks(fault: str) -> None:
    plain = Incident(Plan(0, scene="shortest"))
    hit = Incident(Plan(0, steps={plain.play().steps // 2: fault}, scene="shortest"))
    report = hit.play()
    assert (report.violations, report.faults) == ([], 1)
    assert hit.lines() != plain.lines()


@pytest.mark.parametrize("fault", CALL_FAULTS)
def test_a_delete_may_go_wrong_in_any_way(fault: str) -> None:
    plan = Plan(0, {_call_of("delete pods"): fault}, scene="shortest")
    report = Incident(plan).play()
    assert (report.violations, report.faults) == ([], 1)


def _call_of(kind: str) -> int:
    """The number of the first call of a kind in the shortest incident."""
    incident = Incident(Plan(0, scene="shortest"))
    calls: list[str] = []
    before = incident.stage.faults.before_call

    def note(process: Process, request: Request) -> Mishap | None:
        calls.append(request.call)
        return before(process, request)

    incident.stage.faults.before_call = note  # type: ignore[method-assign]
    incident.play()
    return calls.index(kind)
