"""`diego-runbook explain`: the runbook for one foundation, with kubectl commands."""

import textwrap
from dataclasses import dataclass
from typing import Any

from exporter.config.model import Foundation
from webhook.operator.kubectl import kubectl

SOURCE = "IBM, Debugging an unavailable stager (CFEE)"
SYMPTOM = "503, CF-StagerUnavailable, code 170010"
_COLUMNS = 79


@dataclass(frozen=True, slots=True)
class Explained:
    """A step as a person does it: what, with which commands, and what diego-medic adds to it."""

    text: str
    commands: tuple[str, ...] = ()
    note: str = ""


def explain_lines(foundation: Foundation) -> list[str]:
    """The eight steps of docs/runbook.md, and what diego-medic adds to each. Only commands may be long."""
    mode = foundation.remediation.mode or "not set"
    lines = [f"The runbook for foundation {foundation.name} ({foundation.profile}), mode {mode}."]
    lines += [*_wrapped(f"Source: {SOURCE}. Symptom: {SYMPTOM}.", indent=""), ""]
    for number, step in enumerate(explained(foundation), start=1):
        lines += _wrapped(step.text, first=f"{number}. ")
        lines += [f"     {command}" for command in step.commands]
        lines += _wrapped(step.note) if step.note else []
    return lines


def public_explained(foundation: Foundation) -> dict[str, Any]:
    """The same, for programs."""
    return {
        "foundation": foundation.name,
        "profile": foundation.profile,
        "mode": foundation.remediation.mode,
        "source": SOURCE,
        "symptom": SYMPTOM,
        "steps": [
            {"number": number, "text": step.text, "commands": step.commands, "note": step.note}
            for number, step in enumerate(explained(foundation), start=1)
        ],
    }


def explained(foundation: Foundation) -> tuple[Explained, ...]:
    """The eight steps."""
    namespace = foundation.namespace
    host, port = foundation.bbs.host, foundation.bbs.port
    api = foundation.cloud_controller.statefulset[0]
    container = f" -c {foundation.cloud_controller.container}" if foundation.cloud_controller.container else ""
    remediation = foundation.remediation
    confirm, verify = remediation.confirm, remediation.verify
    check = kubectl(foundation, f"exec -n {namespace} {api}-0{container} -- nc -zv {host} {port}")
    deletes = [
        f"{kubectl(foundation, f'delete pod -n {namespace} {name}-0')}   # and {name}-1, …"
        for name in foundation.restart
    ]
    order = f"In this order, waiting for each; {foundation.restart[-1]} only if the BBS is still unreachable then."
    return (
        Explained(
            f"Check the {api} pods: is the Cloud Controller available?",
            (kubectl(foundation, f"get pod -n {namespace}"),),
        ),
        Explained(
            f"At least one should be Running and fully ready, e.g. {api}-0 2/2. Else nothing can be proved, and "
            "nothing is deleted."
        ),
        Explained(f"Exec into {api}-0, and up to two more ready {api} pods."),
        Explained(
            f"There, {confirm.attempts} times, {confirm.interval:g} s apart: does it reach the BBS?",
            (check,),
            "Every attempt from every pod must be refused, time out or have no route; else nothing is deleted. "
            "Then save the logs of the pods to be deleted, because the restart destroys them.",
        ),
        Explained(
            "Delete the pods; Kubernetes recreates them. Do not where a BBS accepts connections, two are active, or a "
            "rollout is in progress. diego-medic deletes by UID, and refuses then, while paused or with an "
            f"open breaker, and for more than {remediation.max_pods} pods.",
            tuple(deletes),
            order if len(foundation.restart) > 1 else "",
        ),
        Explained(
            "Wait until they are Running and fully ready, and exactly one is marked active.",
            (kubectl(foundation, f"get pod -n {namespace} -L {foundation.diego_api.active_label.key}"),),
        ),
        Explained(
            f"Check again from the Cloud Controller, {verify.attempts} times in a row, within {verify.timeout:g} s.",
            (check,),
        ),
        Explained("The environment is ready to stage apps. `recovered` is reported only if this was verified."),
    )


def _wrapped(text: str, *, first: str = "", indent: str = "   ") -> list[str]:
    return textwrap.wrap(
        text,
        _COLUMNS,
        initial_indent=first or indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
