"""Step 6: what the restarted pods still lack, in the contract's words; and how long they are given."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from exporter.foundation.view import Component
from exporter.kubernetes.objects import Pod
from tests.support.foundations import foundation
from tests.support.views import a_pod, component
from webhook.record.journal import PodRecord
from webhook.runbook.readiness import GRANTED, Lack, await_timeout, lacking, time_left

CF = foundation()
LEADER = a_pod("diego-api", 0, active="true", uid="new-0")
PASSIVE = a_pod("diego-api", 1, active="false", uid="new-1")


def lacks(
    *pods: Pod,
    deleted: Collection[str] = ("old-0", "old-1"),
    policy: str = "Parallel",
    replicas: int = 2,
    final: bool = True,
    min_ready: int | None = None,
) -> str:
    found = component("diego-api", *pods, policy=policy, replicas=replicas)
    settings = foundation(diego_api={"min_ready": min_ready})
    return words(lacking({"diego-api": found}, "diego-api", deleted=deleted, foundation=settings, final=final))


def words(lack: Lack | None) -> str:
    """The reason and the place, as in a run's record."""
    return "" if lack is None else f"{lack.reason} {lack.place}".strip()


def test_new_pods_fully_ready_with_one_active_lack_nothing() -> None:
    assert lacks(LEADER, PASSIVE) == ""


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        # still there: by its UID, or on its way
        (
            (a_pod("diego-api", 0, active="true", uid="old-0"), PASSIVE),
            "still-terminating diego-api-0 (grace 600s, node node-1)",
        ),
        (
            (LEADER, a_pod("diego-api", 1, uid="old-1", terminating=True, deletion_grace=30, node="cell-7")),
            "still-terminating diego-api-1 (grace 30s, node cell-7)",
        ),
        (
            (LEADER, a_pod("diego-api", 1, uid="other", terminating=True, grace=None, node="")),
            "still-terminating diego-api-1 (grace unknown, node none)",
        ),
        # not there
        ((), "not-created diego-api-0"),
        ((LEADER,), "not-created diego-api-1"),
        ((PASSIVE,), "not-created diego-api-0"),
        # not ready
        (
            (LEADER, a_pod("diego-api", 1, uid="new-1", ready=0, waiting="CrashLoopBackOff")),
            "not-ready diego-api-1 container diego-api (CrashLoopBackOff)",
        ),
        (
            (LEADER, a_pod("diego-api", 1, uid="new-1", ready=1, waiting="ImagePullBackOff")),
            "not-ready diego-api-1 container loggregator-agent (ImagePullBackOff)",
        ),
        (
            (a_pod("diego-api", 0, uid="new-0", ready=0), PASSIVE),
            "not-ready diego-api-0 container diego-api (not ready)",
        ),
        # ready, and nobody leads, or two do
        ((a_pod("diego-api", 0, active="false", uid="new-0"), PASSIVE), "no-active-label"),
        ((a_pod("diego-api", 0, uid="new-0"), PASSIVE), "no-active-label"),
        ((LEADER, a_pod("diego-api", 1, active="true", uid="new-1")), "multiple-active diego-api-0, diego-api-1"),
    ],
)
def test_the_words_name_the_check_and_the_place(pods: tuple[Pod, ...], expected: str) -> None:
    assert lacks(*pods) == expected


def test_a_pod_that_was_never_scheduled_says_why() -> None:
    conditions = [
        {"type": "Initialized", "status": "True", "reason": "Irrelevant"},
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"},
    ]
    pending = a_pod("diego-api", 1, uid="new-1", ready=0, phase="Pending", conditions=conditions)
    without_statuses = Pod(
        metadata=pending.metadata,
        spec=pending.spec,
        status=type(pending.status)(phase="Pending", conditions=pending.status.conditions),
    )
    silent = Pod(metadata=pending.metadata, spec=pending.spec, status=type(pending.status)(phase="Pending"))

    assert lacks(LEADER, without_statuses) == "not-ready diego-api-1 container diego-api (Unschedulable)"
    assert lacks(LEADER, silent) == "not-ready diego-api-1 container diego-api (Pending)"


def test_one_after_another_names_the_pod_that_is_waited_for() -> None:
    unready = a_pod("diego-api", 0, active="false", uid="new-0", ready=1)

    assert lacks(unready, policy="OrderedReady") == "not-created diego-api-1 (waits for diego-api-0)"
    assert lacks(unready, policy="Parallel") == "not-created diego-api-1"
    assert lacks(LEADER, policy="OrderedReady") == "not-created diego-api-1"


def test_a_statefulset_that_vanished_has_created_nothing() -> None:
    for components in ({}, {"diego-api": Component("diego-api", None)}):
        found = lacking(components, "diego-api", deleted=(), foundation=CF, final=True)
        assert words(found) == "not-created diego-api-0 (StatefulSet diego-api is missing)"


def test_ordinals_that_do_not_start_at_zero_are_the_names_that_are_awaited() -> None:
    """`spec.ordinals.start`, of Kubernetes 1.26 and later."""
    three, four = a_pod("diego-api", 3, active="true", uid="new-3"), a_pod("diego-api", 4, uid="new-4")

    def found(*pods: Pod, first: int | None) -> str:
        components = {"diego-api": component("diego-api", *pods, first=first)}
        return words(lacking(components, "diego-api", deleted=(), foundation=CF, final=True))

    assert found(three, four, first=3) == ""
    assert found(three, first=3) == "not-created diego-api-4"
    assert found(LEADER, PASSIVE, first=3) == "not-created diego-api-3"
    assert found(three, four, first=None) == "not-created diego-api-0"


def test_before_the_last_entry_nobody_need_lead() -> None:
    assert lacks(a_pod("diego-api", 0, uid="new-0"), PASSIVE, final=False) == ""


def test_pods_that_were_spared_may_stay() -> None:
    kept = a_pod("diego-api", 1, active="false", uid="old-1")

    assert lacks(LEADER, kept, deleted=("old-0",)) == ""


@pytest.mark.parametrize(
    ("min_ready", "expected"),
    [(1, ""), (2, "not-ready diego-api-1 container diego-api (not ready)"), (5, "not-ready")],
)
def test_fewer_may_be_enough(min_ready: int, expected: str) -> None:
    """In some old releases a passive pod is not ready by design."""
    unready = a_pod("diego-api", 1, active="false", uid="new-1", ready=0)

    found = lacks(LEADER, unready, min_ready=min_ready)

    assert found.startswith(expected)
    assert bool(found) is bool(expected)


def test_min_ready_counts_the_pods_of_all_diego_apis() -> None:
    """Three of four: one may be missing, in either."""
    names = ("diego-api", "diego-api-b")
    settings = foundation(diego_api={"statefulset": names, "min_ready": 3}, restart=names)
    one_short = component("diego-api", LEADER, a_pod("diego-api", 1, ready=0))
    whole = component("diego-api-b", a_pod("diego-api-b", 0), a_pod("diego-api-b", 1))
    two_short = component("diego-api", a_pod("diego-api", 0, active="true", ready=0), a_pod("diego-api", 1, ready=0))

    def found(first: Component) -> str:
        both = {"diego-api": first, "diego-api-b": whole}
        return words(lacking(both, "diego-api", deleted=(), foundation=settings, final=True))

    assert found(one_short) == ""
    assert found(two_short).startswith("not-ready diego-api-0")


def test_min_ready_is_of_diego_api_and_of_nothing_else() -> None:
    settings = foundation(diego_api={"min_ready": 1}, restart=("diego-locket", "diego-api"))
    locket = component("diego-locket", a_pod("diego-locket", 0), a_pod("diego-locket", 1, ready=0))

    both = {"diego-locket": locket, "diego-api": component("diego-api", LEADER, PASSIVE)}

    found = lacking(both, "diego-locket", deleted=(), foundation=settings, final=False)

    assert words(found).startswith("not-ready diego-locket-1")


def record(grace: int) -> PodRecord:
    return PodRecord(name="p", uid="u", statefulset="s", grace=grace)


@pytest.mark.parametrize(
    ("graces", "ordered", "configured", "expected"),
    [
        ((600, 30), False, None, 900),
        ((600, 600), True, None, 1800),
        ((30,), True, None, 330),
        ((), False, None, 330),
        ((), True, None, 330),
        ((0, 0), False, None, 300),
        ((600, 600), True, 42.0, 42.0),
    ],
)
def test_how_long_they_are_given(
    graces: tuple[int, ...], ordered: bool, configured: float | None, expected: float
) -> None:
    """The longest grace period and five minutes; for each pod, where they start one after another."""
    pods = [record(grace) for grace in graces]

    assert await_timeout(pods, one_after_another=ordered, configured=configured) == expected


@pytest.mark.parametrize(
    ("ago", "configured", "expected"),
    [
        (None, None, 330.0),  # nothing is deleted yet: the whole time
        (30, None, 300.0),
        (-30, None, 330.0),  # by a clock that was ahead
        (3600, None, GRANTED),
        (3600, 20.0, 20.0),  # never more than what is configured
    ],
)
def test_the_time_that_is_left_counts_from_the_first_delete(
    ago: float | None, configured: float | None, expected: float
) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    first = None if ago is None else now - timedelta(seconds=ago)
    later = None if ago is None else now
    pods = tuple(
        PodRecord(name=f"diego-api-{n}", uid=str(n), statefulset="diego-api", intended_at=moment)
        for n, moment in enumerate((first, later))
    )
    left = time_left(pods, one_after_another=False, configured=configured, now=now)
    assert left == expected
