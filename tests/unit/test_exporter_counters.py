"""The exporter's counters: from the start, what is counted, and what is left of a foundation that was removed."""

from prometheus_client import CollectorRegistry

from exporter.foundation.view import Probe, ProbeResult
from exporter.metrics import Instruments
from tests.support.watched_views import NOW


def samples_of(registry: CollectorRegistry) -> dict[str, float]:
    found = [sample for family in registry.collect() for sample in family.samples]
    return {
        f"{each.name}{sorted(each.labels.values())}": each.value
        for each in found
        if not each.name.endswith(("_created", "_bucket"))
    }


def test_every_result_exists_from_the_start() -> None:
    registry = CollectorRegistry()
    Instruments(registry).add("cf")

    names = {name for name in samples_of(registry) if name.startswith("diego_bbs_probes_total")}
    words = ("success", "dns", "refused", "timeout", "unreachable", "reset", "tls", "error")
    assert names == {f"diego_bbs_probes_total{sorted(('cf', 'exporter', word))}" for word in words}
    assert set(samples_of(registry).values()) == {0.0}


def test_probes_and_requests_are_counted() -> None:
    registry = CollectorRegistry()
    instruments = Instruments(registry)
    instruments.add("cf")
    before = instruments.version
    instruments.probed("cf", Probe(ProbeResult.REFUSED, at=NOW, duration=0.25))
    instruments.requested("cf", "watch", "200")

    found = samples_of(registry)
    assert found["diego_bbs_probes_total['cf', 'exporter', 'refused']"] == 1
    assert found["diego_bbs_probe_duration_seconds_sum['cf', 'exporter']"] == 0.25
    assert found["diego_kubernetes_requests_total['200', 'cf', 'watch']"] == 1
    assert instruments.version == before + 2


def test_of_a_foundation_that_was_removed_nothing_is_left_and_nothing_comes_back() -> None:
    registry = CollectorRegistry()
    instruments = Instruments(registry)
    for name in ("cf", "other"):
        instruments.add(name)
        instruments.requested(name, "list", "200")
    instruments.remove("cf")
    instruments.probed("cf", Probe(ProbeResult.SUCCESS, at=NOW))
    instruments.requested("cf", "list", "200")

    assert {name for name in samples_of(registry) if "'cf'" in name} == set()
    assert samples_of(registry)["diego_kubernetes_requests_total['200', 'list', 'other']"] == 1
