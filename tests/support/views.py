"""Views of a foundation, as values: components, pods and readings, for tests of what is concluded from them."""

from dataclasses import replace
from typing import Any

import msgspec

from exporter.foundation.view import Component, FoundationView, Probe, ProbeResult, Reading
from exporter.kubernetes.objects import Endpoints, Pod, Service, StatefulSet
from tests.support.foundations import endpoints, pod

NOW = 1_000_000.0
REVISION = "rev-1"


def reading(reachable: bool | None) -> Reading:
    """Of a pod's own address: it accepts, it refuses, or (None) that could not be found out."""
    result = {True: ProbeResult.SUCCESS, False: ProbeResult.REFUSED, None: ProbeResult.ERROR}[reachable]
    return Reading(last=Probe(result, at=NOW), reachable=reachable, known_at=NOW)


def a_pod(
    owner: str,
    ordinal: int,
    *,
    revision: str = REVISION,
    annotations: dict[str, str] | None = None,
    containers: list[str] | None = None,
    grace: int | None = 600,
    deletion_grace: int | None = None,
    node: str = "node-1",
    waiting: str = "",
    conditions: list[dict[str, str]] | None = None,
    **changes: Any,
) -> Pod:
    """A pod as `tests.support.foundations.pod` makes it, with more of what a runbook looks at.

    `waiting` is the kubelet's reason for the first container that is not ready.
    """
    names = containers or [owner, "loggregator-agent"]
    ready = changes.pop("ready", len(names))
    body = pod(owner, ordinal, containers=len(names), ready=ready, **changes)
    body["metadata"]["labels"]["controller-revision-hash"] = revision
    body["metadata"]["annotations"] = annotations
    body["metadata"]["deletionGracePeriodSeconds"] = deletion_grace
    body["spec"] = {
        "containers": [{"name": name} for name in names],
        "nodeName": node,
        "terminationGracePeriodSeconds": grace,
    }
    for number, name in enumerate(names):
        status = body["status"]["containerStatuses"][number]
        status["name"] = name
        if number == ready and waiting:
            status["state"] = {"waiting": {"reason": waiting}}
    body["status"]["conditions"] = conditions
    return msgspec.convert(body, Pod)


def component(
    name: str,
    *pods: Pod,
    replicas: int = 2,
    annotations: dict[str, str] | None = None,
    policy: str = "Parallel",
    strategy: str = "RollingUpdate",
    partition: int | None = None,
    update: str = REVISION,
    observed: int = 3,
    first: int | None = None,
) -> Component:
    """A StatefulSet of generation 3 and revision `REVISION`, and its pods. `first` is the first pod's ordinal."""
    body: dict[str, Any] = {
        "metadata": {"name": name, "uid": f"{name}-uid", "generation": 3, "annotations": annotations},
        "spec": {
            "replicas": replicas,
            "podManagementPolicy": policy,
            "updateStrategy": {"type": strategy}
            | ({} if partition is None else {"rollingUpdate": {"partition": partition}}),
        },
        "status": {"observedGeneration": observed, "currentRevision": REVISION, "updateRevision": update},
    }
    if first is not None:
        body["spec"]["ordinals"] = {"start": first}
    return Component.of(name, msgspec.convert(body, StatefulSet), pods)


API = component("api", a_pod("api", 0, ip="10.0.1.1"), a_pod("api", 1, ip="10.0.1.2"))


def view(*components: Component, ready_endpoints: tuple[str, ...] = (), **serves: bool | None) -> FoundationView:
    """A view with these components, the api pods, and the Service.

    Who accepts is given by pod: `diego_api_0=True`; None: unknown. A pod that is not named does not.
    """
    found = {each.name: each for each in (API, *components)}
    pods = [pod for each in found.values() for pod in each.pods]
    accepts = {pod.uid: serves.get(pod.name.replace("-", "_"), False) for pod in pods}
    return FoundationView(
        components=found,
        service=msgspec.convert({"metadata": {"name": "diego-api"}}, Service),
        endpoints=msgspec.convert(endpoints(*ready_endpoints), Endpoints),
        synced=True,
        synced_at=NOW,
        pods={uid: reading(accepted) for uid, accepted in accepts.items()},
    )


def without(before: FoundationView, *names: str) -> FoundationView:
    """The view in which these StatefulSets are known not to exist."""
    gone = {name: Component(name, None) for name in names}
    return replace(before, components={**before.components, **gone})
