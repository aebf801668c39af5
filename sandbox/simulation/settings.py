"""The settings of simulated incidents: the product's own values where safety hangs on them, shorter ones elsewhere."""

from random import Random
from typing import Any

from exporter.config.model import Foundation
from sandbox.cluster.foundation import Foundation as SandboxFoundation
from sandbox.cluster.foundation import Timing
from webhook.timings import Timings

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
    return Foundation.model_validate({"name": "cf", "remediation": remediation, "staleness": 30.0, **changes})


def cluster(random: Random) -> tuple[SandboxFoundation, Timing, dict[str, Any]]:
    """A sandbox foundation with its timing, and what the config must say of it."""
    locket = random.random() < 0.15
    grace = random.choice((2, 2, 5, 15))
    made = SandboxFoundation(
        grace=grace,
        locket="diego-locket" if locket else None,
        pod_management=random.choice(("Parallel", "Parallel", "OrderedReady")),
    )
    timing = Timing(
        start=random.uniform(0.5, 4.0),
        stop=random.choice((None, 0.3, 1.0)),
        probe=random.choice((1.0, 2.0, 4.0)),
    )
    config: dict[str, Any] = {"profile": "cfee-1"} if locket else {}
    return made, timing, config


def reference() -> tuple[SandboxFoundation, Timing, dict[str, Any]]:
    """The reference incident: CFEE's names, everything quick."""
    return SandboxFoundation(), Timing(start=0.5, stop=0.3, probe=1.0), {}
