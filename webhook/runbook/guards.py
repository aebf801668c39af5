"""The guards: what forbids a restart although the BBS is proved unreachable. Pure, checked before the first delete.

Each refusal is a case where a restart would be a guess, or somebody else's work: a person decides.
"""

from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.foundation.assess import leaders, serving
from exporter.foundation.view import Component, FoundationView
from exporter.kubernetes.objects import Pod

EXCLUDE_ANNOTATION = "diego-medic/exclude"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: the reason's name, and the sentence for a person."""

    reason: str
    detail: str


def targets(view: FoundationView, foundation: Foundation) -> tuple[Component, ...]:
    """The StatefulSets to restart, in the configured order."""
    return tuple(view.components.get(name, Component(name, None)) for name in foundation.restart)


def to_delete(component: Component) -> tuple[Pod, ...]:
    """The pods that are to go: all of them but those already on their way, which are only awaited."""
    return tuple(pod for pod in component.pods if not pod.terminating)


def refusal(view: FoundationView, foundation: Foundation, *, now: float) -> Refusal | None:
    """The first guard that trips, or None: the restart may go on. `now` in seconds since the epoch."""
    for component in targets(view, foundation):
        if (tripped := _target(component)) is not None:
            return tripped
    doomed = [pod for component in targets(view, foundation) for pod in to_delete(component)]
    if len(doomed) > foundation.remediation.max_pods:
        return Refusal("max-pods", f"{len(doomed)} pods would go, max_pods is {foundation.remediation.max_pods}")
    return leadership_refusal(view, foundation, now=now)


def _target(component: Component) -> Refusal | None:
    statefulset = component.statefulset
    name = component.name
    if statefulset is None:
        return Refusal("no-target", f"there is no StatefulSet {name}")
    if statefulset.spec.replicas == 0:
        return Refusal("scaled-down", f"StatefulSet {name} is scaled to 0: somebody wants it down")
    if (statefulset.metadata.annotations or {}).get(EXCLUDE_ANNOTATION, "false") != "false":
        return Refusal("excluded", f"StatefulSet {name} carries the annotation {EXCLUDE_ANNOTATION}")
    if not component.pods:
        return Refusal("no-target", f"StatefulSet {name} has no pods")
    if not to_delete(component):
        return Refusal("already-terminating", f"every pod of {name} is terminating already: somebody restarts it")
    if statefulset.status.observed_generation != statefulset.metadata.generation:
        return Refusal("rollout", f"StatefulSet {name} was changed and its controller has not yet taken it up")
    for pod in to_delete(component):
        revision = statefulset.next_revision(pod.ordinal)
        if pod.revision != revision:
            detail = f"{pod.name} is of revision {pod.revision}; a restart would deploy {revision}"
            return Refusal("rollout", detail)
    return None


def leadership_refusal(view: FoundationView, foundation: Foundation, *, now: float) -> Refusal | None:
    """Listeners decide, labels hint: who accepts on its own address serves, whatever its label says."""
    accepting = serving(view, foundation, now=now)
    names = ", ".join(pod.name for pod in accepting.pods)
    if len(accepting.pods) > 1:
        return Refusal("split-brain", f"{names} accept connections: which one is right, a person must say")
    labelled = ", ".join(pod.name for pod in leaders(view, foundation))
    if accepting.unknown and len(leaders(view, foundation)) > 1:
        return Refusal("split-brain", f"{labelled} are labelled active, and who accepts is not known")
    if accepting.pods:
        detail = (
            f"{names} accepts connections on its own address, but the Cloud Controller does not reach it: "
            f"the label or the Service is wrong (labelled active: {labelled or 'nobody'})"
        )
        return Refusal("bbs-serving", detail)
    return None
