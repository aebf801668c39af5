"""The metrics of both programs, as their own code describes and exposes them: name, type, labels, HELP, when absent."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.clock import SystemClock
from exporter.config.check import validated
from exporter.config.model import Foundation
from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.gauges import GAUGES
from exporter.metrics import FAMILIES, Counts, FoundationText
from exporter.serving.process_metrics import CommonMetrics
from exporter.serving.text import Format, encode, header
from reference.pages import code, table
from webhook.metrics import CloudControllerProbes, Counters, HttpMetrics, JournalCollector, RunMetrics
from webhook.record.journal import Disruption, Journal, Outcome, Run

_CF = validated(Foundation, {"name": "cf"})
_THEN = datetime(2000, 1, 1, tzinfo=UTC)

_EXPORTER_GROUPS = {
    "BBS": ("diego_bbs_", "diego_database_", "diego_locket_"),
    "pods": ("diego_api_", "diego_cloud_controller_"),
    "view": ("diego_foundation_", "diego_kubernetes_"),
}
"""The tables of docs/metrics.md, by the beginnings of the names in them."""

_FREE = {"pod", "profile", "namespace", "version", "python", "verb", "code", "runbook", "outcome", "vantage"}
"""Labels whose values are not a closed list, or are explained elsewhere."""
_MOST = 4
"""Values of a label that are listed in a table; longer lists have a table of their own, in docs/runs.md."""

_NEVER = "never"
_UNREAD = "while the journal is unread"

# What has no rule of its own in the code; the metrics that are not here are never absent, or as their table says.
_ABSENT = {
    "diego_kubernetes_requests_total": "before the first request of that verb and code",
    "diego_remediation_last_run_timestamp_seconds": "without such a run in the journal; while it is unread",
    "diego_remediation_cooldown_end_timestamp_seconds": f"before the first disruptive run; {_UNREAD}",
    "diego_remediation_mode": _NEVER,
    "diego_bbs_tcp_reachable": "one minute after the last conclusive check of a run",
    "diego_bbs_last_probe_timestamp_seconds": "before the first check of a run",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """One metric, as a page shows it."""

    name: str
    kind: str
    text: str
    labels: Mapping[str, tuple[str, ...]]
    """Every label but `le`, with the values that exist from the start."""
    absent: str = ""


def exporter_tables() -> dict[str, str]:
    """The tables of docs/metrics.md."""
    described = list(_of_a_foundation())
    tables = {}
    for group, beginnings in _EXPORTER_GROUPS.items():
        tables[group] = _table([each for each in described if each.name.startswith(beginnings)])
        described = [each for each in described if not each.name.startswith(beginnings)]
    if described:
        raise ValueError(f"no table of docs/metrics.md has {described[0].name}: see _EXPORTER_GROUPS")
    return tables | {"program": _table(common("diego-exporter"))}


def webhook_tables() -> dict[str, str]:
    """The tables of docs/metrics-webhook.md."""
    return {
        "journal": _table(_read(_journals(), absent=_UNREAD)),
        "process": _table(_read(_counters())),
        "probes": _table(_read(_probes())),
        "program": _table(common("diego-webhook")),
    }


def unread() -> Collector:
    """The same while no journal could be read."""
    return JournalCollector(foundations=lambda: [_CF], journals=dict)


def common(program: str) -> list[Described]:
    """What a program exposes of itself, without the usual metrics of Python."""
    metrics = CommonMetrics(program, version="", clock=SystemClock())
    found = _parsed("".join(metrics.collectors.blocks(Format.TEXT)))
    return [each for each in found if each.name.startswith("diego_")]


class _Observed:
    """A foundation of which nothing is known yet."""

    foundation = _CF
    version = 0
    view = FoundationView()


def _of_a_foundation() -> Iterator[Described]:
    counts = Counts()
    counts.requested("list", "200")
    text = FoundationText(_Observed(), counts)
    text.refresh(0.0)
    gauges = {each.name: each for each in GAUGES}
    for family, lines in zip(FAMILIES, text.texts, strict=True):
        full = f"{family.name}_total" if family.kind == "counter" else family.name
        if (gauge := gauges.get(full)) is None:
            yield from _parsed(header(Format.TEXT, *family) + lines)
        else:
            labels = dict.fromkeys(("foundation", *gauge.labels), ())
            yield Described(name=full, kind=gauge.kind, text=gauge.help, labels=labels, absent=gauge.absent)


def _journals() -> Collector:
    """The state in a journal in which everything is known."""
    run = Run(id="", foundation="cf", runbook="", mode="auto", started=_THEN, ended=_THEN, outcome=Outcome.RECOVERED)
    journal = Journal(foundation="cf", runs=(run,), disruptions=(Disruption(run="", started=_THEN),))
    return JournalCollector(foundations=lambda: [_CF], journals=lambda: {"cf": journal})


def _counters() -> Collector:
    registry = CollectorRegistry()
    RunMetrics(Counters(registry), "cf")
    HttpMetrics(registry)
    return registry


def _probes() -> Collector:
    registry = CollectorRegistry()
    probes = CloudControllerProbes(registry, clock=SystemClock())
    probes.add("cf")
    probes.observe("cf", Probe(ProbeResult.SUCCESS, at=SystemClock().now()), reachable=True)
    return registry


def _read(collector: Collector, *, absent: str = _NEVER) -> list[Described]:
    return _parsed(encode(collector.collect(), Format.TEXT), absent=absent)


def _parsed(text: str, *, absent: str = _NEVER) -> list[Described]:
    return [_described(family, absent=absent) for family in text_string_to_metric_families(text)]


def _described(family: Metric, *, absent: str) -> Described:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels: dict[str, tuple[str, ...]] = {}
    for sample in family.samples:
        for key, value in sample.labels.items():
            if key != "le":
                labels[key] = tuple(dict.fromkeys((*labels.get(key, ()), value)))
    return Described(
        name=name, kind=family.type, text=family.documentation, labels=labels, absent=_ABSENT.get(name, absent)
    )


def _table(described: Iterable[Described]) -> str:
    return table(
        ["name", "type", "labels", "meaning", "absent"],
        [[code(each.name), each.kind, _labels(each), each.text, each.absent] for each in described],
    )


def _labels(described: Described) -> str:
    words = [
        f"`{key}` ({', '.join(map(code, values))})" if key not in _FREE and 0 < len(values) <= _MOST else code(key)
        for key, values in described.labels.items()
        if key != "foundation"
    ]
    return "; ".join([*words, *([] if "foundation" in described.labels else ["no `foundation`"])])
