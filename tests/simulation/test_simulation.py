"""The simulation: the product has no violation, an incident can be replayed, and the judges can fail."""

import gc
import logging
import sys
from collections.abc import Iterator

import pytest

from sandbox.simulation.faults import Plan
from sandbox.simulation.incident import Incident, Report
from sandbox.simulation.settings import SceneName
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


@pytest.mark.parametrize("seed", [3, 17, 31])
def test_the_same_seed_plays_the_same_incident(seed: int) -> None:
    assert lines(seed) == lines(seed)


def test_other_seeds_play_other_incidents() -> None:
    assert lines(1) != lines(2)


def test_the_judges_notice_a_licence_that_never_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_proof(prover: Prover) -> Proof | None:
        return prover._proof

    monkeypatch.setattr(Licence, "expired", lambda _licence, _now: None)
    monkeypatch.setattr(Prover, "fresh", any_proof)
    assert any(play(seed).violations for seed in range(CONTROL))
