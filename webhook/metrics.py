"""The webhook's metrics: what this process did (counters), and the state in the journals (gauges, on every replica)."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.view import Probe, ProbeResult, Reading
from webhook.record.journal import Journal, Outcome, Run, Step, StepResult
from webhook.record.reasons import GUARDS
from webhook.requests.decision import PASSING, Decision, DecisionKind, DecisionReason, cooldown_end
from webhook.requests.notification import RUNBOOK, AlertReason

VANTAGE = "cloud_controller"
STALENESS = 60.0
"""Seconds after which the result of a run's last check becomes absent."""
_REACHABLE = "Whether the BBS accepts TCP connections at its address (1) or is proved not to (0)."
_LAST_PROBE = "Unix time at which the last probe of the BBS finished, whatever its result."
MODES = ("observe", "approve", "auto")
_RUN_BUCKETS = (10, 30, 60, 90, 120, 180, 300, 600, 1200, 2400)
_STEP_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200)


class Counters:
    """The counters of all foundations. `foundations` are those that are counted: a removed one leaves no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.foundations: set[str] = set()
        self.runs = Counter(
            "diego_remediation_runs",
            "Number of runs that this process finished, by outcome.",
            ["foundation", "runbook", "outcome"],
            registry=registry,
        )
        self.refusals = Counter(
            "diego_remediation_refusals",
            "Number of runs that a guard refused, by reason.",
            ["foundation", "reason"],
            registry=registry,
        )
        self.steps = Counter(
            "diego_remediation_steps",
            "Number of steps of runs that this process executed, by result.",
            ["foundation", "step", "result"],
            registry=registry,
        )
        self.step_duration = Histogram(
            "diego_remediation_step_duration_seconds",
            "Duration of the steps of runs.",
            ["foundation", "step"],
            buckets=_STEP_BUCKETS,
            registry=registry,
        )
        self.run_duration = Histogram(
            "diego_remediation_run_duration_seconds",
            "Duration of the runs that this process finished, by outcome.",
            ["foundation", "outcome"],
            buckets=_RUN_BUCKETS,
            registry=registry,
        )
        self.decisions = Counter(
            "diego_remediation_decisions",
            "Number of decisions on requests for a run, by decision and reason.",
            ["foundation", "decision", "reason"],
            registry=registry,
        )
        self.restarts = Counter(
            "diego_webhook_medic_restarts",
            "Number of times that the work on a foundation crashed and was started again.",
            ["foundation"],
            registry=registry,
        )
        self.leader = Gauge(
            "diego_webhook_leader",
            "Whether this process holds the foundation's lease (1) or not (0).",
            ["foundation"],
            registry=registry,
        )

    def remove(self, foundation: str) -> None:
        """Deletes all series of the foundation; what its medic does until it has ended is not counted."""
        self.foundations.discard(foundation)
        histograms = (self.step_duration, self.run_duration)
        for family in (self.runs, self.refusals, self.steps, self.decisions, self.restarts, self.leader, *histograms):
            family.remove_by_labels({"foundation": foundation})


class RunMetrics:
    """The counters of one foundation: every value of every label exists from the start."""

    def __init__(self, counters: Counters, foundation: str) -> None:
        self._counters = counters
        self._foundation = foundation
        counters.foundations.add(foundation)
        for outcome in Outcome:
            counters.runs.labels(foundation, RUNBOOK, outcome)
            counters.run_duration.labels(foundation, outcome)
        for guard in GUARDS:
            counters.refusals.labels(foundation, guard)
        for step in Step:
            counters.step_duration.labels(foundation, step)
            for result in StepResult:
                counters.steps.labels(foundation, step, result)
        for reason in DecisionReason:
            counters.decisions.labels(foundation, kind_of(reason), reason)
        counters.restarts.labels(foundation)
        self.leading(False)

    @property
    def _counted(self) -> bool:
        return self._foundation in self._counters.foundations

    def step(self, step: Step, result: StepResult, seconds: float) -> None:
        if not self._counted:
            return
        self._counters.steps.labels(self._foundation, step, result).inc()
        self._counters.step_duration.labels(self._foundation, step).observe(seconds)

    def run_ended(self, run: Run) -> None:
        if not self._counted:
            return
        outcome = str(run.outcome)
        self._counters.runs.labels(self._foundation, run.runbook, outcome).inc()
        if run.outcome is Outcome.REFUSED and run.cause is not None:
            self._counters.refusals.labels(self._foundation, run.cause).inc()
        if run.took is not None:
            self._counters.run_duration.labels(self._foundation, outcome).observe(run.took)

    def decided(self, decision: Decision) -> None:
        if self._counted:
            self._counters.decisions.labels(self._foundation, decision.kind, decision.reason).inc()

    def leading(self, leads: bool) -> None:
        if self._counted:
            self._counters.leader.labels(self._foundation).set(leads)


def kind_of(reason: DecisionReason) -> DecisionKind:
    """The decision that a reason is counted with from the start."""
    kinds = {DecisionReason.ASKED: DecisionKind.RUN, DecisionReason.IN_PROGRESS: DecisionKind.JOIN}
    return kinds.get(reason, DecisionKind.REFUSE)


class CloudControllerProbes:
    """The BBS as seen from the api pods in the checks of runs: the exporter's metric names with another `vantage`."""

    def __init__(self, registry: CollectorRegistry, *, clock: Clock) -> None:
        self._clock = clock
        self._readings: dict[str, Reading] = {}
        self._foundations: set[str] = set()
        self._probes = Counter(
            "diego_bbs_probes",
            "Number of probes of the BBS, by result.",
            ["foundation", "vantage", "result"],
            registry=registry,
        )
        self._durations = Histogram(
            "diego_bbs_probe_duration_seconds",
            "Duration of probes of the BBS, whatever their result.",
            ["foundation", "vantage"],
            registry=registry,
        )
        registry.register(self)

    def add(self, foundation: str) -> None:
        """Every result exists from the start, so that the first of a kind is an increase."""
        self._foundations.add(foundation)
        for result in ProbeResult:
            self._probes.labels(foundation, VANTAGE, result.value)
        self._durations.labels(foundation, VANTAGE)

    def remove(self, foundation: str) -> None:
        """Deletes all series of the foundation; checks that end later are not counted."""
        self._foundations.discard(foundation)
        self._readings.pop(foundation, None)
        for family in (self._probes, self._durations):
            family.remove_by_labels({"foundation": foundation})

    def observe(self, foundation: str, probe: Probe, reachable: bool | None) -> None:
        if foundation not in self._foundations:
            return
        self._probes.labels(foundation, VANTAGE, probe.result.value).inc()
        self._durations.labels(foundation, VANTAGE).observe(probe.duration)
        before = self._readings.get(foundation, Reading())
        known = (reachable, probe.at) if reachable is not None else (before.reachable, before.known_at)
        self._readings[foundation] = Reading(last=probe, reachable=known[0], known_at=known[1])

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        reachable, last = self._families()
        for name, reading in self._readings.items():
            value = reading.value(now=self._clock.now(), staleness=STALENESS)
            if value is not None:
                reachable.add_metric([name, VANTAGE], float(value))
            if reading.last is not None:
                last.add_metric([name, VANTAGE], reading.last.at)
        return reachable, last

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        labels = ["foundation", "vantage"]
        return (
            GaugeMetricFamily("diego_bbs_tcp_reachable", _REACHABLE, labels=labels),
            GaugeMetricFamily("diego_bbs_last_probe_timestamp_seconds", _LAST_PROBE, labels=labels),
        )


class HttpMetrics:
    """Counts notifications by status code, and their alerts by how they were handled."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.notifications = Counter(
            "diego_webhook_notifications",
            "Number of notifications, by HTTP status code of the response.",
            ["code"],
            registry=registry,
        )
        self.alerts = Counter(
            "diego_webhook_alerts",
            "Number of alerts received, by status and by how they were handled.",
            ["status", "reason"],
            registry=registry,
        )
        for code in (200, 202, 400, 401, 405, 413, 415, 503):
            self.notifications.labels(str(code))
        for reason in AlertReason:
            for status in ("firing", "resolved"):
                self.alerts.labels(status, reason)


class JournalCollector(Collector):
    """The state in the journals as gauges, the same on every replica. Absent for a journal that could not be read."""

    def __init__(
        self, *, foundations: Callable[[], Iterable[Foundation]], journals: Callable[[], Mapping[str, Journal]]
    ) -> None:
        self._foundations = foundations
        self._journals = journals

    def describe(self) -> Iterable[Metric]:
        return self._families().values()

    def collect(self) -> Iterable[Metric]:
        families = self._families()
        journals = self._journals()
        for foundation in self._foundations():
            name = foundation.name
            for mode in MODES:
                families["mode"].add_metric([name, mode], float(foundation.remediation.mode == mode))
            journal = journals.get(name)
            if journal is not None:
                _add(families, foundation, journal)
        return families.values()

    @staticmethod
    def _families() -> dict[str, GaugeMetricFamily]:
        def family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"diego_remediation_{name}", text, labels=["foundation", *labels])

        return {
            "run_in_progress": family("run_in_progress", "Whether a run is in progress (1) or not (0)."),
            "last_run": family(
                "last_run_timestamp_seconds", "Unix time at which the last run of each outcome ended.", "outcome"
            ),
            "breaker_open": family(
                "breaker_open", "Whether the circuit breaker refuses runs until it is reset (1) or not (0)."
            ),
            "paused": family("paused", "Whether remediation is paused (1) or not (0)."),
            "awaiting_approval": family("awaiting_approval", "Whether a run waits for approval (1) or not (0)."),
            "wanted": family(
                "wanted", "Whether a request is queued until the cooldown or retry delay ends (1) or not (0)."
            ),
            "cooldown_end": family("cooldown_end_timestamp_seconds", "Unix time at which the cooldown ends or ended."),
            "mode": family("mode", "Whether this mode is configured (1) or not (0).", "mode"),
        }


def _add(families: Mapping[str, GaugeMetricFamily], foundation: Foundation, journal: Journal) -> None:
    name = [foundation.name]
    request = journal.request
    families["run_in_progress"].add_metric(name, float(journal.open_run is not None))
    families["breaker_open"].add_metric(name, float(journal.breaker_opened is not None))
    families["paused"].add_metric(name, float(journal.paused is not None))
    waits = journal.open_run is not None and journal.open_run.awaits_approval
    families["awaiting_approval"].add_metric(name, float(waits))
    families["wanted"].add_metric(name, float(request is not None and request.waiting_for in PASSING))
    ended = {run.outcome: run.ended for run in journal.runs if run.outcome is not None and run.ended is not None}
    for outcome, moment in ended.items():
        families["last_run"].add_metric([*name, outcome], moment.timestamp())
    if (cooled := cooldown_end(journal, foundation)) is not None:
        families["cooldown_end"].add_metric(name, cooled.timestamp())
