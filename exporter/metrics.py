"""The exporter's metrics: a collector of the gauges, and the counters of what this process did."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.foundation.view import Probe, ProbeResult
from exporter.gauges import GAUGES, Gauge, ViewAt

log = logging.getLogger(__name__)

VANTAGE: Final = "exporter"
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a connect within a cluster takes about one millisecond, a time-out five seconds by default."""


class FoundationCollector(Collector):
    """Computes the gauges from the views as they are at the time of the scrape."""

    def __init__(self, views: Callable[[], Iterable[ViewAt]]) -> None:
        self._views = views

    def collect(self) -> Iterator[Metric]:
        views = list(self._views())
        for gauge in GAUGES:
            labels = ("foundation", *gauge.labels)
            kind = CounterMetricFamily if gauge.kind == "counter" else GaugeMetricFamily
            family = kind(gauge.name, gauge.help, labels=labels)
            for at in views:
                for values, value in _samples(gauge, at):
                    family.add_metric((at.foundation.name, *values), value)
            if family.samples:  # no header for a metric that is unknown for all foundations
                yield family


def _samples(gauge: Gauge, at: ViewAt) -> list[tuple[tuple[str, ...], float]]:
    try:
        return list(gauge.samples(at))
    except Exception:  # a defect in one gauge must not hide the others
        log.exception("gauge failed", extra={"metric": gauge.name, "foundation": at.foundation.name})
        return []


class Instruments:
    """The counters and the histogram of all foundations; `version` changes whenever one of them does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.version = 0
        self._probes = Counter(
            "diego_bbs_probes_total",
            "Number of probes of the BBS, by result.",
            ("foundation", "vantage", "result"),
            registry=registry,
        )
        self._durations = Histogram(
            "diego_bbs_probe_duration_seconds",
            "Duration of probes of the BBS, whatever their result.",
            ("foundation", "vantage"),
            registry=registry,
            buckets=BUCKETS,
        )
        self._requests = Counter(
            "diego_kubernetes_requests_total",
            "Number of requests to the API server, by verb and HTTP status code (timeout or error without a response).",
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
        """Deletes all series of the foundation; probes and requests that finish later are not counted."""
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
