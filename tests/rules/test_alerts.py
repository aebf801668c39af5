"""The shipped alerts and routes: what the contract promises of them, and their own tests under promtool and amtool."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.tools import need

ROOT = Path(__file__).parents[2]
RULES_FILE = ROOT / "alerts" / "diego-medic.rules.yml"
ROUTES_FILE = ROOT / "alerts" / "alertmanager.yml"
TEST_FILES = sorted((ROOT / "alerts").glob("*.test.yml"))
RUNBOOK = "https://github.com/diego-medic/diego-medic/blob/main/docs/alerts.md#"

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]
]
ROUTES: dict[str, Any] = yaml.safe_load(ROUTES_FILE.read_text())
SECTIONS: dict[str, str] = dict(
    re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE | re.DOTALL)
)

# Name, `for`, `keep_firing_for`, severity, the label `remediation`. Public: users' routes and silences name them.
PROMISED = {
    ("DiegoBBSUnreachable", "1m", "2m", "critical", "restart-diego-api"),
    ("DiegoNoActiveLeader", "2m", "2m", "critical", "restart-diego-api"),
    ("DiegoMultipleActiveLeaders", "1m", None, "critical", None),
    ("DiegoApiNotReady", "10m", None, "warning", None),
    ("DiegoActiveLabelStale", "5m", None, "warning", None),
    ("DiegoServingPodNotLabelled", "5m", None, "warning", None),
    ("DiegoExporterAbsent", "5m", None, "critical", None),
    ("DiegoViewStale", "5m", None, "critical", None),
    ("DiegoRemediationNotHelping", None, None, "critical", None),
    ("DiegoRemediationFailed", None, None, "critical", None),
    ("DiegoRemediationBreakerOpen", None, None, "critical", None),
    ("DiegoAwaitingApproval", None, None, "warning", None),
    ("DiegoWebhookDown", "5m", None, "warning", None),
    ("DiegoWebhookUnknownFoundation", None, None, "warning", None),
    ("DiegoRemediationPaused", "1d", None, "info", None),
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
PROMQL_WORDS |= {"absent", "count", "count_over_time", "increase", "max", "max_over_time", "sum", "time"}

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
needs_promtool = pytest.mark.usefixtures("promtool")
needs_amtool = pytest.mark.usefixtures("amtool")


@pytest.fixture(scope="session")
def promtool() -> None:
    need("promtool")


@pytest.fixture(scope="session")
def amtool() -> None:
    need("amtool")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metrics_of(expr: str) -> set[str]:
    """Every name in the expression that is neither PromQL's own nor a label nor a value."""
    without_labels = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on) \([^)]*\)', " ", expr)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", without_labels)) - PROMQL_WORDS


def may_match(matcher: str, labels: Mapping[str, str]) -> bool:
    """Whether an alert with these labels can match; a label that is not given may have any value."""
    parsed = re.fullmatch(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*', matcher)
    assert parsed is not None, matcher
    name, operator, value = parsed.groups()
    if name not in labels:
        return True
    equal = bool(re.fullmatch(value, labels[name])) if "~" in operator else labels[name] == value
    return equal != operator.startswith("!")


def may_mute(inhibit_rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether an inhibition can ever hold back an alert with these labels, whatever its source."""
    assert inhibit_rule.keys() <= {"source_matchers", "target_matchers", "equal"}, "an old way to write matchers"
    return all(may_match(matcher, labels) for matcher in inhibit_rule["target_matchers"])


def labels_of(rule: Mapping[str, Any]) -> dict[str, str]:
    """The labels that are the same whenever the alert fires; `remediation` is empty where it is not set."""
    return {"alertname": rule["alert"], "remediation": "", **rule["labels"]}


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
    """Each alert says what it is about and leads to a section that says what it means and who does what."""
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    assert all(rule["annotations"].values())
    assert RUNBOOK + rule["alert"].lower() == rule["annotations"]["runbook_url"]

    section = SECTIONS[rule["alert"]]
    assert section.startswith(f"\n*{rule['labels']['severity']}")
    for part in ("**What it means.**", "**What diego-medic does.**", "**What you do.**"):
        assert part in section


def test_no_section_is_left_over() -> None:
    assert {rule["alert"] for rule in RULES} == set(SECTIONS)


def test_links_within_the_page_lead_somewhere() -> None:
    links = set(re.findall(r"\]\(#([^)]*)\)", "".join(SECTIONS.values())))
    assert links
    assert links <= {name.lower() for name in SECTIONS}


def test_the_symptom_is_quoted() -> None:
    """Who searches for the error message of `cf push` finds the alert."""
    description = next(rule for rule in RULES if rule["alert"] == "DiegoBBSUnreachable")["annotations"]["description"]
    for symptom in ("CF-StagerUnavailable", "170010", "Stager is unavailable: execution expired"):
        assert symptom in description
        assert symptom in SECTIONS["DiegoBBSUnreachable"]


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


def test_nothing_mutes_a_remediating_alert() -> None:
    """An inhibited alert does not reach the webhook either, so nothing would be mended."""
    remediating = [labels_of(rule) for rule in RULES if "remediation" in rule["labels"]]
    assert remediating
    for inhibit_rule in ROUTES["inhibit_rules"]:
        assert not [labels["alertname"] for labels in remediating if may_mute(inhibit_rule, labels)]


def test_not_ready_is_muted_while_the_bbs_is_unreachable() -> None:
    """The control: the one inhibition reaches its target, within a foundation."""
    (inhibit_rule,) = ROUTES["inhibit_rules"]
    muted = {rule["alert"] for rule in RULES if may_mute(inhibit_rule, labels_of(rule))}
    assert {"DiegoApiNotReady"} == muted
    assert inhibit_rule["source_matchers"] == ['alertname="DiegoBBSUnreachable"']
    assert inhibit_rule["equal"] == ["foundation"]


@pytest.mark.parametrize(
    ("target_matchers", "mutes"),
    [
        ([], True),
        (['foundation="cf"'], True),
        (['alertname="DiegoBBSUnreachable"'], True),
        (['alertname=~"Diego.*"', "severity!=info"], True),
        (['remediation!=""', 'cluster="west"'], True),
        (['remediation=""'], False),
        (['alertname=~"Diego.*"', 'severity="warning"'], False),
        (['alertname!~"Diego.*"'], False),
        (['alertname=~"Diego"'], False),
    ],
)
def test_an_inhibition_that_could_mute_is_recognised(target_matchers: list[str], mutes: bool) -> None:
    labels = {"alertname": "DiegoBBSUnreachable", "severity": "critical", "remediation": "restart-diego-api"}
    assert may_mute({"target_matchers": target_matchers}, labels) == mutes


def test_the_route_to_the_webhook() -> None:
    """As promised, and nothing beside it: a time interval, for one, would mute it."""
    assert ROUTES["route"]["routes"][0] == {
        "receiver": "diego-webhook",
        "matchers": ['remediation="restart-diego-api"'],
        "group_by": ["alertname", "foundation"],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": "5m",
        "continue": True,
    }


def test_the_receiver_of_the_webhook() -> None:
    (receiver,) = (receiver for receiver in ROUTES["receivers"] if receiver["name"] == "diego-webhook")
    (webhook,) = receiver["webhook_configs"]
    assert re.fullmatch(r"https?://diego-webhook\.[a-z0-9.-]+:10890/alerts", webhook["url"])
    assert {
        "url": webhook["url"],
        "max_alerts": 0,
        "send_resolved": True,
        "http_config": {
            "follow_redirects": False,
            "authorization": {
                "type": "Bearer",
                "credentials_file": "/etc/alertmanager/secrets/diego-webhook/token",
            },
        },
    } == webhook


@needs_amtool
def test_amtool_accepts_the_routes() -> None:
    assert "SUCCESS" in run("amtool", "check-config", ROUTES_FILE)


@needs_amtool
@each_rule
def test_where_an_alert_goes(rule: dict[str, Any]) -> None:
    """People hear of every alert; the webhook of those alone that ask for a restart."""
    labels = [f"{name}={value}" for name, value in labels_of(rule).items() if value]
    receivers = run("amtool", "config", "routes", "test", "--config.file", ROUTES_FILE, *labels, "foundation=cf")
    asks = "remediation" in rule["labels"]
    assert (["diego-webhook", "people"] if asks else ["people"]) == receivers.strip().split(",")


@needs_amtool
def test_the_webhook_gets_no_other_remediation() -> None:
    receivers = run(
        "amtool", "config", "routes", "test", "--config.file", ROUTES_FILE, "alertname=Other", "remediation=reboot"
    )
    assert receivers.strip() == "people"


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    assert f"SUCCESS: {len(RULES)} rules found" in run("promtool", "check", "rules", RULES_FILE)


@needs_promtool
@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.name)
def test_rules_pass_their_tests(file: Path) -> None:
    run("promtool", "test", "rules", file)


def test_the_promised_test_file_is_there() -> None:
    assert "diego-medic.test.yml" in {file.name for file in TEST_FILES}
