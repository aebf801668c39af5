"""Step 6 of the document, as a pure function: what the restarted pods still lack, in the words of the contract."""

from collections.abc import Collection, Mapping, Sequence

from exporter.config.model import Foundation
from exporter.foundation.assess import leaders, pods_needed
from exporter.foundation.view import Component, FoundationView
from exporter.kubernetes.objects import Pod
from webhook.record.journal import PodRecord

MARGIN = 300.0
"""Seconds beyond the grace period for a pod to be created, pulled, started and ready: the contract's 5 minutes."""


def lacking(
    components: Mapping[str, Component], entry: str, *, gone: Collection[str], foundation: Foundation, final: bool
) -> str:
    """What `entry` (a StatefulSet) still lacks after its restart; empty: nothing, the wait is over.

    `gone` are the UIDs that were to go. With `final` exactly one diego-api pod must be marked active as well.
    """
    component = components.get(entry)
    if component is None or component.statefulset is None:
        return f"not-created {entry}-0 (StatefulSet {entry} is missing)"
    for pod in component.pods:
        if pod.terminating or pod.uid in gone:
            return f"still-terminating {pod.name} (grace {_grace(pod)}, node {pod.spec.node_name or 'none'})"
    created = {pod.name for pod in component.pods}
    for ordinal in range(component.desired):
        name = f"{entry}-{ordinal}"
        if name not in created:
            return f"not-created {name}" + _waits_for(component)
    if len(component.ready) < _needed(components, entry, foundation):
        unready = next(pod for pod in component.pods if not pod.fully_ready)
        return f"not-ready {unready.name} {_unready_container(unready)}"
    return _leadership(components, foundation) if final else ""


def await_timeout(pods: Sequence[PodRecord], *, one_after_another: bool, configured: float | None) -> float:
    """Seconds that the pods of one StatefulSet are given: to end, and to come back.

    fissile gives its pods 600 s, so a hung BBS may take ten minutes to go; and where one pod is started after another,
    each may need as long.
    """
    if configured is not None:
        return configured
    longest = max((pod.grace for pod in pods), default=30)
    return (longest + MARGIN) * (max(1, len(pods)) if one_after_another else 1)


def _needed(components: Mapping[str, Component], entry: str, foundation: Foundation) -> int:
    """How many of the entry's pods must be ready: all, less those that `min_ready` allows to be missing."""
    desired = components[entry].desired
    names = foundation.diego_api.statefulset
    if entry not in names:
        return desired
    found = tuple(components[name] for name in names if name in components)
    allowed = sum(component.desired for component in found) - pods_needed(found, foundation.diego_api.min_ready)
    return max(0, desired - allowed)


def _leadership(components: Mapping[str, Component], foundation: Foundation) -> str:
    active = leaders(FoundationView(components=components), foundation)
    if not active:
        return "no-active-label"
    return "multiple-active" if len(active) > 1 else ""


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
