"""What is wrong with a foundation, each finding with its name and a sentence: pure, by the same rules as the gauges."""

from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.foundation.assess import (
    api_ready,
    bbs_reachable,
    diego_api_pods,
    leaders,
    may_listen,
    no_ready_endpoint,
    serving,
)
from exporter.foundation.view import Component, FoundationView
from exporter.kubernetes.objects import Pod


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    text: str


def findings(view: FoundationView, foundation: Foundation, *, now: float) -> tuple[Finding, ...]:
    """Everything that is not as it should be. `now` in seconds since the epoch."""
    return (
        *_missing(view, foundation),
        *_leadership(view, foundation, now=now),
        *_service(view, foundation, now=now),
        *_pods(view, foundation),
        *_evidence(view, foundation, now=now),
    )


def _missing(view: FoundationView, foundation: Foundation) -> list[Finding]:
    names = (*foundation.diego_api.statefulset, *foundation.cloud_controller.statefulset, *foundation.restart)
    return [
        Finding("no-statefulset", f"there is no StatefulSet {name} in namespace {foundation.namespace}")
        for name in dict.fromkeys(names)
        if view.components.get(name, Component(name, None)).statefulset is None
    ]


def _leadership(view: FoundationView, foundation: Foundation, *, now: float) -> list[Finding]:
    """Listeners are the truth, labels are hints: where they disagree, that is a finding of its own."""
    found = []
    label = str(foundation.diego_api.active_label)
    active = leaders(view, foundation)
    accepting = serving(view, foundation, now=now)
    accepts = {pod.uid for pod in accepting.pods}
    unknown = {pod.uid for pod in accepting.unknown}
    if not active:
        found.append(Finding("no-active-leader", f"no diego-api pod is labelled {label}"))
    if len(active) > 1:
        found.append(Finding("multiple-active-leaders", f"{_names(active)} are all labelled {label}"))
    if len(accepts) > 1:
        found.append(Finding("split-brain", f"{_names(accepting.pods)} all accept connections: a person must decide"))
    elif not accepts and not unknown and foundation.diego_api.probe_pods:
        found.append(Finding("nobody-serves", "no diego-api pod accepts connections on its own address"))
    known = [pod for pod in active if foundation.diego_api.probe_pods and pod.uid not in unknown]
    if stale := [pod for pod in known if pod.uid not in accepts]:
        found.append(Finding("label-stale", f"{_names(stale)} is labelled active and does not accept connections"))
    if unlabelled := [pod for pod in accepting.pods if pod not in active and not pod.terminating]:
        found.append(Finding("serving-unlabelled", f"{_names(unlabelled)} serves without the label {label}"))
    return found


def _service(view: FoundationView, foundation: Foundation, *, now: float) -> list[Finding]:
    if no_ready_endpoint(view) and view.service is not None:
        return [Finding("no-endpoint", f"Service {view.service.metadata.name} has no ready endpoint")]
    if bbs_reachable(view, foundation, now=now) is False and serving(view, foundation, now=now).pods:
        return [Finding("service-broken", "a BBS serves, but is not reached through its Service")]
    if view.answers.value(now=now, staleness=foundation.staleness) is False:
        return [Finding("bbs-not-answering", "the BBS accepts connections, but does not answer calls of its API")]
    return []


def _pods(view: FoundationView, foundation: Foundation) -> list[Finding]:
    found = []
    if api_ready(view, foundation) is False:
        unready = [pod for pod in diego_api_pods(view, foundation) if not pod.fully_ready]
        found.append(
            Finding("diego-api-not-ready", f"not fully ready: {_states(unready) or 'no diego-api pod exists'}")
        )
    for name in foundation.cloud_controller.statefulset:
        component = view.components.get(name, Component(name, None))
        if len(component.ready) < component.desired:
            unready = [pod for pod in component.pods if not pod.fully_ready]
            found.append(Finding("cloud-controller-not-ready", f"not fully ready: {_states(unready) or name}"))
    return found


def _evidence(view: FoundationView, foundation: Foundation, *, now: float) -> list[Finding]:
    asked = (
        ("database-unreachable", "Locket's database", foundation.database, view.database),
        ("locket-unreachable", "Locket", foundation.locket, view.locket),
    )
    return [
        Finding(name, f"{what} {place.host}:{place.port} does not accept connections: no BBS can lead")
        for name, what, place, reading in asked
        if place is not None and reading.value(now=now, staleness=foundation.staleness) is False
    ]


def state(pod: Pod) -> str:
    """A pod as kubectl shows it: `2/2 Running`, `1/2 Terminating`."""
    phase = "Terminating" if pod.terminating else pod.status.phase or "Unknown"
    return f"{pod.containers_ready}/{pod.containers} {phase}"


def listens(view: FoundationView, pod: Pod, foundation: Foundation, *, now: float) -> str:
    """Whether the pod accepts on its own address, in a word."""
    if not may_listen(pod):
        return "has no address"
    value = serving(view, foundation, now=now)
    if pod in value.unknown:
        return "unknown"
    return "accepts" if pod in value.pods else "does not accept"


def _names(pods: tuple[Pod, ...] | list[Pod]) -> str:
    return ", ".join(pod.name for pod in pods)


def _states(pods: list[Pod]) -> str:
    return ", ".join(f"{pod.name} {state(pod)}" for pod in pods)
