"""The webhook's gauges, from what the journal says; and its counters, which exist from the start."""

from collections.abc import Callable

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from exporter.foundation.view import Probe, ProbeResult
from tests.support.clocks import SetClock
from tests.support.foundations import foundation
from tests.support.journals import listed, open_run
from tests.support.moments import NOON, at, firing, resolved
from webhook.metrics import (
    MODES,
    STALENESS,
    CloudControllerProbes,
    Counters,
    HttpMetrics,
    JournalCollector,
    RunMetrics,
)
from webhook.record import changes
from webhook.record.journal import Approval, Disruption, Journal, Outcome, Step, StepResult
from webhook.record.reasons import GUARDS
from webhook.requests.alerts import request_as_alerts
from webhook.requests.decision import Decision, DecisionKind, DecisionReason

CF = foundation(remediation={"mode": "auto"})
EMPTY = Journal(foundation="cf")
ENDED = open_run(outcome=Outcome.FAILED, ended=at(90))
PROBES = {"vantage": "cloud_controller"}


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample by its name and its labels, without those of a histogram's buckets and of creation."""
    return {
        sample.name + "{" + ",".join(f"{key}={value}" for key, value in sample.labels.items()) + "}": sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def gauges(journal: Journal | None) -> dict[str, float]:
    """What is shown of a foundation with this journal, by the name after `diego_remediation_`."""
    registry = CollectorRegistry()
    journals_read = {} if journal is None else {"cf": journal}
    registry.register(JournalCollector(foundations=lambda: [CF], journals=lambda: journals_read))
    return {
        name.removeprefix("diego_remediation_").replace("foundation=cf,", "").replace("{foundation=cf}", ""): value
        for name, value in shown(registry).items()
    }


QUIET = {
    "run_in_progress": 0,
    "breaker_open": 0,
    "paused": 0,
    "awaiting_approval": 0,
    "wanted": 0,
    "mode{mode=observe}": 0,
    "mode{mode=approve}": 0,
    "mode{mode=auto}": 1,
}
AFTER = msgspec.structs.replace(EMPTY, disruptions=(Disruption(run="cf-1", started=at(0), ended=at(90)),))
COOLED = {"cooldown_end_timestamp_seconds": at(990).timestamp()}


def test_a_foundation_that_was_never_acted_on() -> None:
    assert gauges(EMPTY) == QUIET


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        (msgspec.structs.replace(EMPTY, runs=(open_run(),)), {"run_in_progress": 1}),
        (
            msgspec.structs.replace(EMPTY, runs=(open_run(approval=Approval(requested=NOON)),)),
            {"run_in_progress": 1, "awaiting_approval": 1},
        ),
        (
            msgspec.structs.replace(EMPTY, runs=(open_run(approval=Approval(requested=NOON, by="ann", at=NOON)),)),
            {"run_in_progress": 1},
        ),
        (changes.pause(EMPTY, by="ann", reason="", now=NOON), {"paused": 1}),
        (msgspec.structs.replace(EMPTY, breaker_opened=NOON), {"breaker_open": 1}),
        (AFTER, COOLED),
        (request_as_alerts(AFTER, [firing()], CF, at(100))[0], COOLED | {"wanted": 1}),
        (
            request_as_alerts(request_as_alerts(AFTER, [firing()], CF, at(100))[0], [resolved(ended=1)], CF, at(101))[
                0
            ],
            COOLED | {"wanted": 0},
        ),
        (request_as_alerts(EMPTY, [firing()], CF, at(100))[0], {"wanted": 0}),
        (
            msgspec.structs.replace(
                EMPTY,
                runs=(
                    ENDED,
                    msgspec.structs.replace(ENDED, id="cf-2", ended=at(200)),
                    open_run(id="cf-3", outcome=Outcome.RECOVERED, ended=at(300)),
                ),
            ),
            {
                "last_run_timestamp_seconds{outcome=failed}": at(200).timestamp(),
                "last_run_timestamp_seconds{outcome=recovered}": at(300).timestamp(),
            },
        ),
    ],
)
def test_each_gauge_follows_the_journal(journal: Journal, expected: dict[str, float]) -> None:
    assert gauges(journal) == QUIET | expected


def test_a_journal_that_was_not_read_says_nothing() -> None:
    """Absent means unknown; the mode stands in the config and not in the journal."""
    assert gauges(None) == {name: value for name, value in QUIET.items() if name.startswith("mode")}


def test_every_counter_of_a_foundation_exists_from_the_start() -> None:
    registry = CollectorRegistry()
    RunMetrics(Counters(registry), "cf")

    found = shown(registry)

    expected = {f"diego_remediation_runs_total{{foundation=cf,runbook=restart-diego-api,outcome={o}}}" for o in Outcome}
    expected |= {
        f"diego_remediation_steps_total{{foundation=cf,step={step},result={result}}}"
        for step in Step
        for result in StepResult
    }
    expected |= {f"diego_remediation_step_duration_seconds_{kind}{{foundation=cf,step={step}}}" for step in Step for kind in ("count", "sum")}  # fmt: skip  # noqa: E501 - a table
    expected |= {f"diego_remediation_run_duration_seconds_{kind}{{foundation=cf,outcome={o}}}" for o in Outcome for kind in ("count", "sum")}  # fmt: skip  # noqa: E501 - a table
    expected |= {f"diego_remediation_refusals_total{{foundation=cf,reason={guard}}}" for guard in GUARDS}
    decisions = {
        "run": ["asked"],
        "join": ["in-progress"],
        "refuse": ["paused", "breaker-open", "cooldown", "retry", "journal-lost", "foreign-journal"],
    }
    expected |= {
        f"diego_remediation_decisions_total{{foundation=cf,decision={decision},reason={reason}}}"
        for decision, reasons in decisions.items()
        for reason in reasons
    }
    expected |= {"diego_webhook_leader{foundation=cf}", "diego_webhook_medic_restarts_total{foundation=cf}"}
    assert set(found) == expected
    assert set(found.values()) == {0}


def test_a_foundation_that_was_removed_has_no_series_any_more() -> None:
    """Also where its medic still ends its work, which comes after the reload. The other one keeps its own."""
    registry = CollectorRegistry()
    counters, probes = Counters(registry), CloudControllerProbes(registry, clock=SetClock())
    gone, stays = (RunMetrics(counters, name) for name in ("gone", "stays"))
    for name in ("gone", "stays"):
        probes.add(name)
        probes.observe(name, Probe(result=ProbeResult.SUCCESS, at=1_000_000), True)

    counters.remove("gone")
    probes.remove("gone")
    for metrics in (gone, stays):
        metrics.step(Step.RESTART, StepResult.INTERRUPTED, 1)
        metrics.run_ended(ENDED)
        metrics.decided(Decision(DecisionKind.REFUSE, DecisionReason.COOLDOWN, ""))
        metrics.leading(False)
    for name in ("gone", "stays"):
        probes.observe(name, Probe(result=ProbeResult.REFUSED, at=1_000_001), False)

    found = shown(registry)
    assert not [name for name in found if "gone" in name]
    assert found["diego_remediation_runs_total{foundation=stays,runbook=restart-diego-api,outcome=failed}"] == 1
    assert found["diego_bbs_probes_total{foundation=stays,vantage=cloud_controller,result=refused}"] == 1


def test_a_refused_run_is_counted_by_its_reason() -> None:
    registry = CollectorRegistry()
    metrics = RunMetrics(Counters(registry), "cf")

    metrics.run_ended(msgspec.structs.replace(ENDED, outcome=Outcome.REFUSED, reason="split-brain cf-0, cf-1"))
    metrics.run_ended(msgspec.structs.replace(ENDED, outcome=Outcome.FAILED, reason="paused after 1 of 2"))

    counted = {name: value for name, value in shown(registry).items() if "refusals" in name and value}
    assert counted == {"diego_remediation_refusals_total{foundation=cf,reason=split-brain}": 1}


def test_what_this_process_did_is_counted() -> None:
    registry = CollectorRegistry()
    metrics = RunMetrics(Counters(registry), "cf")
    before = shown(registry)

    metrics.step(Step.RESTART, StepResult.FAILED, 12.5)
    metrics.run_ended(msgspec.structs.replace(ENDED, pods=listed(intended=2)))
    metrics.decided(Decision(DecisionKind.REFUSE, DecisionReason.COOLDOWN, ""))
    metrics.leading(True)

    assert {name: value for name, value in shown(registry).items() if before[name] != value} == {
        "diego_remediation_steps_total{foundation=cf,step=restart,result=failed}": 1,
        "diego_remediation_step_duration_seconds_count{foundation=cf,step=restart}": 1,
        "diego_remediation_step_duration_seconds_sum{foundation=cf,step=restart}": 12.5,
        "diego_remediation_runs_total{foundation=cf,runbook=restart-diego-api,outcome=failed}": 1,
        "diego_remediation_run_duration_seconds_count{foundation=cf,outcome=failed}": 1,
        "diego_remediation_run_duration_seconds_sum{foundation=cf,outcome=failed}": 90,
        "diego_remediation_decisions_total{foundation=cf,decision=refuse,reason=cooldown}": 1,
        "diego_webhook_leader{foundation=cf}": 1,
    }


def test_every_kind_of_answer_and_of_alert_exists_from_the_start() -> None:
    registry = CollectorRegistry()
    HttpMetrics(registry)

    found = shown(registry)

    codes = (200, 202, 400, 401, 405, 413, 415, 503)
    assert {f"diego_webhook_notifications_total{{code={code}}}" for code in codes} <= set(found)
    for status in ("firing", "resolved"):
        assert f"diego_webhook_alerts_total{{status={status},reason=not-recorded}}" in found


# ---- what the api pods saw


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def probes(clock: SetClock) -> tuple[CloudControllerProbes, Callable[[], dict[str, float]]]:
    registry = CollectorRegistry()
    made = CloudControllerProbes(registry, clock=clock)
    made.add("cf")
    return made, lambda: {
        name.removeprefix("diego_bbs_").replace("foundation=cf,vantage=cloud_controller", "").replace("{}", ""): value
        for name, value in shown(registry).items()
    }


Probed = tuple[CloudControllerProbes, Callable[[], dict[str, float]]]


def test_before_the_first_check_only_the_counters_are_there(probes: Probed) -> None:
    _, found = probes

    counters = {f"probes_total{{,result={result}}}": 0.0 for result in ProbeResult}
    assert found() == counters | {"probe_duration_seconds_count": 0, "probe_duration_seconds_sum": 0}


def test_a_check_is_shown_for_a_while(probes: Probed, clock: SetClock) -> None:
    made, found = probes
    made.observe("cf", Probe(ProbeResult.REFUSED, at=clock.time, duration=0.5), reachable=False)

    assert found()["probes_total{,result=refused}"] == 1
    assert (found()["probe_duration_seconds_count"], found()["probe_duration_seconds_sum"]) == (1, 0.5)
    assert (found()["tcp_reachable"], found()["last_probe_timestamp_seconds"]) == (0, clock.time)

    clock.time += STALENESS
    assert found()["tcp_reachable"] == 0
    clock.time += 0.001
    assert "tcp_reachable" not in found()


def test_an_unknown_leaves_the_last_known_value_as_it_was(probes: Probed, clock: SetClock) -> None:
    made, found = probes
    made.observe("cf", Probe(ProbeResult.SUCCESS, at=clock.time), reachable=True)
    clock.time += 40
    made.observe("cf", Probe(ProbeResult.ERROR, at=clock.time), reachable=None)

    assert (found()["tcp_reachable"], found()["last_probe_timestamp_seconds"]) == (1, clock.time)
    clock.time += 21
    assert "tcp_reachable" not in found()


def test_the_modes_are_those_of_the_config() -> None:
    for mode in MODES:
        assert foundation(remediation={"mode": mode}).remediation.mode == mode
