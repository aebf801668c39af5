"""What a view of a foundation says, as metrics: a name, a help text and a pure function for each.

Names and meanings are those of docs/metrics.md. A function that yields nothing says: unknown. An unknown is never 0.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.config.model import Foundation
from exporter.foundation import assess
from exporter.foundation.view import Component, FoundationView
from exporter.kubernetes.objects import Pod

Samples = Iterable[tuple[tuple[str, ...], float]]
"""The values of the labels after `foundation`, and the value."""


@dataclass(frozen=True, slots=True)
class Look:
    """A view, whose it is, and the moment (seconds since the epoch) at which somebody looks at it."""

    foundation: Foundation
    view: FoundationView
    now: float

    @property
    def fresh(self) -> bool:
        """Whether what Kubernetes said still counts: it stands for `staleness` after it was last known to be true."""
        synced_at = self.view.synced_at
        return synced_at is not None and self.now - synced_at <= self.foundation.staleness

    @property
    def diego_api(self) -> tuple[Component, ...] | None:
        return assess.components(self.view, self.foundation.diego_api.statefulset) if self.fresh else None

    @property
    def cloud_controller(self) -> tuple[Component, ...] | None:
        return assess.components(self.view, self.foundation.cloud_controller.statefulset) if self.fresh else None

    @property
    def pods(self) -> tuple[Pod, ...]:
        return tuple(pod for component in self.diego_api or () for pod in component.pods)

    def serves(self, pod: Pod) -> bool | None:
        if not self.foundation.diego_api.probe_pods:
            return None
        return assess.pod_serves(self.view, pod, now=self.now, staleness=self.foundation.staleness)


@dataclass(frozen=True, slots=True)
class Shown:
    """One metric of a foundation."""

    name: str
    help: str
    samples: Callable[[Look], Samples]
    labels: tuple[str, ...] = ()
    kind: str = "gauge"


def expired(look: Look) -> int:
    """How many parts of a view are no longer shown because of their age: what is shown changes when this does."""
    view, staleness = look.view, look.foundation.staleness
    ages = [reading.known_at for reading in (view.bbs, view.database, *view.pods.values())]
    return sum(look.now - known_at > staleness for known_at in ages) + (not look.fresh)


def _one(value: float | None, *labels: str) -> Samples:
    return () if value is None else ((labels, float(value)),)


def _each_pod(function: Callable[[Look, Pod], float | None]) -> Callable[[Look], Samples]:
    def samples(look: Look) -> Samples:
        for pod in look.pods:
            yield from _one(function(look, pod), pod.name)

    return samples


def _count(
    components: Callable[[Look], tuple[Component, ...] | None], count: Callable[[Component], int]
) -> Callable[[Look], Samples]:
    def samples(look: Look) -> Samples:
        found = components(look)
        return _one(None if found is None else sum(count(component) for component in found))

    return samples


def _last_probe(look: Look) -> Samples:
    return _one(look.view.bbs.last.at if look.view.bbs.last else None, "exporter")


def _serving(look: Look) -> Samples:
    if look.diego_api is None or not look.foundation.diego_api.probe_pods:
        return ()
    return _one(assess.serving(look.view, look.foundation, now=look.now).count)


def _api_ready(look: Look) -> Samples:
    return _one(assess.api_ready(look.view, look.foundation) if look.fresh else None)


def _active(look: Look, pod: Pod) -> bool:
    return pod in assess.leaders(look.view, look.foundation)


def _database(look: Look) -> Samples:
    return _one(look.view.database.value(now=look.now, staleness=look.foundation.staleness))


SHOWN = (
    Shown(
        "diego_foundation_info",
        "A foundation under observation, and how it is configured; always 1.",
        lambda look: _one(1, look.foundation.profile, look.foundation.namespace),
        labels=("profile", "namespace"),
    ),
    Shown(
        "diego_bbs_tcp_reachable",
        "Whether the BBS accepts TCP connections at its address (1) or provably does not (0).",
        lambda look: _one(assess.bbs_reachable(look.view, look.foundation, now=look.now), "exporter"),
        labels=("vantage",),
    ),
    Shown(
        "diego_bbs_last_probe_timestamp_seconds",
        "When the last probe of the BBS ended, whatever its result.",
        _last_probe,
        labels=("vantage",),
    ),
    Shown(
        "diego_bbs_active_leaders",
        "The diego-api pods that are labelled active and not terminating.",
        lambda look: _one(None if look.diego_api is None else len(assess.leaders(look.view, look.foundation))),
    ),
    Shown(
        "diego_bbs_serving_pods",
        "The diego-api pods that accept connections on their own address.",
        _serving,
    ),
    Shown(
        "diego_api_ready",
        "Whether at least min_ready diego-api pods (default: all desired ones) are fully ready.",
        _api_ready,
    ),
    Shown(
        "diego_api_pods_desired",
        "The diego-api pods that are asked for.",
        _count(lambda look: look.diego_api, lambda component: component.desired),
    ),
    Shown(
        "diego_api_pods_ready",
        "The diego-api pods that run with every container ready and are not terminating.",
        _count(lambda look: look.diego_api, lambda component: len(component.ready)),
    ),
    Shown(
        "diego_api_pods_terminating",
        "The diego-api pods that are on their way out.",
        _count(lambda look: look.diego_api, lambda component: sum(pod.terminating for pod in component.pods)),
    ),
    Shown(
        "diego_api_pod_ready",
        "Whether the pod runs with every container ready and is not terminating.",
        _each_pod(lambda _look, pod: pod.fully_ready),
        labels=("pod",),
    ),
    Shown(
        "diego_api_pod_active",
        "Whether the pod is labelled active and not terminating.",
        _each_pod(_active),
        labels=("pod",),
    ),
    Shown(
        "diego_api_pod_serving",
        "Whether the pod accepts connections on its own address.",
        _each_pod(Look.serves),
        labels=("pod",),
    ),
    Shown(
        "diego_api_pod_containers",
        "The containers that the pod asks for.",
        _each_pod(lambda _look, pod: pod.containers),
        labels=("pod",),
    ),
    Shown(
        "diego_api_pod_containers_ready",
        "The containers of the pod that are ready.",
        _each_pod(lambda _look, pod: pod.containers_ready),
        labels=("pod",),
    ),
    Shown(
        "diego_api_pod_container_restarts_total",
        "How often containers of the pod were restarted.",
        _each_pod(lambda _look, pod: pod.restarts),
        labels=("pod",),
        kind="counter",
    ),
    Shown(
        "diego_cloud_controller_pods_desired",
        "The Cloud Controller's pods that are asked for.",
        _count(lambda look: look.cloud_controller, lambda component: component.desired),
    ),
    Shown(
        "diego_cloud_controller_pods_ready",
        "The Cloud Controller's pods that run with every container ready and are not terminating.",
        _count(lambda look: look.cloud_controller, lambda component: len(component.ready)),
    ),
    Shown(
        "diego_database_tcp_reachable",
        "Whether Locket's database accepts TCP connections (1) or provably does not (0).",
        _database,
    ),
    Shown(
        "diego_kubernetes_synced",
        "Whether every watch of the foundation is in sync: 0 from the first loss until all are again.",
        lambda look: _one(look.view.synced),
    ),
    Shown(
        "diego_kubernetes_last_sync_timestamp_seconds",
        "The moment up to which what is known of the foundation's Kubernetes objects is known to be true.",
        lambda look: _one(look.view.synced_at),
    ),
)
"""In the order of docs/metrics.md."""
