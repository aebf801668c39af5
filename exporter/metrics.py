"""The exporter's metrics: a collector for what the views say, and the counters of what this process did."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.foundation.view import Probe, ProbeResult
from exporter.gauges import SHOWN, Look, Shown

log = logging.getLogger(__name__)

VANTAGE: Final = "exporter"
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a connect within a cluster takes about one millisecond, a time-out five seconds by default."""


class FoundationCollector(Collector):
    """Shows the views, as they are when somebody looks."""

    def __init__(self, looks: Callable[[], Iterable[Look]]) -> None:
        self._looks = looks

    def collect(self) -> Iterator[Metric]:
        looks = list(self._looks())
        for shown in SHOWN:
            labels = ("foundation", *shown.labels)
            kind = CounterMetricFamily if shown.kind == "counter" else GaugeMetricFamily
            family = kind(shown.name, shown.help, labels=labels)
            for look in looks:
                for values, value in _samples(shown, look):
                    family.add_metric((look.foundation.name, *values), value)
            if family.samples:  # what is unknown of all foundations is not even named
                yield family


def _samples(shown: Shown, look: Look) -> list[tuple[tuple[str, ...], float]]:
    try:
        return list(shown.samples(look))
    except Exception:  # a defect in one metric, of one foundation, takes none of the others with it
        log.exception("a metric failed", extra={"metric": shown.name, "foundation": look.foundation.name})
        return []


class Instruments:
    """The counters and the histogram, of all foundations; `version` changes whenever one of them does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.version = 0
        self._probes = Counter(
            "diego_bbs_probes_total",
            "Probes of the BBS by their result.",
            ("foundation", "vantage", "result"),
            registry=registry,
        )
        self._durations = Histogram(
            "diego_bbs_probe_duration_seconds",
            "How long probes of the BBS took, whatever their result.",
            ("foundation", "vantage"),
            registry=registry,
            buckets=BUCKETS,
        )
        self._requests = Counter(
            "diego_kubernetes_requests_total",
            "Requests to the API server by verb and HTTP status; `timeout` or `error` where there was no answer.",
            ("foundation", "verb", "code"),
            registry=registry,
        )
        self._foundations: set[str] = set()

    def add(self, foundation: str) -> None:
        """Every result exists from the start, so that the first of a kind is an increase."""
        self._foundations.add(foundation)
        for result in ProbeResult:
            self._probes.labels(foundation, VANTAGE, result.value)
        self._durations.labels(foundation, VANTAGE)
        self.version += 1

    def remove(self, foundation: str) -> None:
        """Nothing of the foundation is shown any more, and what is late to be told of it is not counted."""
        self._foundations.discard(foundation)
        for family in (self._probes, self._durations, self._requests):
            family.remove_by_labels({"foundation": foundation})
        self.version += 1

    def probed(self, foundation: str, probe: Probe) -> None:
        if foundation in self._foundations:
            self._probes.labels(foundation, VANTAGE, probe.result.value).inc()
            self._durations.labels(foundation, VANTAGE).observe(probe.duration)
            self.version += 1

    def requested(self, foundation: str, verb: str, code: str) -> None:
        if foundation in self._foundations:
            self._requests.labels(foundation, verb, code).inc()
            self.version += 1
