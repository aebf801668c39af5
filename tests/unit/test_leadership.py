"""When the leader counts as changed: by what is known of the active label, from one view to the next."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.foundation.leadership import Leadership
from exporter.foundation.view import Component, FoundationView
from tests.support.foundations import foundation, pod
from tests.support.watched_views import API, HEALTHY, components, with_pods


def led_by(*leaders: int, uid: str = "") -> FoundationView:
    """A view in which the pods of these ordinals are labelled active, each with this UID, or with its usual one."""
    return with_pods(
        *(pod("diego-api", each, active="true" if each in leaders else "false", uid=uid) for each in (0, 1))
    )


FIRST, SECOND, NONE, BOTH = led_by(0), led_by(1), led_by(), led_by(0, 1)
OUT_OF_SYNC = replace(SECOND, synced=False)
NOT_READ = FoundationView()
NO_STATEFULSET = replace(HEALTHY, components=components(Component("diego-api", None), API))
DYING = with_pods(pod("diego-api", 0, active="true", terminating=True), pod("diego-api", 1, active="false"))


def changes(*views: FoundationView, **config: Any) -> int:
    leadership = Leadership()
    return sum(leadership.changed(view, foundation(**config)) for view in views)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ((FIRST, FIRST, FIRST), 0),
        ((FIRST, SECOND), 1),
        ((FIRST, SECOND, FIRST, SECOND), 3),
        ((FIRST, NONE, SECOND), 1),
        ((FIRST, NONE, FIRST), 1),
        ((FIRST, NONE, NONE), 1),
        ((FIRST, DYING, SECOND), 1),
        ((FIRST, led_by(0, uid="anew")), 1),
    ],
    ids=[
        "it stays",
        "another pod at once",
        "each time",
        "a failover with a moment without a leader",
        "the same pod again",
        "none until now",
        "a terminating pod does not lead",
        "a pod made anew is another one",
    ],
)
def test_what_is_a_change(views: tuple[FoundationView, ...], expected: int) -> None:
    assert changes(*views) == expected


@pytest.mark.parametrize("between", [OUT_OF_SYNC, NOT_READ, NO_STATEFULSET, BOTH])
def test_what_lies_between_while_it_is_not_known_who_leads_is_no_change(between: FoundationView) -> None:
    """The control: the same with another leader after it."""
    assert changes(FIRST, between, FIRST) == 0
    assert changes(FIRST, between, SECOND) == 1
    assert changes(between, FIRST) == 0


def test_a_first_leader_is_no_change() -> None:
    assert changes(NONE, FIRST) == 0
    assert changes(NONE, NONE, SECOND, SECOND) == 0


def test_it_goes_by_the_label_of_the_config() -> None:
    assert changes(FIRST, SECOND, diego_api={"active_label": "active=yes"}) == 0
