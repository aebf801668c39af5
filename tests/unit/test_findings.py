"""What is wrong with a foundation, by name: each finding beside the case in which there is none."""

from dataclasses import replace

import pytest

from exporter.config.model import Foundation
from exporter.foundation.findings import findings, listens, state
from exporter.foundation.view import FoundationView, Probe, ProbeResult, Reading
from tests.support.foundations import foundation
from tests.support.views import NOW, a_pod, component, reading, view, without

CF = foundation()
LEADER = a_pod("diego-api", 0, active="true")
PASSIVE = a_pod("diego-api", 1, active="false")
HEALTHY = view(component("diego-api", LEADER, PASSIVE), ready_endpoints=("10.0.0.1",), diego_api_0=True)


def found(seen: FoundationView, settings: Foundation = CF) -> dict[str, str]:
    return {each.name: each.text for each in findings(seen, settings, now=NOW)}


def test_a_healthy_foundation_has_none() -> None:
    assert found(HEALTHY) == {}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (
            view(component("diego-api", LEADER, PASSIVE), ready_endpoints=("10.0.0.1",)),
            {
                "nobody-serves": "no diego-api pod accepts connections on its own address",
                "label-stale": "diego-api-0 is labelled active and does not accept connections",
            },
        ),
        (
            view(
                component("diego-api", a_pod("diego-api", 0), PASSIVE), ready_endpoints=("10.0.0.1",), diego_api_0=True
            ),
            {
                "no-active-leader": "no diego-api pod is labelled skiff-role-active=true",
                "serving-unlabelled": "diego-api-0 serves without the label skiff-role-active=true",
            },
        ),
        (
            view(
                component("diego-api", LEADER, a_pod("diego-api", 1, active="true")),
                ready_endpoints=("10.0.0.1",),
                diego_api_0=True,
                diego_api_1=True,
            ),
            {
                "multiple-active-leaders": "diego-api-0, diego-api-1 are all labelled skiff-role-active=true",
                "split-brain": "diego-api-0, diego-api-1 all accept connections: a person must decide",
            },
        ),
        (
            view(component("diego-api", LEADER, PASSIVE), diego_api_0=True),
            {"no-endpoint": "Service diego-api has no ready endpoint"},
        ),
        (
            view(
                component("diego-api", LEADER, a_pod("diego-api", 1, ready=1)),
                ready_endpoints=("10.0.0.1",),
                diego_api_0=True,
            ),
            {"diego-api-not-ready": "not fully ready: diego-api-1 1/2 Running"},
        ),
    ],
)
def test_each_has_its_name_and_a_sentence(seen: FoundationView, expected: dict[str, str]) -> None:
    assert found(seen) == expected


def test_a_bbs_that_is_not_reached_through_its_service() -> None:
    broken = replace(HEALTHY, bbs=reading(reachable=False))

    assert found(broken) == {"service-broken": "a BBS serves, but is not reached through its Service"}
    assert found(replace(HEALTHY, bbs=reading(reachable=True))) == {}
    assert found(replace(HEALTHY, bbs=reading(reachable=None))) == {}


def test_a_cloud_controller_that_is_not_ready() -> None:
    api = component("api", a_pod("api", 0), a_pod("api", 1, ready=1, terminating=True))
    none = component("api")

    assert found(replace(HEALTHY, components={**HEALTHY.components, "api": api})) == {
        "cloud-controller-not-ready": "not fully ready: api-1 1/2 Terminating"
    }
    assert found(replace(HEALTHY, components={**HEALTHY.components, "api": none})) == {
        "cloud-controller-not-ready": "not fully ready: api"
    }


def test_a_statefulset_that_does_not_exist() -> None:
    settings = foundation(restart=("diego-locket", "diego-api"))

    assert found(without(HEALTHY, "diego-locket"), settings) == {
        "no-statefulset": "there is no StatefulSet diego-locket in namespace cf"
    }


def test_the_lock_database_that_does_not_accept() -> None:
    settings = foundation(database={"host": "db.example.org", "port": 5432})
    refused = Reading(last=Probe(ProbeResult.REFUSED, at=NOW), reachable=False, known_at=NOW)

    assert list(found(replace(HEALTHY, database=refused), settings)) == ["database-unreachable"]
    assert found(replace(HEALTHY, database=refused), CF) == {}
    assert found(replace(HEALTHY, database=reading(reachable=True)), settings) == {}
    assert found(HEALTHY, settings) == {}


def test_locket_that_does_not_accept() -> None:
    settings = foundation(locket={"host": "locket.example.org", "port": 8891})
    refused = reading(reachable=False)

    assert found(replace(HEALTHY, locket=refused), settings) == {
        "locket-unreachable": "Locket locket.example.org:8891 does not accept connections: no BBS can lead"
    }
    assert found(replace(HEALTHY, locket=refused), CF) == {}
    assert found(replace(HEALTHY, locket=reading(reachable=True)), settings) == {}
    assert found(HEALTHY, settings) == {}


def test_a_bbs_that_accepts_and_does_not_answer() -> None:
    """The control: one that answers, and one of which it is not known."""
    assert found(replace(HEALTHY, answers=reading(reachable=False))) == {
        "bbs-not-answering": "the BBS accepts connections, but does not answer calls of its API"
    }
    assert found(replace(HEALTHY, answers=reading(reachable=True))) == {}
    assert found(replace(HEALTHY, answers=replace(reading(reachable=False), known_at=NOW - 61))) == {}


def test_what_is_unknown_is_no_finding() -> None:
    unknown = view(component("diego-api", LEADER, PASSIVE), ready_endpoints=("10.0.0.1",), diego_api_0=None)

    assert found(unknown) == {}


def test_where_pods_are_not_probed_labels_are_believed() -> None:
    settings = foundation(diego_api={"probe_pods": False})

    assert found(replace(HEALTHY, pods={}), settings) == {}
    unborn = component("diego-api", a_pod("diego-api", 0, active="true", ip="", phase="Pending"))
    told = found(replace(HEALTHY, components={**HEALTHY.components, "diego-api": unborn}, pods={}), settings)
    assert set(told) == {"diego-api-not-ready"}


def test_a_pod_in_a_word() -> None:
    assert state(LEADER) == "2/2 Running"
    assert state(a_pod("diego-api", 0, ready=1, terminating=True)) == "1/2 Terminating"
    assert state(a_pod("diego-api", 0, ready=0, phase="")) == "0/2 Unknown"


@pytest.mark.parametrize(("serves", "expected"), [(True, "accepts"), (False, "does not accept"), (None, "unknown")])
def test_who_listens_in_a_word(serves: bool | None, expected: str) -> None:
    seen = view(component("diego-api", LEADER, PASSIVE), diego_api_0=serves)

    assert listens(seen, LEADER, CF, now=NOW) == expected


def test_a_pod_without_an_address_does_not_listen() -> None:
    pending = a_pod("diego-api", 0, ip="", phase="Pending")

    assert listens(view(component("diego-api", pending)), pending, CF, now=NOW) == "has no address"
