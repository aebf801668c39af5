"""The shipped alerts: what is promised of them, and their own tests under promtool."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alerts import RECORDED, REPOSITORY, RULES, RULES_FILE, TEST_FILES, run_tool

RUNBOOK = "https://github.com/diego-medic/diego-medic/blob/main/docs/alerts/"

DOCS = REPOSITORY / "docs"
PAGES = {page.stem: page.read_text() for page in (DOCS / "alerts").glob("*.md")}

# Name, `for`, `keep_firing_for`, severity, the label `remediation`. Public: users' routes and silences name them.
PROMISED = {
    ("DiegoBBSUnreachable", "1m", "2m", "critical", "restart-diego-api"),
    ("DiegoNoActiveLeader", "2m", "2m", "critical", "restart-diego-api"),
    ("DiegoMultipleActiveLeaders", "1m", None, "critical", None),
    ("DiegoApiNotReady", "10m", None, "warning", None),
    ("DiegoActiveLabelStale", "5m", None, "warning", None),
    ("DiegoServingPodNotLabelled", "5m", None, "warning", None),
    ("DiegoBBSNotAnswering", "2m", None, "critical", None),
    ("DiegoBBSCallInconclusive", "15m", None, "warning", None),
    ("DiegoLeadershipFlapping", None, None, "warning", None),
    ("DiegoExporterAbsent", "5m", None, "critical", None),
    ("DiegoViewStale", "5m", None, "critical", None),
    ("DiegoRemediationNotHelping", None, None, "critical", None),
    ("DiegoRemediationFailed", None, None, "critical", None),
    ("DiegoRemediationBreakerOpen", None, None, "critical", None),
    ("DiegoAwaitingApproval", None, None, "warning", None),
    ("DiegoWebhookDown", "5m", None, "warning", None),
    ("DiegoWebhookUnknownFoundation", None, None, "warning", None),
    ("DiegoRemediationPaused", "1d", None, "info", None),
    ("DiegoRemediationRecovered", None, None, "info", None),
}

# A misspelt metric makes an alert that never fires, and no tool says so.
METRICS = {
    "ALERTS",
    "up",
    "diego_api_pod_active",
    "diego_api_pod_serving",
    "diego_api_pods_desired",
    "diego_api_ready",
    "diego_bbs_active_leaders",
    "diego_bbs_answers",
    "diego_bbs_leader_changes_total",
    "diego_bbs_serving_pods",
    "diego_bbs_tcp_reachable",
    "diego_foundation_info",
    "diego_kubernetes_last_sync_timestamp_seconds",
    "diego_kubernetes_synced",
    "diego_remediation_awaiting_approval",
    "diego_remediation_breaker_open",
    "diego_remediation_last_run_timestamp_seconds",
    "diego_remediation_paused",
    "diego_webhook_alerts_total",
}
PROMQL_WORDS = {"and", "or", "unless", "by", "on"}
PROMQL_WORDS |= {
    "absent",
    "count",
    "count_over_time",
    "increase",
    "max",
    "max_over_time",
    "present_over_time",
    "round",
    "sum",
    "time",
}

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


def metrics_of(expr: str) -> set[str]:
    """Every name in the expression that is neither PromQL's own nor a label nor a value."""
    without_labels = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on) \([^)]*\)', " ", expr)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", without_labels)) - PROMQL_WORDS


def firing_in_tests() -> dict[str, list[set[str]]]:
    """For each alert, the label names of it where a promtool test expects it to fire."""
    found: dict[str, list[set[str]]] = {}
    for test in (test for file in TEST_FILES for test in yaml.safe_load(file.read_text())["tests"]):
        for sample in (s for t in test.get("promql_expr_test", ()) for s in t["exp_samples"]):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
            if labels.get("alertstate") == "firing":
                found.setdefault(labels["alertname"], []).append(set(labels))
        for alert_test in test.get("alert_rule_test", ()):
            for alert in alert_test["exp_alerts"]:
                found.setdefault(alert_test["alertname"], []).append(set(alert["exp_labels"]))
    return found


def test_the_alerts_are_those_that_were_promised() -> None:
    """Names, times, severities and the remediation label are public."""
    shipped = {
        (
            rule["alert"],
            rule.get("for"),
            rule.get("keep_firing_for"),
            *map(rule["labels"].get, ("severity", "remediation")),
        )
        for rule in RULES
    }
    assert shipped == PROMISED
    assert len(RULES) == len(shipped)
    assert {"severity", "remediation"} == {label for rule in RULES for label in rule["labels"]}


@each_rule
def test_annotations_lead_to_the_runbook(rule: dict[str, Any]) -> None:
    """Each alert says what it is about and leads to a page that says what it means and who does what."""
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    assert all(rule["annotations"].values())
    assert f"{RUNBOOK}{rule['alert']}.md" == rule["annotations"]["runbook_url"]

    page = PAGES[rule["alert"]]
    assert page.startswith(f"# {rule['alert']}\n\n*{rule['labels']['severity']}")
    for part in ("**What it means.**", "**What diego-medic does.**", "**What you do.**"):
        assert part in page


def test_no_page_is_left_over_and_all_are_listed() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\(alerts/\1\.md\) \| (\w+) \|", (DOCS / "alerts.md").read_text(), re.MULTILINE)
    assert {rule["alert"] for rule in RULES} == set(PAGES)
    assert listed == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]


def test_the_symptom_is_quoted() -> None:
    """Who searches for the error message of `cf push` finds the alert."""
    description = next(rule for rule in RULES if rule["alert"] == "DiegoBBSUnreachable")["annotations"]["description"]
    for symptom in ("CF-StagerUnavailable", "170010", "Stager is unavailable: execution expired"):
        assert symptom in description
        assert symptom in PAGES["DiegoBBSUnreachable"]


@each_rule
def test_metrics_exist(rule: dict[str, Any]) -> None:
    used = metrics_of(rule["expr"])
    assert used
    assert used <= METRICS


def test_every_metric_of_the_list_is_in_use() -> None:
    assert {name for rule in RULES for name in metrics_of(rule["expr"])} == METRICS


def test_a_misspelt_metric_is_noticed() -> None:
    assert metrics_of('max by (foundation) (deigo_bbs_up{vantage="up"}[5m]) > 1 or time() - up') == {
        "deigo_bbs_up",
        "up",
    }


@each_rule
def test_a_firing_case_is_tested_and_has_the_labels_that_the_texts_use(rule: dict[str, Any]) -> None:
    """A label that is not there is rendered as nothing: "foundation  cannot be reached"."""
    cases = firing_in_tests()[rule["alert"]]
    used = {name for text in rule["annotations"].values() for name in re.findall(r"\{\{ \$labels\.(\w+) \}\}", text)}
    for labels in cases:
        assert used <= labels


def test_the_service_level_is_documented() -> None:
    page = (DOCS / "alerts.md").read_text()
    shown = {rule["record"] for rule in RECORDED if rule["record"].endswith("30d")}
    assert len(shown) == 3
    assert set(re.findall(r"^\| `(foundation:[^`]*)`", page, re.MULTILINE)) == shown


def test_promtool_accepts_the_rules() -> None:
    assert f"SUCCESS: {len(RULES) + len(RECORDED)} rules found" in run_tool("promtool", "check", "rules", RULES_FILE)


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.name)
def test_rules_pass_their_tests(file: Path) -> None:
    run_tool("promtool", "test", "rules", file)


def test_the_promised_test_file_is_there() -> None:
    assert "diego-medic.test.yml" in {file.name for file in TEST_FILES}
