"""The conclusions: what a view of a foundation says. Pure functions, shared by the gauges, the runbook and `check`.

None always means unknown. Unknown is never zero, never success, and never a reason to delete a pod.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.foundation.view import CallResult, Component, FoundationView, Probe, ProbeResult, Reading
from exporter.kubernetes.objects import Pod

_REACHED = {ProbeResult.SUCCESS, ProbeResult.TLS, ProbeResult.RESET}
_NOT_REACHED = {ProbeResult.REFUSED, ProbeResult.TIMEOUT, ProbeResult.UNREACHABLE}

_NOT_ANSWERED = {CallResult.FAILED, CallResult.TIMEOUT, CallResult.CLOSED}


def proves(result: ProbeResult, *, no_ready_endpoint: bool) -> bool | None:
    """What a probe's result proves: reachable, unreachable, or (None) nothing.

    A failed look-up alone proves nothing. It does where the Service is known to exist and to have no ready endpoint,
    since a headless Service then has no DNS record (KubeCF).
    """
    if result in _REACHED:
        return True
    if result in _NOT_REACHED or (result is ProbeResult.DNS and no_ready_endpoint):
        return False
    return None


def read(before: Reading, probe: Probe, *, no_ready_endpoint: bool) -> Reading:
    """The reading after one more probe: a probe that proves nothing leaves the last known value as it was."""
    reachable = proves(probe.result, no_ready_endpoint=no_ready_endpoint)
    if reachable is None:
        return Reading(last=probe, reachable=before.reachable, known_at=before.known_at)
    return Reading(last=probe, reachable=reachable, known_at=probe.at)


def answered(result: CallResult) -> bool | None:
    """What a call's result proves: that the BBS answers, that it does not, or (None) nothing."""
    if result is CallResult.ANSWERED:
        return True
    return False if result in _NOT_ANSWERED else None


def read_call(before: Reading, probe: Probe, *, reachable: bool | None) -> Reading:
    """What is known of the BBS's answers after one more probe, which showed whether the BBS is `reachable` at all.

    A call that proves nothing, or was not made, leaves the last known value. Where nothing accepts a connection there
    is nobody to answer or not to: then it is unknown at once.
    """
    if reachable is False:
        return Reading()
    call = probe.call
    if call is None:
        return before
    known = answered(call.result)
    if known is None:
        return Reading(last=call, reachable=before.reachable, known_at=before.known_at)
    return Reading(last=call, reachable=known, known_at=call.at)


def no_ready_endpoint(view: FoundationView) -> bool:
    """Whether the Service is known to exist, and known to have no ready endpoint."""
    return (
        view.synced and view.service is not None and view.endpoints is not None and not view.endpoints.ready_addresses
    )


def components(view: FoundationView, names: Iterable[str]) -> tuple[Component, ...] | None:
    """The named StatefulSets with their pods; None while one of them was not read, or does not exist."""
    found = [view.components.get(name) for name in names]
    known = tuple(component for component in found if component is not None and component.statefulset is not None)
    return known if len(known) == len(found) else None


def pods_of(view: FoundationView, names: Iterable[str]) -> tuple[Pod, ...]:
    """The pods of the named StatefulSets, as far as they are known."""
    return tuple(pod for name in names if name in view.components for pod in view.components[name].pods)


def diego_api_pods(view: FoundationView, foundation: Foundation) -> tuple[Pod, ...]:
    return pods_of(view, foundation.diego_api.statefulset)


def leaders(view: FoundationView, foundation: Foundation) -> tuple[Pod, ...]:
    """The diego-api pods labelled active. A pod that is terminating keeps its label and does not count."""
    label = foundation.diego_api.active_label
    return tuple(
        pod for pod in diego_api_pods(view, foundation) if pod.has_label(label.key, label.value) and not pod.terminating
    )


def may_listen(pod: Pod) -> bool:
    """Whether the pod has an address of its own to connect to: a finished pod's may be another's by now."""
    return bool(pod.ip) and pod.status.phase == "Running"


def pod_serves(view: FoundationView, pod: Pod, *, now: float | None, staleness: float) -> bool | None:
    """Whether the pod accepts a connection on its own address: the ground truth of who leads.

    `now` is Unix time; None judges the view at its own time, where nothing of it is stale.
    """
    if not may_listen(pod):
        return False
    reading = view.pods.get(pod.uid, Reading())
    return reading.reachable if now is None else reading.value(now=now, staleness=staleness)


@dataclass(frozen=True, slots=True)
class Serving:
    """Who accepts: the pods known to, and those of which it is not known."""

    pods: tuple[Pod, ...]
    unknown: tuple[Pod, ...]

    @property
    def count(self) -> int | None:
        """None while one pod is unknown, unless two or more are known to serve: a split brain whatever it does."""
        return None if self.unknown and len(self.pods) < 2 else len(self.pods)


def serving(view: FoundationView, foundation: Foundation, *, now: float | None) -> Serving:
    """Which diego-api pods accept connections; for `now` see `pod_serves`."""
    pods = diego_api_pods(view, foundation)
    known = {pod.uid: pod_serves(view, pod, now=now, staleness=foundation.staleness) for pod in pods}
    return Serving(
        pods=tuple(pod for pod in pods if known[pod.uid]),
        unknown=tuple(pod for pod in pods if known[pod.uid] is None),
    )


def pods_needed(found: tuple[Component, ...], min_ready: int | None) -> int:
    """How many pods must be fully ready: `min_ready`, or all that are desired.

    In some old releases a passive diego-api pod is not ready by design, hence `min_ready` (SCF issue 1211).
    """
    desired = sum(component.desired for component in found)
    return desired if min_ready is None else min(min_ready, desired)


def api_ready(view: FoundationView, foundation: Foundation) -> bool | None:
    """Whether enough diego-api pods are fully ready; False where none are desired."""
    found = components(view, foundation.diego_api.statefulset)
    if found is None:
        return None
    ready = sum(len(component.ready) for component in found)
    needed = pods_needed(found, foundation.diego_api.min_ready)
    return needed > 0 and ready >= needed


def bbs_reachable(view: FoundationView, foundation: Foundation, *, now: float) -> bool | None:
    """Whether the BBS accepts connections, seen from this process."""
    return view.bbs.value(now=now, staleness=foundation.staleness)
