"""Views of a foundation, as values: a healthy one, and what it takes to make others."""

from dataclasses import replace
from typing import Any

import msgspec

from exporter.foundation.view import Component, FoundationView, Probe, ProbeResult, Reading
from exporter.kubernetes.objects import Pod, StatefulSet
from tests.support.foundations import pod, statefulset

NOW = 1_000_000.0


def reading(*, reachable: bool, at: float = NOW) -> Reading:
    result = ProbeResult.SUCCESS if reachable else ProbeResult.REFUSED
    return Reading(last=Probe(result, at=at), reachable=reachable, known_at=at)


def component(name: str, *pods: dict[str, Any], replicas: int = 2) -> Component:
    owner = msgspec.convert(statefulset(name, replicas=replicas), StatefulSet)
    return Component.of(name, owner, [msgspec.convert(each, Pod) for each in pods])


def components(*found: Component) -> dict[str, Component]:
    return {each.name: each for each in found}


LEADER = pod("diego-api", 0, active="true")
PASSIVE = pod("diego-api", 1, active="false")
API = component("api", pod("api", 0), pod("api", 1, ready=1))
HEALTHY = FoundationView(
    components=components(component("diego-api", LEADER, PASSIVE), API),
    synced=True,
    synced_at=NOW,
    bbs=reading(reachable=True),
    pods={"diego-api-0-uid": reading(reachable=True), "diego-api-1-uid": reading(reachable=False)},
)


def with_pods(*pods: dict[str, Any], replicas: int = 2, **readings: bool) -> FoundationView:
    """A view with these diego-api pods; what is known of who serves, by `p0`, `p1`, …"""
    found = {f"diego-api-{name[1:]}-uid": reading(reachable=known) for name, known in readings.items()}
    return replace(HEALTHY, components=components(component("diego-api", *pods, replicas=replicas), API), pods=found)
