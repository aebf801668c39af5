"""What a person looks at next, for each way in which a run may have ended. Pure."""

from webhook.record.journal import Outcome, Run
from webhook.record.reasons import RunReason

_CHECK = "`diego-runbook check` shows which."
_API = "Look at the API server."
NEXT = {
    RunReason.REACHABLE: "Nothing to do. If alerts go on, look at the way from the exporter to the BBS.",
    RunReason.NOT_RESTARTED: "Nothing to do. The BBS's log tells why it was gone for a while.",
    RunReason.OBSERVE: "Restart by hand with the commands of `diego-runbook explain`, or set the mode to `auto`.",
    RunReason.RESOLVED: "Nothing to do. If it comes back, the alert asks again.",
    RunReason.NOT_APPROVED: "If the alert still fires, it asks again: approve the next run in time.",
    RunReason.CLOUD_CONTROLLER_DOWN: "Look at the api pods first: `kubectl describe pod`.",
    RunReason.EXEC_FAILED: "The step's detail has the output. `diego-runbook check` names a missing permission.",
    RunReason.NC_MISSING: "Set `cloud_controller.container` to a container that has `nc`.",
    RunReason.NAME_UNKNOWN: "Compare `bbs.host` with the Service, and look at the cluster's DNS.",
    RunReason.PODS_DISAGREE: "Look at the network of the nodes on which these api pods run.",
    RunReason.FLAPPING: "The BBS's log tells whether it fails over again and again.",
    RunReason.API_UNREACHABLE: _API,
    RunReason.FORBIDDEN: f"A permission is missing in the Role: {_CHECK}",
    RunReason.DEADLINE: "The webhook's log shows what took so long.",
    RunReason.PROOF_EXPIRED: "The webhook's log shows what took so long; the next request proves again.",
    RunReason.INTERNAL_ERROR: "The webhook's log has the traceback; please report it.",
    RunReason.PAUSED: "Resume when the work is done; if pods were deleted, check that they are ready again.",
    RunReason.BREAKER_OPEN: "Find out why restarts do not help, then reset the breaker.",
    RunReason.SPLIT_BRAIN: "Find out which BBS holds the lock; stop the other one by hand.",
    RunReason.BBS_SERVING: "Do not restart: a BBS works. Look at the active label and at the Service's endpoints.",
    RunReason.SCALED_DOWN: "Who scaled the StatefulSet to zero, and why? Scale it up, or leave it.",
    RunReason.ROLLOUT: "Finish or undo the rollout: `kubectl rollout status statefulset`.",
    RunReason.ALREADY_TERMINATING: "Wait for the pods that terminate. If they hang, look at their node.",
    RunReason.EXCLUDED: "The annotation `diego-medic/exclude` names who wants this; remove it to allow runs.",
    RunReason.NO_TARGET: "Compare `diego_api.statefulset` and `restart` in the config with the namespace.",
    RunReason.MAX_PODS: "Raise `max_pods` if so many pods may be restarted at once.",
    RunReason.FOREIGN_JOURNAL: "Two foundations share a name or a StatefulSet: compare their configs.",
    RunReason.JOURNAL_LOST: "Find out who removed the journal; then reset.",
    RunReason.DELETE_REFUSED: "The Role lists the pods by name: does it have this one? `diego-runbook check` shows.",
    RunReason.STILL_TERMINATING: "Look at the pod's node: `kubectl describe node`. Do not force the deletion blindly.",
    RunReason.NOT_CREATED: "`kubectl describe statefulset` says why; with OrderedReady, look at the pod before it.",
    RunReason.NOT_READY: "`kubectl describe pod` and `kubectl logs` of the named pod say why.",
    RunReason.NO_ACTIVE_LABEL: "No BBS got the lock: look at Locket, its database, and at who holds the lock.",
    RunReason.MULTIPLE_ACTIVE: "Find out which BBS holds the lock; a label may be stale.",
    RunReason.UNREACHABLE: "Look at the Service's endpoints and at network policies.",
    RunReason.NOT_VERIFIED: "Check from the Cloud Controller: `diego-runbook check`.",
}
"""After each reason; also in docs/runs.md."""


def next_look(run: Run) -> str:
    """A sentence for who reads the run. Text in backticks is a command or a name."""
    if run.outcome is None:
        return "Approve it, or let it expire." if run.awaits_approval else "Wait for its end."
    if run.outcome is Outcome.RECOVERED:
        return "Nothing to do. The evidence may tell why the lock was lost."
    cause = run.cause
    return NEXT[cause] if cause is not None else "The webhook's log has the rest."
