"""The guards: what forbids a restart although the BBS is proved unreachable. Pure, checked before every delete.

Each refusal is a case in which a restart would be a guess or would disturb somebody else's work: a person decides.
"""

from collections.abc import Collection
from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.foundation.assess import leaders, serving
from exporter.foundation.view import Component, FoundationView
from exporter.kubernetes.objects import Pod, StatefulSet
from webhook.record.reasons import RunReason

EXCLUDE_ANNOTATION = "diego-medic/exclude"
PAUSE_ANNOTATION = "diego-medic/pause"
"""Annotations of a StatefulSet. Their values say who wants it and why; `false` is as good as none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, and the sentence for a person."""

    reason: RunReason
    detail: str


def targets(view: FoundationView, foundation: Foundation) -> tuple[Component, ...]:
    """The StatefulSets to restart, in the configured order."""
    return tuple(view.components.get(name, Component(name, None)) for name in foundation.restart)


def to_delete(component: Component) -> tuple[Pod, ...]:
    """The pods to delete: all of them but those that are terminating already, which are only awaited."""
    return tuple(pod for pod in component.pods if not pod.terminating)


def refusal(view: FoundationView, foundation: Foundation) -> Refusal | None:
    """Before the first delete: the first guard that applies to any StatefulSet of the restart, or None."""
    for component in targets(view, foundation):
        tripped = _statefulset(component) or _nothing_to_do(component) or _rollout(component, to_delete(component))
        if tripped is not None:
            return tripped
    pods = [pod for component in targets(view, foundation) for pod in to_delete(component)]
    if len(pods) > foundation.remediation.max_pods:
        text = f"{len(pods)} pods would be deleted, max_pods is {foundation.remediation.max_pods}"
        return Refusal(RunReason.MAX_PODS, text)
    return leadership_refusal(view, foundation)


def refusal_for_pod(
    view: FoundationView, foundation: Foundation, *, statefulset: str, uid: str, listed: Collection[str]
) -> Refusal | None:
    """Before every delete, on a fresh view: the first guard that applies to this pod, or None.

    `listed` are the UIDs of the run's pods. Pods that this run has deleted are terminating or gone, which is no reason.
    """
    component = next((each for each in targets(view, foundation) if each.name == statefulset), None)
    if component is None:
        return Refusal(RunReason.NO_TARGET, f"the config does not restart StatefulSet {statefulset} any more")
    if len(listed) > foundation.remediation.max_pods:
        text = f"the run lists {len(listed)} pods, max_pods is {foundation.remediation.max_pods}"
        return Refusal(RunReason.MAX_PODS, text)
    pods = tuple(pod for pod in component.pods if pod.uid == uid)
    return _statefulset(component) or _rollout(component, pods) or leadership_refusal(view, foundation)


def _statefulset(component: Component) -> Refusal | None:
    statefulset, name = component.statefulset, component.name
    if statefulset is None:
        return Refusal(RunReason.NO_TARGET, f"StatefulSet {name} does not exist")
    if (text := _annotation(statefulset, PAUSE_ANNOTATION)) is not None:
        return Refusal(RunReason.PAUSED, f"StatefulSet {name} has the annotation {PAUSE_ANNOTATION}: {text}")
    if (text := _annotation(statefulset, EXCLUDE_ANNOTATION)) is not None:
        return Refusal(RunReason.EXCLUDED, f"StatefulSet {name} has the annotation {EXCLUDE_ANNOTATION}: {text}")
    if statefulset.spec.replicas == 0:
        return Refusal(RunReason.SCALED_DOWN, f"StatefulSet {name} is scaled to 0: somebody stopped it")
    return None


def _annotation(statefulset: StatefulSet, key: str) -> str | None:
    value = (statefulset.metadata.annotations or {}).get(key, "false")
    return None if value == "false" else value


def _nothing_to_do(component: Component) -> Refusal | None:
    if not component.pods:
        return Refusal(RunReason.NO_TARGET, f"StatefulSet {component.name} has no pods")
    if not to_delete(component):
        text = f"every pod of {component.name} is terminating already: somebody else restarts them"
        return Refusal(RunReason.ALREADY_TERMINATING, text)
    return None


def _rollout(component: Component, pods: Collection[Pod]) -> Refusal | None:
    """A restart must not deploy: the pods must come back from the revision that they have now."""
    statefulset = component.statefulset
    if statefulset is None:
        return None
    if statefulset.status.observed_generation != statefulset.metadata.generation:
        return Refusal(RunReason.ROLLOUT, f"StatefulSet {component.name} was changed, and its controller is not done")
    for pod in pods:
        revision = statefulset.next_revision(pod.ordinal)
        if pod.revision != revision:
            return Refusal(RunReason.ROLLOUT, f"{pod.name} has revision {pod.revision}; a restart deploys {revision}")
    return None


def leadership_refusal(view: FoundationView, foundation: Foundation) -> Refusal | None:
    """Listeners decide, labels are a hint: a pod that accepts on its own address serves, whatever its label says.

    The view is judged at its own time: a probe of it does not expire because another part of the view was slow.
    """
    accepting = serving(view, foundation, now=None)
    names = ", ".join(pod.name for pod in accepting.pods)
    if len(accepting.pods) > 1:
        return Refusal(RunReason.SPLIT_BRAIN, f"{names} accept connections: a person must decide which one is right")
    labelled = ", ".join(pod.name for pod in leaders(view, foundation))
    if accepting.unknown and len(leaders(view, foundation)) > 1:
        return Refusal(
            RunReason.SPLIT_BRAIN, f"{labelled} are labelled active, and it is unknown which accept connections"
        )
    if accepting.pods:
        detail = (
            f"{names} accepts connections on its own address, but the Cloud Controller does not reach it: "
            f"the label or the Service is wrong (labelled active: {labelled or 'none'})"
        )
        return Refusal(RunReason.BBS_SERVING, detail)
    return None
