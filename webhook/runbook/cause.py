"""The likeliest cause of a failed run, as a pure function of what is known after it: a hint to a person, never a proof.

The log lines are those of Diego's own programs: Locket's client logs `lost-lock` and `failed-to-acquire-lock`, with the
error `lock-collision` where another process holds the lock (cloudfoundry/locket, lock/lock.go and models/models.go);
what concerns the database is Go's network error, or the database driver's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.kubernetes.objects import Pod
from webhook.record.reasons import RunReason


@dataclass(frozen=True, slots=True)
class Cause:
    """What probably went wrong, and what a person does next."""

    text: str
    advice: str

    def __str__(self) -> str:
        return f"Likeliest cause: {self.text}. Next: {self.advice}."


_IMAGE = {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"}
_SETTINGS = {"CreateContainerConfigError", "CreateContainerError"}
_WITHOUT_BBS = {RunReason.NO_ACTIVE_LABEL, RunReason.UNREACHABLE, RunReason.NOT_READY, RunReason.NOT_VERIFIED}

_LOGS = (
    (
        re.compile(r"lock-collision|AlreadyExists", re.IGNORECASE),
        "another process holds the lock in Locket",
        "find its owner with `cfdot locks` and end it; a stale lock expires after 15 s while Locket works",
    ),
    (
        re.compile(
            r"(sql|mysql|postgres|database|db)\b.*(refused|timed? ?out|deadline|no such host|unreachable)"
            r"|bad connection|dial tcp \S*:(3306|5432): |lost the lock database",
            re.IGNORECASE,
        ),
        "the database of Locket or of the BBS does not answer",
        "repair the database first, then run `diego-runbook run`",
    ),
    (
        re.compile(r"lost-lock|failed-to-acquire-lock", re.IGNORECASE),
        "Locket does not give the lock to any BBS",
        "check Locket's log and its database",
    ),
)


def likeliest_cause(reason: RunReason | None, pods: Sequence[Pod], logs: str) -> Cause | None:
    """None where nothing points to a cause. `pods` are those that the run waits for, `logs` those of the new ones."""
    if reason is RunReason.STILL_TERMINATING:
        return _terminating(pods)
    for pod in pods:
        if (cause := _of_pod(pod)) is not None:
            return cause
    if reason in _WITHOUT_BBS:
        return next((Cause(text, advice) for sign, text, advice in _LOGS if sign.search(logs)), None)
    return None


def _terminating(pods: Sequence[Pod]) -> Cause | None:
    pod = next((pod for pod in pods if pod.terminating), None)
    if pod is None:
        return None
    node = pod.spec.node_name or "its node"
    return Cause(
        f"the process in {pod.name} ignores the signal to end, or node {node} is not reachable",
        f"`kubectl get node {node}`; if the node is lost for good, a person may delete the pod with --force",
    )


def _of_pod(pod: Pod) -> Cause | None:
    """What the kubelet and the scheduler say of a pod."""
    describe = f"`kubectl describe pod {pod.name}`"
    for condition in pod.status.conditions or ():
        if (condition.type, condition.status, condition.reason) == ("PodScheduled", "False", "Unschedulable"):
            return Cause(f"no node has room for {pod.name} ({condition.message})", f"{describe}, then add room")
    for status in pod.status.container_statuses or ():
        state = status.state.waiting or status.state.terminated
        waits = state.reason if state is not None else ""
        if waits in _IMAGE:
            return Cause(f"the image of {pod.name} cannot be pulled ({waits})", f"{describe}, then check the registry")
        if waits in _SETTINGS:
            return Cause(f"a ConfigMap or Secret of {pod.name} is missing ({waits})", describe)
        if waits == "CrashLoopBackOff":
            return Cause(
                f"container {status.name} of {pod.name} exits again and again",
                f"`kubectl logs {pod.name} -c {status.name} --previous`",
            )
    return None
