"""Step 6 of IBM's runbook, as a pure function: what the restarted pods still lack."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.config.model import Foundation
from exporter.foundation.assess import leaders, pods_needed
from exporter.foundation.view import Component, FoundationView
from exporter.kubernetes.objects import Pod
from webhook.record.journal import PodRecord
from webhook.record.reasons import RunReason

MARGIN = 300.0
"""Seconds beyond the grace period in which a pod must be created, pulled, started and ready: docs/runbook.md."""
GRANTED = 60.0
"""Seconds that new pods have at least, also where the run is resumed after its deadline: to look takes a while."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What is missing, and where."""

    reason: RunReason
    place: str = ""


def lacking(
    components: Mapping[str, Component], name: str, *, deleted: Collection[str], foundation: Foundation, final: bool
) -> Lack | None:
    """What the StatefulSet `name` still lacks after its restart; None: nothing, the wait is over.

    `deleted` are the UIDs that must be gone. With `final` exactly one diego-api pod must be labelled active as well.
    """
    component = components.get(name)
    if component is None or component.statefulset is None:
        return Lack(RunReason.NOT_CREATED, f"{name}-0 (StatefulSet {name} is missing)")
    for pod in component.pods:
        if pod.terminating or pod.uid in deleted:
            where = f"(grace {_grace(pod)}, node {pod.spec.node_name or 'none'})"
            return Lack(RunReason.STILL_TERMINATING, f"{pod.name} {where}")
    created = {pod.name for pod in component.pods}
    for pod_name in component.statefulset.pod_names:
        if pod_name not in created:
            return Lack(RunReason.NOT_CREATED, pod_name + _waits_for(component))
    if len(component.ready) < _needed(components, name, foundation):
        unready = next(pod for pod in component.pods if not pod.fully_ready)
        return Lack(RunReason.NOT_READY, f"{unready.name} {_unready_container(unready)}")
    return _leadership(components, foundation) if final else None


def await_timeout(pods: Sequence[PodRecord], *, one_after_another: bool, configured: float | None) -> float:
    """Seconds that the pods of one StatefulSet have to terminate and to come back.

    fissile gives its pods 600 s, so a hung BBS may take ten minutes to terminate; and where one pod is started after
    another, each may need as long.
    """
    if configured is not None:
        return configured
    longest = max((pod.grace for pod in pods), default=30)
    return (longest + MARGIN) * (max(1, len(pods)) if one_after_another else 1)


def time_left(pods: Sequence[PodRecord], *, one_after_another: bool, configured: float | None, now: datetime) -> float:
    """Seconds from `now`, when the wait begins, to its deadline. `pods` are those of the StatefulSet on the run's list.

    They are counted from the first delete of the StatefulSet on record, also where the run was resumed since.
    """
    timeout = await_timeout(pods, one_after_another=one_after_another, configured=configured)
    started = min((pod.intended_at for pod in pods if pod.intended_at), default=now)
    left = timeout - max(0.0, (now - started).total_seconds())
    return max(left, min(timeout, GRANTED))


def _needed(components: Mapping[str, Component], name: str, foundation: Foundation) -> int:
    """How many of its pods must be ready: all, less those that `min_ready` allows to be missing."""
    desired = components[name].desired
    names = foundation.diego_api.statefulset
    if name not in names:
        return desired
    found = tuple(components[each] for each in names if each in components)
    allowed = sum(component.desired for component in found) - pods_needed(found, foundation.diego_api.min_ready)
    return max(0, desired - allowed)


def _leadership(components: Mapping[str, Component], foundation: Foundation) -> Lack | None:
    active = leaders(FoundationView(components=components), foundation)
    if len(active) == 1:
        return None
    if not active:
        return Lack(RunReason.NO_ACTIVE_LABEL)
    return Lack(RunReason.MULTIPLE_ACTIVE, ", ".join(pod.name for pod in active))


def _grace(pod: Pod) -> str:
    seconds = pod.metadata.deletion_grace_period_seconds
    if seconds is None:
        seconds = pod.spec.termination_grace_period_seconds
    return "unknown" if seconds is None else f"{seconds}s"


def _waits_for(component: Component) -> str:
    """With OrderedReady a pod is only created when the one before it is ready."""
    waiting = next((pod.name for pod in component.pods if not pod.fully_ready), None)
    ordered = component.statefulset is not None and component.statefulset.one_after_another
    return f" (waits for {waiting})" if ordered and waiting else ""


def _unready_container(pod: Pod) -> str:
    """Which container is not ready and why, as the kubelet says it; without statuses, what the pod's conditions say."""
    for status in pod.status.container_statuses or ():
        if not status.ready:
            state = status.state.waiting or status.state.terminated
            return f"container {status.name} ({state.reason if state and state.reason else 'not ready'})"
    for condition in pod.status.conditions or ():
        if condition.status != "True" and condition.reason:
            return f"container {pod.spec.containers[0].name} ({condition.reason})"
    return f"container {pod.spec.containers[0].name} ({pod.status.phase or 'unknown'})"
