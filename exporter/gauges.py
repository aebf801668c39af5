"""The gauges of a foundation: for each a name, a help text and a pure function of the view.

Names and meanings are those of docs/metrics.md. A function that yields no sample means unknown. Unknown is never 0.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from exporter.config.model import Foundation
from exporter.foundation import assess
from exporter.foundation.view import Component, FoundationView, Reading
from exporter.kubernetes.objects import Pod

Samples = Iterable[tuple[tuple[str, ...], float]]
"""The values of the labels after `foundation`, and the value."""


@dataclass(frozen=True)  # without slots, for what is concluded once and asked by many gauges
class ViewAt:
    """A view of a foundation, and the Unix time at which it is read."""

    foundation: Foundation
    view: FoundationView
    now: float

    @cached_property
    def fresh(self) -> bool:
        """Whether the Kubernetes part of the view is at most `staleness` old. If not, all gauges of pods are absent."""
        synced_at = self.view.synced_at
        return synced_at is not None and self.now - synced_at <= self.foundation.staleness

    @cached_property
    def diego_api(self) -> tuple[Component, ...] | None:
        return assess.components(self.view, self.foundation.diego_api.statefulset) if self.fresh else None

    @cached_property
    def cloud_controller(self) -> tuple[Component, ...] | None:
        return assess.components(self.view, self.foundation.cloud_controller.statefulset) if self.fresh else None

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        return tuple(pod for component in self.diego_api or () for pod in component.pods)

    @cached_property
    def leaders(self) -> tuple[Pod, ...]:
        return assess.leaders(self.view, self.foundation)

    @cached_property
    def serving(self) -> assess.Serving:
        return assess.serving(self.view, self.foundation, now=self.now)

    def serves(self, pod: Pod) -> bool | None:
        if not self.foundation.diego_api.probe_pods:
            return None
        return assess.pod_serves(self.view, pod, now=self.now, staleness=self.foundation.staleness)


_KNOWN = {reachable: Reading(reachable=reachable) for reachable in (True, False, None)}


@dataclass(frozen=True, slots=True)
class Gauge:
    """One metric of a foundation. No samples: the value is unknown, and the series absent."""

    name: str
    help: str
    samples: Callable[[ViewAt], Samples]
    labels: tuple[str, ...] = ()
    """Those after `foundation`, in alphabetical order."""
    kind: str = "gauge"
    absent: str = ""
    """When its series is absent, for docs/metrics.md."""
    shows_time: bool = False
    """Whether a value is a time. All others are computed from `still`, and only when that changes."""


def still(at: ViewAt) -> ViewAt:
    """The view without its times, in which what has expired is unknown: the same for as long as the same is known."""
    view, now, staleness = at.view, at.now, at.foundation.staleness
    known = FoundationView(
        components=view.components,
        synced=view.synced,
        synced_at=0.0 if at.fresh else None,
        bbs=_KNOWN[view.bbs.value(now=now, staleness=staleness)],
        answers=_KNOWN[view.answers.value(now=now, staleness=staleness)],
        pods={uid: _KNOWN[each.value(now=now, staleness=staleness)] for uid, each in view.pods.items()},
        database=_KNOWN[view.database.value(now=now, staleness=staleness)],
        locket=_KNOWN[view.locket.value(now=now, staleness=staleness)],
    )
    return ViewAt(at.foundation, known, 0.0)


def expires(at: ViewAt) -> float:
    """The Unix time at which, without any news, something that the view shows now is older than `staleness`."""
    view, limit = at.view, at.foundation.staleness
    moments = [
        reading.known_at for reading in (view.bbs, view.answers, view.database, view.locket, *view.pods.values())
    ]
    moments.append(view.synced_at or 0.0)
    return min((moment + limit for moment in moments if at.now - moment <= limit), default=math.inf)


def _one(value: float | None, *labels: str) -> Samples:
    return () if value is None else ((labels, float(value)),)


def _each_pod(function: Callable[[ViewAt, Pod], float | None]) -> Callable[[ViewAt], Samples]:
    def samples(at: ViewAt) -> Samples:
        for pod in at.pods:
            yield from _one(function(at, pod), pod.name)

    return samples


def _count(
    components: Callable[[ViewAt], tuple[Component, ...] | None], count: Callable[[Component], int]
) -> Callable[[ViewAt], Samples]:
    def samples(at: ViewAt) -> Samples:
        found = components(at)
        return _one(None if found is None else sum(count(component) for component in found))

    return samples


def _last_probe(at: ViewAt) -> Samples:
    return _one(at.view.bbs.last.at if at.view.bbs.last else None, "exporter")


def _serving(at: ViewAt) -> Samples:
    if at.diego_api is None or not at.foundation.diego_api.probe_pods:
        return ()
    return _one(at.serving.count)


def _api_ready(at: ViewAt) -> Samples:
    return _one(assess.api_ready(at.view, at.foundation) if at.fresh else None)


def _active(at: ViewAt, pod: Pod) -> bool:
    return any(leader.uid == pod.uid for leader in at.leaders)


def _known(reading: Callable[[FoundationView], Reading], *labels: str) -> Callable[[ViewAt], Samples]:
    return lambda at: _one(reading(at.view).value(now=at.now, staleness=at.foundation.staleness), *labels)


_OLD, _UNSEEN = "without a conclusive probe for `staleness`", "while a StatefulSet is unknown, or the view is old"
_NO_POD = f"{_UNSEEN}; gone with the pod"

GAUGES = (
    Gauge(
        "diego_foundation_info",
        "Information about a configured foundation. Always 1.",
        lambda at: _one(1, at.foundation.namespace, at.foundation.profile),
        labels=("namespace", "profile"),
        absent="never",
    ),
    Gauge(
        "diego_bbs_tcp_reachable",
        "Whether the BBS accepts TCP connections at its address (1) or is proved not to (0).",
        lambda at: _one(assess.bbs_reachable(at.view, at.foundation, now=at.now), "exporter"),
        labels=("vantage",),
        absent=_OLD,
    ),
    Gauge(
        "diego_bbs_last_probe_timestamp_seconds",
        "Unix time at which the last probe of the BBS finished, whatever its result.",
        _last_probe,
        labels=("vantage",),
        shows_time=True,
        absent="before the first probe",
    ),
    Gauge(
        "diego_bbs_answers",
        "Whether the BBS answers a call that reads its database (1) or accepts the connection and does not answer (0).",
        _known(lambda view: view.answers, "exporter"),
        labels=("vantage",),
        absent=f"{_OLD}; while nothing accepts; if `bbs.tls` is not configured",
    ),
    Gauge(
        "diego_bbs_active_leaders",
        "Number of diego-api pods that carry the active label and are not terminating.",
        lambda at: _one(None if at.diego_api is None else len(at.leaders)),
        absent=_UNSEEN,
    ),
    Gauge(
        "diego_bbs_serving_pods",
        "Number of diego-api pods that accept TCP connections at their own address.",
        _serving,
        absent="while a pod is unknown, unless two or more are known to serve; if `probe_pods` is false",
    ),
    Gauge(
        "diego_api_ready",
        "Whether at least min_ready diego-api pods (default: all desired) are fully ready (1) or not (0).",
        _api_ready,
        absent=_UNSEEN,
    ),
    Gauge(
        "diego_api_pods_desired",
        "Number of desired diego-api pods (the replicas of their StatefulSets).",
        _count(lambda at: at.diego_api, lambda component: component.desired),
        absent=_UNSEEN,
    ),
    Gauge(
        "diego_api_pods_ready",
        "Number of diego-api pods that are running, have every container ready and are not terminating.",
        _count(lambda at: at.diego_api, lambda component: len(component.ready)),
        absent=_UNSEEN,
    ),
    Gauge(
        "diego_api_pods_terminating",
        "Number of diego-api pods that are terminating.",
        _count(lambda at: at.diego_api, lambda component: sum(pod.terminating for pod in component.pods)),
        absent=_UNSEEN,
    ),
    Gauge(
        "diego_api_pod_ready",
        "Whether the pod is running, has every container ready and is not terminating (1) or not (0).",
        _each_pod(lambda _at, pod: pod.fully_ready),
        labels=("pod",),
        absent=_NO_POD,
    ),
    Gauge(
        "diego_api_pod_active",
        "Whether the pod carries the active label and is not terminating (1) or not (0).",
        _each_pod(_active),
        labels=("pod",),
        absent=_NO_POD,
    ),
    Gauge(
        "diego_api_pod_serving",
        "Whether the pod accepts TCP connections at its own address (1) or not (0).",
        _each_pod(ViewAt.serves),
        labels=("pod",),
        absent="without a conclusive probe of the pod for `staleness`; if `probe_pods` is false; gone with the pod",
    ),
    Gauge(
        "diego_api_pod_containers",
        "Number of containers in the pod spec.",
        _each_pod(lambda _at, pod: pod.containers),
        labels=("pod",),
        absent=_NO_POD,
    ),
    Gauge(
        "diego_api_pod_containers_ready",
        "Number of ready containers of the pod.",
        _each_pod(lambda _at, pod: pod.containers_ready),
        labels=("pod",),
        absent=_NO_POD,
    ),
    Gauge(
        "diego_api_pod_container_restarts_total",
        "Number of restarts of the pod's containers.",
        _each_pod(lambda _at, pod: pod.restarts),
        labels=("pod",),
        kind="counter",
        absent=_NO_POD,
    ),
    Gauge(
        "diego_cloud_controller_pods_desired",
        "Number of desired Cloud Controller pods (the replicas of their StatefulSets).",
        _count(lambda at: at.cloud_controller, lambda component: component.desired),
        absent=_UNSEEN,
    ),
    Gauge(
        "diego_cloud_controller_pods_ready",
        "Number of Cloud Controller pods that are running, have every container ready and are not terminating.",
        _count(lambda at: at.cloud_controller, lambda component: len(component.ready)),
        absent=_UNSEEN,
    ),
    Gauge(
        "diego_database_tcp_reachable",
        "Whether Locket's database accepts TCP connections (1) or is proved not to (0).",
        _known(lambda view: view.database),
        absent=f"{_OLD}; if `database` is not configured",
    ),
    Gauge(
        "diego_locket_tcp_reachable",
        "Whether Locket accepts TCP connections (1) or is proved not to (0).",
        _known(lambda view: view.locket),
        absent=f"{_OLD}; if `locket` is not configured",
    ),
    Gauge(
        "diego_kubernetes_synced",
        "Whether all watches of the foundation's Kubernetes objects are in sync (1) or not (0).",
        lambda at: _one(at.view.synced and at.fresh),  # never 1 while the values are absent because they are old
        absent="never",
    ),
    Gauge(
        "diego_kubernetes_last_sync_timestamp_seconds",
        "Unix time at which the view of the foundation's Kubernetes objects was last confirmed current.",
        lambda at: _one(at.view.synced_at),
        shows_time=True,
        absent="before the first sync",
    ),
)
"""In the order of docs/metrics.md."""
