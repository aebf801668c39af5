"""What the gauges say of a view: pure functions, so each case is a value."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.foundation.view import Component, FoundationView, Probe, ProbeResult, Reading
from exporter.gauges import ViewAt, expires
from exporter.metrics import _GAUGES, FAMILIES
from tests.support.exposed import Exposed, Observed
from tests.support.foundations import foundation, pod
from tests.support.watched_views import API, HEALTHY, LEADER, NOW, PASSIVE, component, components, reading, with_pods

COUNTED = ("diego_bbs_probes", "diego_bbs_probe_duration", "diego_bbs_leader_changes")
RELOAD = ("config_last_reload_successful", "config_last_reload_success_timestamp_seconds")


def shown(view: FoundationView, *, now: float = NOW, **changes: Any) -> dict[str, float]:
    """All that is shown of a view, by `name` or `name{labels}`, without the name of the foundation."""
    exposed = Exposed(Observed(foundation(**changes), view))
    return {name: value for name, value in exposed.samples(now).items() if not name.startswith(COUNTED)}


def test_a_healthy_foundation() -> None:
    assert shown(HEALTHY) == {
        "diego_foundation_info{namespace=cf,profile=cfee-2}": 1,
        "diego_bbs_tcp_reachable{vantage=exporter}": 1,
        "diego_bbs_last_probe_timestamp_seconds{vantage=exporter}": NOW,
        "diego_bbs_active_leaders": 1,
        "diego_bbs_serving_pods": 1,
        "diego_api_ready": 1,
        "diego_api_pods_desired": 2,
        "diego_api_pods_ready": 2,
        "diego_api_pods_terminating": 0,
        "diego_api_pod_ready{pod=diego-api-0}": 1,
        "diego_api_pod_ready{pod=diego-api-1}": 1,
        "diego_api_pod_active{pod=diego-api-0}": 1,
        "diego_api_pod_active{pod=diego-api-1}": 0,
        "diego_api_pod_serving{pod=diego-api-0}": 1,
        "diego_api_pod_serving{pod=diego-api-1}": 0,
        "diego_api_pod_containers{pod=diego-api-0}": 2,
        "diego_api_pod_containers{pod=diego-api-1}": 2,
        "diego_api_pod_containers_ready{pod=diego-api-0}": 2,
        "diego_api_pod_containers_ready{pod=diego-api-1}": 2,
        "diego_api_pod_container_restarts_total{pod=diego-api-0}": 0,
        "diego_api_pod_container_restarts_total{pod=diego-api-1}": 0,
        "diego_cloud_controller_pods_desired": 2,
        "diego_cloud_controller_pods_ready": 1,
        "diego_kubernetes_synced": 1,
        "diego_kubernetes_last_sync_timestamp_seconds": NOW,
    }


def test_of_a_foundation_of_which_nothing_is_known_nothing_is_claimed() -> None:
    assert shown(FoundationView()) == {
        "diego_foundation_info{namespace=cf,profile=cfee-2}": 1,
        "diego_kubernetes_synced": 0,
    }


def test_what_kubernetes_said_stands_for_the_staleness_and_no_longer() -> None:
    view = replace(HEALTHY, synced=False, bbs=reading(reachable=True, at=NOW + 1000))
    last = shown(view, now=NOW + 60)
    gone = shown(view, now=NOW + 60.1)

    assert last["diego_bbs_active_leaders"] == 1
    assert last["diego_kubernetes_synced"] == 0
    assert set(gone) == {
        "diego_foundation_info{namespace=cf,profile=cfee-2}",
        "diego_bbs_tcp_reachable{vantage=exporter}",
        "diego_bbs_last_probe_timestamp_seconds{vantage=exporter}",
        "diego_kubernetes_synced",
        "diego_kubernetes_last_sync_timestamp_seconds",
    }


def test_a_view_that_is_too_old_is_not_in_sync() -> None:
    """Where a list took longer than the staleness: no watch was lost, and yet nothing is shown."""
    assert shown(HEALTHY, now=NOW + 60)["diego_kubernetes_synced"] == 1
    assert shown(HEALTHY, now=NOW + 60.1)["diego_kubernetes_synced"] == 0


def test_a_configured_staleness_counts() -> None:
    assert "diego_api_ready" in shown(HEALTHY, now=NOW + 90, staleness=100.0)
    assert "diego_api_ready" not in shown(HEALTHY, now=NOW + 11, staleness=10.0)


def test_what_a_probe_proved_stands_for_the_staleness_and_no_longer() -> None:
    view = replace(HEALTHY, synced_at=NOW + 1000)

    assert shown(view, now=NOW + 60)["diego_bbs_tcp_reachable{vantage=exporter}"] == 1
    gone = shown(view, now=NOW + 60.1)
    assert "diego_bbs_tcp_reachable{vantage=exporter}" not in gone
    assert "diego_bbs_serving_pods" not in gone
    assert "diego_api_pod_serving{pod=diego-api-0}" not in gone
    assert gone["diego_bbs_last_probe_timestamp_seconds{vantage=exporter}"] == NOW
    assert gone["diego_bbs_active_leaders"] == 1


def test_unreachable_is_zero_and_unknown_is_absent() -> None:
    name = "diego_bbs_tcp_reachable{vantage=exporter}"
    unknown = Reading(last=Probe(ProbeResult.ERROR, at=NOW))

    assert shown(replace(HEALTHY, bbs=reading(reachable=False)))[name] == 0
    assert name not in shown(replace(HEALTHY, bbs=unknown))
    assert shown(replace(HEALTHY, bbs=unknown))["diego_bbs_last_probe_timestamp_seconds{vantage=exporter}"] == NOW


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ((LEADER, PASSIVE), 1),
        ((PASSIVE, pod("diego-api", 0, active="false")), 0),
        ((PASSIVE, pod("diego-api", 0)), 0),
        ((LEADER, pod("diego-api", 1, active="true")), 2),
        ((PASSIVE, pod("diego-api", 0, active="true", terminating=True)), 0),
        ((PASSIVE, pod("diego-api", 0, active="true", owner_uid="another")), 0),
        ((), 0),
    ],
    ids=["one", "passive", "no label", "two", "terminating", "of another StatefulSet", "no pods"],
)
def test_leaders_are_labelled_and_stay(pods: tuple[dict[str, Any], ...], expected: int) -> None:
    assert shown(with_pods(*pods))["diego_bbs_active_leaders"] == expected


def test_another_label_may_mark_the_active_one() -> None:
    label = "quarks.cloudfoundry.org/pod-active=active"
    quarks = pod("diego-api", 0)
    quarks["metadata"]["labels"]["quarks.cloudfoundry.org/pod-active"] = "active"

    found = shown(with_pods(quarks, pod("diego-api", 1)), diego_api={"active_label": label})

    assert (found["diego_bbs_active_leaders"], found["diego_api_pod_active{pod=diego-api-0}"]) == (1, 1)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ({"p0": True, "p1": False}, 1),
        ({"p0": False, "p1": False}, 0),
        ({"p0": True, "p1": True}, 2),
        ({"p0": True}, None),
        ({"p0": False}, None),
        ({}, None),
    ],
)
def test_who_serves_is_absent_while_one_is_unknown(readings: dict[str, bool], expected: int | None) -> None:
    assert shown(with_pods(LEADER, PASSIVE, **readings)).get("diego_bbs_serving_pods") == expected


def test_two_known_to_serve_are_said_whatever_a_third_does() -> None:
    third = pod("diego-api", 2)

    assert shown(with_pods(LEADER, PASSIVE, third, replicas=3, p0=True, p1=True))["diego_bbs_serving_pods"] == 2
    assert "diego_bbs_serving_pods" not in shown(with_pods(LEADER, PASSIVE, third, replicas=3, p0=True, p1=False))


def test_a_pod_without_an_address_serves_nobody() -> None:
    starting = pod("diego-api", 1, ip="", phase="Pending", ready=0)
    found = shown(with_pods(LEADER, starting, p0=True))

    assert (found["diego_bbs_serving_pods"], found["diego_api_pod_serving{pod=diego-api-1}"]) == (1, 0)


def test_where_pods_are_not_probed_nothing_is_said_of_who_serves() -> None:
    found = shown(with_pods(pod("diego-api", 0, ip="", phase="Pending")), diego_api={"probe_pods": False})

    assert not [name for name in found if "serving" in name]


@pytest.mark.parametrize(
    ("pods", "replicas", "min_ready", "expected"),
    [
        ((LEADER, PASSIVE), 2, None, 1),
        ((LEADER, pod("diego-api", 1, ready=1)), 2, None, 0),
        ((LEADER, pod("diego-api", 1, ready=1)), 2, 1, 1),
        ((LEADER,), 2, None, 0),
        ((LEADER, pod("diego-api", 1, terminating=True)), 2, None, 0),
        ((), 0, None, 0),
        ((LEADER,), 1, 2, 1),
    ],
)
def test_ready(pods: tuple[dict[str, Any], ...], replicas: int, min_ready: int | None, expected: int) -> None:
    assert shown(with_pods(*pods, replicas=replicas), diego_api={"min_ready": min_ready})["diego_api_ready"] == expected


def test_the_pods_are_counted() -> None:
    leaving = pod("diego-api", 1, terminating=True)
    crashing = pod("diego-api", 0, ready=1, restarts=7)
    found = shown(with_pods(crashing, leaving, replicas=3))

    assert {name.removeprefix("diego_api_"): value for name, value in found.items() if "api_pod" in name} == {
        "pods_desired": 3,
        "pods_ready": 0,
        "pods_terminating": 1,
        "pod_ready{pod=diego-api-0}": 0,
        "pod_ready{pod=diego-api-1}": 0,
        "pod_active{pod=diego-api-0}": 0,
        "pod_active{pod=diego-api-1}": 0,
        "pod_containers{pod=diego-api-0}": 2,
        "pod_containers{pod=diego-api-1}": 2,
        "pod_containers_ready{pod=diego-api-0}": 1,
        "pod_containers_ready{pod=diego-api-1}": 2,
        "pod_container_restarts_total{pod=diego-api-0}": 7,
        "pod_container_restarts_total{pod=diego-api-1}": 0,
    }


def test_a_statefulset_that_does_not_exist_has_no_numbers() -> None:
    """Neither zero leaders: while one is made anew, its pods are nobody's, and that is no incident."""
    view = replace(HEALTHY, components=components(Component("diego-api", None), API))
    found = shown(view)

    assert not [name for name in found if name.startswith(("diego_api_", "diego_bbs_active", "diego_bbs_serving"))]
    assert found["diego_cloud_controller_pods_desired"] == 2


def test_several_statefulsets_are_one_component() -> None:
    found = components(component("diego-api", LEADER, replicas=1), component("locket", pod("locket", 0), replicas=1))
    view = replace(HEALTHY, components=found | components(API))

    assert shown(view, diego_api={"statefulset": ("diego-api", "locket")})["diego_api_pods_ready"] == 2


def test_answers_are_shown_where_they_are_known() -> None:
    name = "diego_bbs_answers{vantage=exporter}"

    assert name not in shown(HEALTHY)
    assert shown(replace(HEALTHY, answers=reading(reachable=False)))[name] == 0
    assert shown(replace(HEALTHY, answers=reading(reachable=True)))[name] == 1
    assert name not in shown(replace(HEALTHY, answers=reading(reachable=False, at=NOW - 61)))


@pytest.mark.parametrize("what", ["database", "locket"])
def test_evidence_is_shown_where_it_is_known(what: str) -> None:
    name = f"diego_{what}_tcp_reachable"

    def seen(known: Reading) -> dict[str, float]:
        return shown(replace(HEALTHY, **{what: known}))  # type: ignore[arg-type] # one of two names

    assert name not in shown(HEALTHY)
    assert seen(reading(reachable=False))[name] == 0
    assert seen(reading(reachable=True))[name] == 1
    assert name not in seen(reading(reachable=True, at=NOW - 61))


def test_what_is_shown_changes_by_age_exactly_when_it_expires() -> None:
    """The text of a foundation is kept until then."""
    bbs, database = reading(reachable=True, at=NOW - 20), reading(reachable=True, at=NOW - 40)
    locket, answers = reading(reachable=False, at=NOW - 50), reading(reachable=False, at=NOW - 55)
    pods = {"diego-api-0-uid": reading(reachable=True, at=NOW + 9), "diego-api-1-uid": reading(reachable=True)}
    view = replace(HEALTHY, bbs=bbs, database=database, locket=locket, answers=answers, pods=pods, synced_at=NOW + 30)
    moment, changes = NOW, []
    while math.isfinite(moment := expires(ViewAt(foundation(), view, moment))):
        changes.append(moment - NOW)
        assert shown(view, now=moment - 0.5) != shown(view, now=moment + 0.5)
        moment += 0.001
    assert changes == [5, 10, 20, 40, 60, 69, 90]


def test_every_metric_is_documented_and_no_other() -> None:
    names = {each.name + ("_total" if each.kind == "counter" else "") for each in FAMILIES}
    common = {f"diego_exporter_{name}" for name in ("build_info", *RELOAD)}
    rows = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text().splitlines()
    documented = {
        name for row in rows if row.startswith("| `diego_") for name in re.findall(r"`(diego_\w+)`", row.split("|")[1])
    }

    assert documented == names | common


def test_a_metric_with_a_defect_takes_nothing_else_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def oops(_look: ViewAt) -> Any:
        raise ZeroDivisionError

    broken = [(replace(each, samples=oops) if each.name == "diego_api_ready" else each, text) for each, text in _GAUGES]
    monkeypatch.setattr("exporter.metrics._GAUGES", broken)

    assert "diego_api_ready" not in shown(HEALTHY)
    assert shown(HEALTHY)["diego_bbs_active_leaders"] == 1
