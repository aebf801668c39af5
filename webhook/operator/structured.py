"""What the commands print with `-o json` and `-o yaml`: the same fields in both."""

from typing import Any

import msgspec
import yaml

from exporter.clock import utc
from webhook.operator.check_advice import after_check
from webhook.operator.checkup import Checkup
from webhook.operator.report import would_do
from webhook.operator.screen import you
from webhook.operator.sight import Sight
from webhook.record.journal import Run
from webhook.record.public import public_run
from webhook.requests.decision import Decision
from webhook.status.headline import headline

TEXT, JSON, YAML = "text", "json", "yaml"
MARKDOWN = "markdown"


def structured(value: Any, output: str) -> str:
    """`value` as JSON or YAML. In YAML, times are text as in JSON."""
    encoded = msgspec.json.encode(value)
    if output == JSON:
        return msgspec.json.format(encoded).decode()
    text: str = yaml.safe_dump(msgspec.json.decode(encoded), sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip("\n")


def in_stream(value: Any, output: str) -> str:
    """One of several values, one after the other: a line of JSON, or a YAML document."""
    return msgspec.json.encode(value).decode() if output == JSON else f"---\n{structured(value, output)}"


def public_sight(sight: Sight) -> dict[str, Any]:
    """What `watch` shows. What is null is unknown; while it is not `live`, `trouble` says why it may be old."""
    known, head = sight.known, headline(sight.known)
    fresh, journal = known.summary.fresh, known.journal
    return {
        "time": known.now,
        "foundation": known.foundation.name,
        "live": sight.live,
        "trouble": "" if sight.live else sight.trouble,
        "state": head.word,
        "reachable": known.reachable,
        "repair": head.repair,
        "you": you(sight, head),
        "findings": [{"name": each.name, "text": each.text} for each in known.summary.findings] if fresh else None,
        "pods": {
            each.name: {"state": each.state, "label": each.label, "listens": each.listens}
            for each in known.summary.pods
        }
        if fresh
        else None,
        "request": None
        if journal is None or journal.request is None
        else {"by": journal.request.by, "due": journal.request.due, "waiting_for": journal.request.waiting_for},
        "run": None if known.run is None else public_run(known.run, evidence=False),
        "last_run": None if known.last_run is None else public_run(known.last_run, evidence=False),
    }


def public_request(decision: Decision, run: Run | None) -> dict[str, Any]:
    """What became of a person's request; `run` is null where it was refused or dropped."""
    decided = {"kind": decision.kind, "reason": decision.reason, "text": decision.text}
    return {"decision": decided, "run": None if run is None else public_run(run)}


def public_checkup(checkup: Checkup) -> dict[str, Any]:
    """A diagnosis. What is null is unknown, and `trouble` says why."""
    view = checkup.view
    return {
        "foundation": checkup.foundation.name,
        "reachable": checkup.reachable,
        "exit_code": int(checkup.exit_code),
        "would_do": would_do(checkup),
        "next": after_check(checkup),
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
