"""The exporter's counters: from the start, and what is counted."""

import pytest

from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.metrics import BUCKETS
from tests.support.exposed import Exposed, Observed
from tests.support.foundations import foundation
from tests.support.watched_views import NOW


@pytest.fixture
def exposed() -> Exposed:
    return Exposed(Observed(foundation(), FoundationView()))


def counted(exposed: Exposed) -> dict[str, float]:
    found = exposed.samples(NOW)
    return {name: value for name, value in found.items() if name.startswith(("diego_bbs_prob", "diego_kubernetes_req"))}


def test_every_result_exists_from_the_start(exposed: Exposed) -> None:
    words = ("success", "dns", "refused", "timeout", "unreachable", "reset", "tls", "error")
    found = counted(exposed)

    assert {name for name in found if name.startswith("diego_bbs_probes_total")} == {
        f"diego_bbs_probes_total{{result={word},vantage=exporter}}" for word in words
    }
    assert set(found.values()) == {0.0}


def test_probes_and_requests_are_counted(exposed: Exposed) -> None:
    assert counted(exposed)["diego_bbs_probe_duration_seconds_count{vantage=exporter}"] == 0
    exposed.counts.probed(Probe(ProbeResult.REFUSED, at=NOW, duration=0.25))
    exposed.counts.requested("watch", "200")
    exposed.counts.requested("watch", "200")

    found = counted(exposed)
    assert found["diego_bbs_probes_total{result=refused,vantage=exporter}"] == 1
    assert found["diego_bbs_probes_total{result=success,vantage=exporter}"] == 0
    assert found["diego_bbs_probe_duration_seconds_sum{vantage=exporter}"] == 0.25
    assert found["diego_kubernetes_requests_total{code=200,verb=watch}"] == 2


def test_changes_of_the_leader_are_counted(exposed: Exposed) -> None:
    assert exposed.samples(NOW)["diego_bbs_leader_changes_total"] == 0
    exposed.counts.leader_changed()
    exposed.counts.leader_changed()
    assert exposed.samples(NOW)["diego_bbs_leader_changes_total"] == 2


def test_a_probe_is_in_each_bucket_that_is_no_shorter(exposed: Exposed) -> None:
    for duration in (0.25, 0.26, 11.0):
        exposed.counts.probed(Probe(ProbeResult.SUCCESS, at=NOW, duration=duration))
    found = counted(exposed)
    buckets = [found[f"diego_bbs_probe_duration_seconds_bucket{{le={limit},vantage=exporter}}"] for limit in BUCKETS]

    assert dict(zip(BUCKETS, buckets, strict=True)) == {limit: (limit >= 0.25) + (limit >= 0.5) for limit in BUCKETS}
    assert found["diego_bbs_probe_duration_seconds_bucket{le=+Inf,vantage=exporter}"] == 3
    assert found["diego_bbs_probe_duration_seconds_count{vantage=exporter}"] == 3
