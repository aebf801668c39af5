"""`diego-runbook explain`: the steps with the foundation's own names, on its own cluster."""

import json
from typing import Any

import pytest
import yaml

from exporter.config.model import Foundation
from tests.support.foundations import foundation
from webhook.operator import commands
from webhook.operator.command_context import ExitCode
from webhook.operator.explain import explain_lines
from webhook.operator.kubectl import kubectl

CF = foundation(remediation={"mode": "auto"})


def elsewhere(**changes: Any) -> Foundation:
    return foundation(kubeconfig="/home/ann/my clusters", context="eu-1", **changes)


def test_only_a_command_is_longer_than_a_line() -> None:
    lines = explain_lines(foundation(profile="cfee-1", remediation={"mode": "auto"}))
    assert [line for line in lines if len(line) > 79 and "kubectl" not in line] == []
    assert [line[0] for line in lines if line[:2].rstrip(".").isdecimal()] == list("12345678")


def test_a_command_goes_to_the_cluster_of_the_config() -> None:
    """A person with several clusters must not delete the pods of another one."""
    given = kubectl(elsewhere(), "get pod")
    assert given == "kubectl --kubeconfig='/home/ann/my clusters' --context=eu-1 get pod"
    told = [line for line in explain_lines(elsewhere()) if "kubectl" in line]
    assert len(told) == 5
    assert all("kubectl --kubeconfig='/home/ann/my clusters' --context=eu-1 " in line for line in told)
    assert kubectl(CF, "get pod") == "kubectl get pod"  # the control: no cluster is named


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_same_for_a_program(capsys: pytest.CaptureFixture[str], output: str) -> None:
    assert commands.explain([CF], output=output) is ExitCode.OK
    text = capsys.readouterr().out
    (found,) = (json.loads(text) if output == "json" else yaml.safe_load(text))["foundations"]
    assert (found["foundation"], found["profile"], found["mode"]) == ("cf", "cfee-2", "auto")
    assert [step["number"] for step in found["steps"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(set(step) == {"number", "text", "commands", "note"} for step in found["steps"])
    assert found["steps"][0]["commands"] == ["kubectl get pod -n cf"]
    assert found["steps"][4]["commands"][0].startswith("kubectl delete pod -n cf diego-api-0")
