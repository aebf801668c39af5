"""What the commands print with `-o json` and `-o yaml`: the same fields in both."""

from typing import Any

import msgspec
import yaml

from exporter.clock import utc
from webhook.operator.checkup import Checkup
from webhook.operator.report import would_do

TEXT, JSON, YAML = FORMATS = ("text", "json", "yaml")


def structured(value: Any, output: str) -> str:
    """`value` as JSON or YAML. In YAML, times are text as in JSON."""
    encoded = msgspec.json.encode(value)
    if output == JSON:
        return msgspec.json.format(encoded).decode()
    text: str = yaml.safe_dump(msgspec.json.decode(encoded), sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip("\n")


def public_checkup(checkup: Checkup) -> dict[str, Any]:
    """A diagnosis. What is null is unknown, and `trouble` says why."""
    view = checkup.view
    return {
        "foundation": checkup.foundation.name,
        "reachable": checkup.reachable,
        "exit_code": int(checkup.exit_code),
        "would_do": would_do(checkup),
        "findings": [{"name": each.name, "text": each.text} for each in checkup.findings],
        "trouble": list(checkup.trouble),
        "missing_permissions": [str(each) for each in checkup.lacking],
        "attempts": [
            {"reachable": each.reachability, "pods": {answer.pod: answer.probe.detail for answer in each.answers}}
            for each in checkup.attempts
        ],
        "pods": None
        if view is None
        else {
            pod.name: {"phase": pod.status.phase, "ready": pod.containers_ready, "containers": pod.containers}
            for name in view.components
            for pod in view.components[name].pods
        },
        "journal": None
        if checkup.journal is None
        else {
            "mode": checkup.foundation.remediation.mode,
            "paused": None if checkup.journal.paused is None else checkup.journal.paused.reason,
            "breaker_open_since": None
            if checkup.journal.breaker_opened is None
            else utc(checkup.journal.breaker_opened),
            "last_run": checkup.journal.runs[-1].id if checkup.journal.runs else None,
        },
    }
