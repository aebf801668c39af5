"""The guards before every delete: for one pod of the run's list, on a view of this moment. Each beside its control."""

from dataclasses import replace

import pytest

from exporter.config.model import Foundation
from exporter.foundation.view import Component, FoundationView
from exporter.kubernetes.objects import Pod
from tests.support.foundations import foundation
from tests.support.views import a_pod, component, view, without
from webhook.runbook.guards import Refusal, refusal, refusal_for_pod

CF = foundation()
ZERO = a_pod("diego-api", 0, active="true")
ONE = a_pod("diego-api", 1, active="false")
LISTED = (ZERO.uid, ONE.uid)
PAUSE = "diego-medic/pause"
EXCLUDE = "diego-medic/exclude"


def refused(
    seen: FoundationView, *, settings: Foundation = CF, pod: Pod = ZERO, listed: tuple[str, ...] = LISTED
) -> Refusal | None:
    return refusal_for_pod(seen, settings, statefulset="diego-api", uid=pod.uid, listed=listed)


def reason(
    seen: FoundationView, *, settings: Foundation = CF, pod: Pod = ZERO, listed: tuple[str, ...] = LISTED
) -> str | None:
    found = refused(seen, settings=settings, pod=pod, listed=listed)
    return None if found is None else found.reason


def incident(*pods: Pod, **changes: object) -> Component:
    return component("diego-api", *(pods or (ZERO, ONE)), **changes)  # type: ignore[arg-type]


def test_both_pods_of_the_incident_may_be_deleted() -> None:
    assert reason(view(incident())) is None
    assert reason(view(incident()), pod=ONE) is None


@pytest.mark.parametrize(
    "seen",
    [
        view(incident(a_pod("diego-api", 0, active="true", terminating=True), ONE)),
        view(incident(a_pod("diego-api", 0, active="true", uid="new"), ONE)),
        view(incident(ONE)),
        view(incident(a_pod("diego-api", 0, terminating=True), a_pod("diego-api", 1, terminating=True))),
    ],
)
def test_pods_that_this_run_has_deleted_are_no_reason_against_the_next(seen: FoundationView) -> None:
    """Terminating, replaced, gone: before the first delete the last of these would have been a refusal."""
    assert reason(seen, pod=ONE) is None


# ---- annotations of a person


@pytest.mark.parametrize(("annotation", "expected"), [(PAUSE, "paused"), (EXCLUDE, "excluded")])
def test_an_annotation_stops_the_run_and_its_text_is_shown(annotation: str, expected: str) -> None:
    seen = view(incident(annotations={annotation: "ann: maintenance until 6"}))

    found = refused(seen)

    assert found is not None
    assert found.reason == expected
    assert found.detail == f"StatefulSet diego-api has the annotation {annotation}: ann: maintenance until 6"
    assert refusal(seen, CF) == found


@pytest.mark.parametrize("annotation", [PAUSE, EXCLUDE])
@pytest.mark.parametrize(("value", "stops"), [("false", False), ("", True), ("true", True), ("False", True)])
def test_only_the_value_false_is_as_good_as_none(annotation: str, value: str, *, stops: bool) -> None:
    seen = view(incident(annotations={annotation: value}))

    assert (refused(seen) is not None) is stops
    assert (refusal(seen, CF) is not None) is stops


def test_an_annotation_of_another_statefulset_does_not_stop_this_one() -> None:
    locket = component("diego-locket", a_pod("diego-locket", 0), annotations={PAUSE: "ann"}, replicas=1)
    both = foundation(restart=("diego-locket", "diego-api"))

    assert reason(view(locket, incident()), settings=both) is None
    found = refusal_for_pod(view(locket, incident()), both, statefulset="diego-locket", uid="", listed=LISTED)
    assert found is not None
    assert found.reason == "paused"


# ---- the StatefulSet and its revision


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (view(incident(replicas=0)), "scaled-down"),
        (view(incident(observed=2)), "rollout"),
        (view(incident(update="rev-2")), "rollout"),
        (without(view(incident()), "diego-api"), "no-target"),
        (replace(view(incident()), components={}), "no-target"),
    ],
)
def test_what_has_changed_since_the_proof_stops_the_run(seen: FoundationView, expected: str) -> None:
    assert reason(seen) == expected


def test_only_the_revision_of_this_pod_counts() -> None:
    """Its neighbour was replaced in the meantime, and a partition holds back nothing of it."""
    ahead = a_pod("diego-api", 1, active="false", revision="rev-2")
    seen = view(incident(ZERO, ahead, partition=1, update="rev-3"))

    assert reason(seen, pod=ZERO) is None
    assert reason(seen, pod=ahead) == "rollout"
    found = refusal(seen, CF)
    assert found is not None
    assert found.reason == "rollout"


# ---- a config of today


def test_a_statefulset_that_the_config_does_not_restart_any_more_is_no_target() -> None:
    found = refused(view(incident()), settings=foundation(restart=("diego-locket",)))

    assert found is not None
    assert (found.reason, found.detail) == ("no-target", "the config does not restart StatefulSet diego-api any more")


@pytest.mark.parametrize(("most", "expected"), [(2, None), (1, "max-pods")])
def test_a_limit_that_was_lowered_stops_a_run_that_lists_more(most: int, expected: str | None) -> None:
    """It counts what the run lists, and not what is left of it."""
    settings = foundation(remediation={"max_pods": most})

    assert reason(view(incident(ONE)), settings=settings, pod=ONE) == expected


# ---- who serves


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (view(incident(), diego_api_0=True), "bbs-serving"),
        (view(incident(), diego_api_1=True), "bbs-serving"),
        (view(incident(), diego_api_0=True, diego_api_1=True), "split-brain"),
        (view(incident(), diego_api_0=None, diego_api_1=None), None),
    ],
)
def test_a_bbs_that_accepts_stops_the_run_whichever_pod_it_is(seen: FoundationView, expected: str | None) -> None:
    assert reason(seen, pod=ZERO) == expected
    assert reason(seen, pod=ONE) == expected


def test_a_short_staleness_of_the_gauges_hides_no_bbs() -> None:
    seen = view(incident(), diego_api_1=True)
    slow = replace(
        seen, pods={uid: replace(reading, known_at=reading.known_at - 30) for uid, reading in seen.pods.items()}
    )

    assert reason(slow, settings=foundation(staleness="10s")) == "bbs-serving"
