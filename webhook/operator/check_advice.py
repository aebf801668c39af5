"""What a person does next after a `check`. One thing: what all the rest depends on comes first."""

from collections.abc import Mapping

from exporter.config.model import Foundation
from exporter.config.remediation import Mode
from exporter.kubernetes.api import ApiError
from webhook.operator.checkup import Checkup
from webhook.operator.kubectl import kubectl
from webhook.operator.next_step import after_error, after_refusal, as_next
from webhook.record.advice import NEXT
from webhook.record.reasons import RunReason
from webhook.requests.decision import DecisionKind

_DEFECTS: Mapping[str, str] = {
    "split-brain": as_next(NEXT[RunReason.SPLIT_BRAIN]),
    "bbs-not-answering": "the log of the BBS says why",
    "database-unreachable": "look at Locket's database: without it no BBS can lead",
    "locket-unreachable": "look at Locket: without it no BBS can lead",
}


def after_check(checkup: Checkup) -> str:
    """A sentence without its full stop; empty where there is nothing to do."""
    foundation = checkup.foundation
    name = foundation.name
    rights = f"ask for these permissions: `diego-runbook manifests {name}` prints Roles that have them"
    if checkup.errors:
        forbidden = [each for each in checkup.errors if isinstance(each, ApiError) and each.status == 403]
        return rights if forbidden else after_error(checkup.errors[0], foundation)
    if checkup.lacking:
        return rights
    if checkup.reachable is None:
        return _after_unknown(checkup)
    if not checkup.reachable:
        return _after_proof(checkup)
    return _after_findings(checkup)


def _after_unknown(checkup: Checkup) -> str:
    reason = (
        (checkup.attempts[-1].reason or RunReason.FLAPPING) if checkup.attempts else RunReason.CLOUD_CONTROLLER_DOWN
    )
    # Pods that disagree, or change their minds, do so because of what was found, if anything was.
    if reason in {RunReason.PODS_DISAGREE, RunReason.FLAPPING} and checkup.findings:
        return _after_findings(checkup)
    return as_next(NEXT[reason])


def _after_proof(checkup: Checkup) -> str:
    name, decision, guard = checkup.foundation.name, checkup.decision, checkup.guard
    if decision is not None and decision.kind is DecisionKind.REFUSE:
        return after_refusal(decision, checkup.foundation)
    if decision is not None and decision.kind is DecisionKind.JOIN:
        return f"`diego-runbook watch {name}` shows the run in progress"
    if guard is not None:
        return as_next(NEXT[guard.reason])
    if checkup.foundation.remediation.mode in {None, Mode.OBSERVE}:
        return f"restart by hand: `diego-runbook explain {name}`"
    return f"`diego-runbook run {name}`, or wait for the alert; by hand: `diego-runbook explain {name}`"


def _after_findings(checkup: Checkup) -> str:
    found = [each.name for each in checkup.findings]
    for name, text in _DEFECTS.items():
        if name in found:
            return text
    if "no-statefulset" in found:
        return f"compare `profile` in the config with: {_get(checkup.foundation, 'statefulset')}"
    if found:
        label = checkup.foundation.diego_api.active_label.key
        return f"if it is still so in some minutes: {_get(checkup.foundation, 'pod')} -L {label}"
    return ""


def _get(foundation: Foundation, kind: str) -> str:
    return kubectl(foundation, f"get {kind} -n {foundation.namespace}")
