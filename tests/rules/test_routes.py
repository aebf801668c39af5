"""The shipped routes of Alertmanager: who gets which alert, and what mutes one."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.alerts import ROUTES, ROUTES_FILE, RULES, labels_of, run_tool


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


def test_amtool_accepts_the_routes() -> None:
    assert "SUCCESS" in run_tool("amtool", "check-config", ROUTES_FILE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_where_an_alert_goes(rule: dict[str, Any]) -> None:
    """People hear of every alert; the webhook of those alone that ask for a restart."""
    labels = [f"{name}={value}" for name, value in labels_of(rule).items() if value]
    receivers = run_tool("amtool", "config", "routes", "test", "--config.file", ROUTES_FILE, *labels, "foundation=cf")
    asks = "remediation" in rule["labels"]
    assert (["diego-webhook", "people"] if asks else ["people"]) == receivers.strip().split(",")


def test_the_webhook_gets_no_other_remediation() -> None:
    receivers = run_tool(
        "amtool", "config", "routes", "test", "--config.file", ROUTES_FILE, "alertname=Other", "remediation=reboot"
    )
    assert receivers.strip() == "people"
