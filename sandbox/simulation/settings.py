"""The settings of simulated incidents: the product's own values where safety hangs on them, shorter ones elsewhere."""

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from exporter.config.check import validated
from exporter.config.model import Foundation
from sandbox.cluster.foundation import Foundation as SandboxFoundation
from sandbox.cluster.foundation import Timing
from webhook.timings import Timings

SceneName = Literal["random", "reference", "shortest"]
SETTLED = 20.0
"""Seconds within which each of the foundations here is ready."""
VIEW_AGE = Timings().view_age
TIMINGS = Timings(poll=8.0, lease_retry=3.0, lease_attempt=1.5, evidence=5.0, fate=60.0)
"""Fewer calls while nothing happens. As in the product, a renewal may fail once while the lease is trusted."""


def foundation(random: Random, **changes: Any) -> Foundation:
    """A foundation that is confirmed within seconds, so that an incident is short."""
    remediation: dict[str, Any] = {
        "mode": "auto",
        "confirm": {"attempts": random.choice((2, 3, 4)), "interval": random.choice((2.0, 4.0, 8.0))},
        "await_ready": {"timeout": 60.0},
        "verify": {"attempts": 2, "interval": 2.0, "timeout": 30.0},
        "cooldown": 40.0,
        "retry": 10.0,
        "request_ttl": 300.0,
        "approval_timeout": 60.0,
        "breaker": {"runs": 4, "window": 21_600.0},
    }
    remediation |= changes.pop("remediation", {})
    return validated(Foundation, {"name": "cf", "remediation": remediation, "staleness": 30.0, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where an incident takes place."""

    cluster: SandboxFoundation
    timing: Timing
    foundation: Foundation
    replicas: int
    alertmanagers: int = 2
    """As many Prometheus replicas too."""


def scene(name: SceneName, random: Random) -> Scene:
    """A scene by its name."""
    if name == "reference":
        quick = Timing(start=0.5, stop=0.3, probe=1.0)
        return Scene(cluster=SandboxFoundation(), timing=quick, foundation=foundation(random), replicas=2)
    if name == "shortest":
        return _shortest(random)
    return _random(random)


def _shortest(random: Random) -> Scene:
    """One pod of each kind, one replica, one of each alerting program, and as few questions as can be."""
    one = SandboxFoundation(diego_api_replicas=1, cloud_controller_replicas=1, grace=1)
    few = {
        "confirm": {"attempts": 2, "interval": 2.0},
        "verify": {"attempts": 1, "interval": 2.0, "timeout": 30.0},
    }
    return Scene(
        cluster=one,
        timing=Timing(start=0.3, stop=0.2, probe=0.5),
        foundation=foundation(random, remediation=few),
        replicas=1,
        alertmanagers=1,
    )


def _random(random: Random) -> Scene:
    locket = random.random() < 0.15
    made = SandboxFoundation(
        grace=random.choice((2, 2, 5, 15)),
        locket="diego-locket" if locket else None,
        pod_management=random.choice(("Parallel", "Parallel", "OrderedReady")),
    )
    timing = Timing(
        start=random.uniform(0.5, 4.0),
        stop=random.choice((None, 0.3, 1.0)),
        probe=random.choice((1.0, 2.0, 4.0)),
    )
    config: dict[str, Any] = {"profile": "cfee-1"} if locket else {}
    replicas = random.choice((1, 2, 2, 3))
    return Scene(cluster=made, timing=timing, foundation=foundation(random, **config), replicas=replicas)
