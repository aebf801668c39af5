"""The shipped alerts and routes, and the programs that check them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import need

REPOSITORY = Path(__file__).parents[2]
RULES_FILE = REPOSITORY / "alerts" / "diego-medic.rules.yml"
ROUTES_FILE = REPOSITORY / "alerts" / "alertmanager.yml"
TEST_FILES = sorted((REPOSITORY / "alerts").glob("*.test.yml"))

_ALL: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]
]
RULES = [rule for rule in _ALL if "alert" in rule]
RECORDED = [rule for rule in _ALL if "record" in rule]
ROUTES: dict[str, Any] = yaml.safe_load(ROUTES_FILE.read_text())


def labels_of(rule: Mapping[str, Any]) -> dict[str, str]:
    """The labels that are the same whenever the alert fires; `remediation` is empty where it is not set."""
    return {"alertname": rule["alert"], "remediation": "", **rule["labels"]}


def run_tool(tool: str, *arguments: str | Path) -> str:
    """What `promtool` or `amtool` prints; it must exit with 0. Without the tool the test is skipped (`need`)."""
    done = subprocess.run([need(tool), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
