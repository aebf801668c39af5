"""What forbids a restart: each refusal beside the case in which nothing does."""

from dataclasses import replace

import pytest

from exporter.foundation.view import Component, FoundationView
from tests.support.foundations import foundation
from tests.support.views import a_pod, component, view, without
from webhook.runbook.guards import leadership_refusal, refusal, targets, to_delete

CF = foundation()
CFEE_1 = foundation(profile="cfee-1", restart=("diego-locket", "diego-api"))
# The incident: one pod is still labelled, neither accepts.
STALE = a_pod("diego-api", 0, active="true")
PASSIVE = a_pod("diego-api", 1, active="false")
TERMINATING = a_pod("diego-api", 1, active="false", terminating=True)
INCIDENT = component("diego-api", STALE, PASSIVE)
LOCKET = component("diego-locket", a_pod("diego-locket", 0), replicas=1)


def refused(seen: FoundationView, settings: object = None) -> str | None:
    found = refusal(seen, settings if settings is not None else CF)  # type: ignore[arg-type]
    return None if found is None else found.reason


def sentence(seen: FoundationView) -> str:
    found = refusal(seen, CF)
    assert found is not None
    return f"{found.reason}: {found.detail}"


def test_the_incident_is_restarted() -> None:
    assert refused(view(INCIDENT)) is None
    assert refused(view(LOCKET, INCIDENT), CFEE_1) is None


# ---- the target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            component("diego-api", replicas=0),
            "scaled-down: StatefulSet diego-api is scaled to 0: somebody stopped it",
        ),
        (component("diego-api", STALE, replicas=0), "scaled-down: "),
        (component("diego-api"), "no-target: StatefulSet diego-api has no pods"),
        (Component("diego-api", None), "no-target: StatefulSet diego-api does not exist"),
        (
            component("diego-api", STALE, PASSIVE, annotations={"diego-medic/exclude": "true"}),
            "excluded: StatefulSet diego-api has the annotation diego-medic/exclude: true",
        ),
        (component("diego-api", STALE, PASSIVE, annotations={"diego-medic/exclude": ""}), "excluded: "),
        (component("diego-api", TERMINATING), "already-terminating: every pod of diego-api is terminating already"),
        (component("diego-api", STALE, PASSIVE, observed=2), "rollout: StatefulSet diego-api was changed"),
        (
            component("diego-api", STALE, PASSIVE, update="rev-2"),
            "rollout: diego-api-0 has revision rev-1; a restart deploys rev-2",
        ),
    ],
)
def test_each_refusal_of_a_target_has_its_words(target: Component, expected: str) -> None:
    assert sentence(view(target)).startswith(expected)


@pytest.mark.parametrize(
    "target",
    [
        component("diego-api", STALE, PASSIVE, annotations={"diego-medic/exclude": "false"}),
        component("diego-api", STALE, PASSIVE, annotations={"diego-medic/other": "true"}),
        component("diego-api", STALE, TERMINATING),
        component("diego-api", STALE),
        component("diego-api", STALE, PASSIVE, replicas=1),
    ],
)
def test_what_is_alike_and_forbids_nothing(target: Component) -> None:
    """An exclusion taken back, another's annotation, a pod on its way out, one not yet created, one too many."""
    assert refused(view(target)) is None


def test_a_statefulset_that_is_missing_from_the_view_is_no_target() -> None:
    assert refused(replace(view(), components={})) == "no-target"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        # A restart keeps what a partition holds back …
        (component("diego-api", STALE, PASSIVE, partition=2, update="rev-2"), None),
        (component("diego-api", STALE, PASSIVE, partition=1, update="rev-2"), "rollout"),
        (
            component("diego-api", STALE, a_pod("diego-api", 1, revision="rev-2"), partition=1, update="rev-2"),
            None,
        ),
        # … but not what OnDelete holds back: there, a delete is what deploys.
        (component("diego-api", STALE, PASSIVE, strategy="OnDelete", update="rev-2"), "rollout"),
        (component("diego-api", STALE, PASSIVE, strategy="OnDelete", partition=2, update="rev-2"), "rollout"),
        (component("diego-api", STALE, PASSIVE, strategy="OnDelete"), None),
        # A pod that is ahead of its partition would go back.
        (
            component("diego-api", a_pod("diego-api", 0, revision="rev-2"), PASSIVE, partition=2, update="rev-2"),
            "rollout",
        ),
        # Pods that are on their way are deployed by whoever deleted them.
        (
            component("diego-api", a_pod("diego-api", 0, revision="rev-0", terminating=True), PASSIVE),
            None,
        ),
    ],
)
def test_a_restart_that_would_deploy_another_revision_is_refused(target: Component, expected: str | None) -> None:
    assert refused(view(target)) == expected


def test_each_of_several_targets_is_looked_at() -> None:
    excluded = component("diego-locket", a_pod("diego-locket", 0), annotations={"diego-medic/exclude": "true"})

    assert refused(view(excluded, INCIDENT), CFEE_1) == "excluded"
    assert refused(view(LOCKET, component("diego-api", replicas=0)), CFEE_1) == "scaled-down"
    assert refused(without(view(LOCKET, INCIDENT), "diego-locket"), CFEE_1) == "no-target"
    assert refused(view(excluded, INCIDENT), CF) is None


@pytest.mark.parametrize(("pods", "expected"), [(10, None), (11, "max-pods")])
def test_not_more_than_max_pods_go(pods: int, expected: str | None) -> None:
    many = component("diego-api", *(a_pod("diego-api", number) for number in range(pods)), replicas=pods)

    assert refused(view(many)) == expected


@pytest.mark.parametrize(("most", "expected"), [(3, None), (2, "max-pods")])
def test_max_pods_counts_all_targets_and_only_those_that_go(most: int, expected: str | None) -> None:
    settings = foundation(restart=("diego-locket", "diego-api"), remediation={"max_pods": most})
    three = component("diego-api", STALE, PASSIVE, a_pod("diego-api", 2, terminating=True), replicas=3)

    assert refused(view(LOCKET, three), settings) == expected


def test_what_goes_and_in_which_order() -> None:
    seen = view(component("diego-api", TERMINATING, STALE), LOCKET)

    found = [(each.name, [pod.name for pod in to_delete(each)]) for each in targets(seen, CFEE_1)]

    assert found == [("diego-locket", ["diego-locket-0"]), ("diego-api", ["diego-api-0"])]


# ---- who leads


@pytest.mark.parametrize(
    ("labels", "serves", "expected"),
    [
        # nobody accepts: whatever the labels say, the restart goes on
        (("true", "false"), {}, None),
        (("false", "false"), {}, None),
        (("true", "true"), {}, None),
        # one accepts, and the Cloud Controller does not reach it
        (("true", "false"), {"diego_api_0": True}, "bbs-serving"),
        (("false", "true"), {"diego_api_0": True}, "bbs-serving"),
        (("false", "false"), {"diego_api_1": True}, "bbs-serving"),
        (("true", "true"), {"diego_api_0": True}, "bbs-serving"),
        (("true", "false"), {"diego_api_0": True, "diego_api_1": None}, "bbs-serving"),
        # two accept
        (("true", "false"), {"diego_api_0": True, "diego_api_1": True}, "split-brain"),
        (("false", "false"), {"diego_api_0": True, "diego_api_1": True}, "split-brain"),
        # who accepts is not known
        (("true", "true"), {"diego_api_0": None, "diego_api_1": None}, "split-brain"),
        (("true", "true"), {"diego_api_0": None}, "split-brain"),
        (("true", "true"), {"diego_api_0": True, "diego_api_1": None}, "split-brain"),
        (("true", "false"), {"diego_api_0": None, "diego_api_1": None}, None),
        (("false", "false"), {"diego_api_0": None, "diego_api_1": None}, None),
    ],
)
def test_listeners_decide_and_labels_hint(
    labels: tuple[str, str], serves: dict[str, bool | None], expected: str | None
) -> None:
    pods = [a_pod("diego-api", number, active=label) for number, label in enumerate(labels)]
    seen = view(component("diego-api", *pods), **serves)  # type: ignore[arg-type] # no pod has that name

    found = leadership_refusal(seen, CF)

    assert (None if found is None else found.reason) == expected
    assert refused(seen) == expected


def test_the_words_name_the_pods() -> None:
    labels_lie = component("diego-api", a_pod("diego-api", 0), a_pod("diego-api", 1, active="true"))
    both = component("diego-api", STALE, a_pod("diego-api", 1, active="true"))

    assert "diego-api-0 accepts connections on its own address" in sentence(view(labels_lie, diego_api_0=True))
    assert "(labelled active: diego-api-1)" in sentence(view(labels_lie, diego_api_0=True))
    assert "(labelled active: none)" in sentence(view(component("diego-api", PASSIVE), diego_api_1=True))
    assert "diego-api-0, diego-api-1 accept connections" in sentence(view(both, diego_api_0=True, diego_api_1=True))
    assert "diego-api-0, diego-api-1 are labelled active" in sentence(view(both, diego_api_0=None))


def test_a_terminating_pod_keeps_its_label_and_does_not_count() -> None:
    going = a_pod("diego-api", 1, active="true", terminating=True)

    assert refused(view(component("diego-api", STALE, going), diego_api_0=None, diego_api_1=None)) is None


def test_a_terminating_pod_that_still_accepts_is_a_persons_business() -> None:
    assert refused(view(component("diego-api", STALE, TERMINATING), diego_api_1=True)) == "bbs-serving"


def test_a_pod_without_an_address_does_not_accept() -> None:
    """That is known, and not unknown: with two labels it makes no split brain."""
    pending = a_pod("diego-api", 1, active="true", ip="", phase="Pending")

    assert refused(view(component("diego-api", STALE, pending), diego_api_1=None)) is None


@pytest.mark.parametrize("seconds", [0, 11, 3600])
def test_a_view_is_judged_at_its_own_time(seconds: float) -> None:
    """A slow look, or a short `staleness` of the gauges, must not hide a BBS that was seen to accept."""
    short = foundation(staleness="10s")
    serves = older(view(INCIDENT, diego_api_1=True), seconds)
    silent = older(view(INCIDENT), seconds)

    assert refused(serves, short) == "bbs-serving"
    assert refused(silent, short) is None


def older(seen: FoundationView, seconds: float) -> FoundationView:
    """The view with probes that were answered so many seconds earlier."""
    pods = {uid: replace(reading, known_at=reading.known_at - seconds) for uid, reading in seen.pods.items()}
    return replace(seen, pods=pods)


def test_the_leaders_of_several_statefulsets_are_counted_together() -> None:
    settings = foundation(diego_api={"statefulset": ("diego-api", "diego-api-b")}, restart=("diego-api", "diego-api-b"))
    other = component("diego-api-b", a_pod("diego-api-b", 0, active="true"), replicas=1)

    assert refused(view(INCIDENT, other), settings) is None
    assert refused(view(INCIDENT, other, diego_api_0=True, diego_api_b_0=True), settings) == "split-brain"
    assert refused(view(INCIDENT, other, diego_api_0=True), settings) == "bbs-serving"


def test_the_pods_of_locket_are_not_asked_who_serves() -> None:
    assert refused(view(LOCKET, INCIDENT, diego_locket_0=True), CFEE_1) is None


def test_where_pods_are_not_probed_labels_are_all_there_is() -> None:
    two = component("diego-api", STALE, a_pod("diego-api", 1, active="true"))

    assert refused(replace(view(INCIDENT), pods={})) is None
    assert refused(replace(view(two), pods={})) == "split-brain"
