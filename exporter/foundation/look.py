"""One fresh look at a foundation, all at once: for the runbook, and for whoever asks `check`.

The exporter keeps watching instead (`exporter.foundation.observer`); both fill the same `FoundationView`.
"""

import asyncio
from dataclasses import replace

from exporter.clock import Clock
from exporter.config.model import Foundation, HostPort
from exporter.config.names import component_names, is_address, service_name
from exporter.foundation import assess
from exporter.foundation.probe import Dialer, probe
from exporter.foundation.view import Component, FoundationView, Probe, Reading
from exporter.kubernetes.api import ENDPOINTS, PODS, SERVICES, STATEFULSETS, Kubernetes, NotFoundError
from exporter.kubernetes.objects import Endpoints, Service
from exporter.tasks import together


async def look(kubernetes: Kubernetes, foundation: Foundation, *, clock: Clock, dial: Dialer) -> FoundationView:
    """Reads what Kubernetes knows and probes what listens, at the same time; takes as long as the slowest of these.

    What was read is true of `synced_at` or later. Raises KubernetesError where any of it could not be read.
    """
    bbs = foundation.bbs
    began = clock.now()

    async def ask(host: str, port: int) -> Probe:
        return await probe(host, port, timeout=bbs.timeout, clock=clock, dial=dial)

    async def ask_pods(found: Component) -> dict[str, Reading]:
        wanted = found.name in foundation.diego_api.statefulset and foundation.diego_api.probe_pods
        pods = [pod for pod in found.pods if wanted and assess.may_listen(pod)]
        probes = await asyncio.gather(*(ask(pod.ip, bbs.port) for pod in pods))
        return {pod.uid: _first(answer) for pod, answer in zip(pods, probes, strict=True)}

    async def see_component(name: str) -> tuple[Component, dict[str, Reading]]:
        found = await _component(kubernetes, name)
        return found, await ask_pods(found)

    async def ask_evidence(place: HostPort | None) -> Reading:
        return Reading() if place is None else _first(await ask(place.host, place.port))

    async with together() as start:
        seen = [start(see_component(name)) for name in component_names(foundation)]
        routed = start(_service(kubernetes, foundation))
        asked = start(ask(bbs.host, bbs.port))
        database_asked = start(ask_evidence(foundation.database))
        locket_asked = start(ask_evidence(foundation.locket))
    service, endpoints = routed.result()
    pairs = [task.result() for task in seen]
    view = FoundationView(
        components={component.name: component for component, _ in pairs},
        service=service,
        endpoints=endpoints,
        synced=True,
        synced_at=began,
        pods={uid: reading for _, readings in pairs for uid, reading in readings.items()},
        database=database_asked.result(),
        locket=locket_asked.result(),
    )
    no_endpoint = assess.no_ready_endpoint(view)
    return replace(view, bbs=assess.read(Reading(), asked.result(), no_ready_endpoint=no_endpoint))


def _first(answer: Probe) -> Reading:
    return assess.read(Reading(), answer, no_ready_endpoint=False)


async def _component(kubernetes: Kubernetes, name: str) -> Component:
    try:
        statefulset = await kubernetes.get(STATEFULSETS, name)
    except NotFoundError:
        return Component(name, None)
    pods = await kubernetes.list(PODS, labels=str(statefulset.spec.selector))
    return Component.of(name, statefulset, pods.items)


async def _service(kubernetes: Kubernetes, foundation: Foundation) -> tuple[Service | None, Endpoints | None]:
    name = service_name(foundation)
    try:
        if is_address(foundation.bbs.host):
            services = (await kubernetes.list(SERVICES)).items
            service = next((each for each in services if each.spec.cluster_ip == foundation.bbs.host), None)
        else:
            service = await kubernetes.get(SERVICES, name) if name else None
    except NotFoundError:
        service = None
    if service is None:
        return None, None
    try:
        return service, await kubernetes.get(ENDPOINTS, service.metadata.name)
    except NotFoundError:
        return service, None
