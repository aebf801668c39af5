"""The cluster: a synchronous, deterministic state machine that time and requests are fed to.

It has no clock, no task and no socket. `advance_to` says what time it is and lets happen what was due; everything else
is a plain call. The same seed, the same times and the same calls give the same run, to the last UID. The HTTP server
drives it with real time (`sandbox.driver`); a simulation may drive it with a virtual clock, in-process.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.cluster import errors, programs
from sandbox.cluster.addresses import Addresses
from sandbox.cluster.endpoints import EndpointsController
from sandbox.cluster.faults import Faults
from sandbox.cluster.foundation import Foundation, Timing
from sandbox.cluster.kubelet import Kubelet, Running
from sandbox.cluster.locket import Locket
from sandbox.cluster.logs import ContainerLog
from sandbox.cluster.network import Network
from sandbox.cluster.objects import Obj
from sandbox.cluster.queue import WorkQueue
from sandbox.cluster.registry import Registry
from sandbox.cluster.resources import NAMESPACES, PODS, SERVICES, STORED, Resource
from sandbox.cluster.statefulset import StatefulSetController
from sandbox.cluster.store import Store
from sandbox.cluster.timers import Timers


class Cluster:
    """A Kubernetes of one node, with the stand-in foundation on it."""

    def __init__(
        self,
        *,
        now: float,
        seed: int = 0,
        foundation: Foundation | None = None,
        timing: Timing | None = None,
        addresses: Addresses | None = None,
        history: int = 1000,
    ) -> None:
        self.foundation = foundation or Foundation()
        self.addresses = addresses or Addresses()
        timing = timing or Timing()
        rng = random.Random(seed)  # noqa: S311 - a seed makes a run repeatable; no secret comes from it
        self.timers = Timers(now)
        self.store = Store(history=history)
        self.registry = Registry(self.store, self.timers, rng)
        self.faults = Faults()
        self.queue = WorkQueue(self.timers, delay=timing.controller)
        self.locket = Locket(self.timers, rng, own_pods=self.foundation.locket is not None, changed=self._tell)
        self.kubelet = Kubelet(
            store=self.store,
            registry=self.registry,
            queue=self.queue,
            timers=self.timers,
            rng=rng,
            locket=self.locket,
            faults=self.faults,
            timing=timing,
            label=self.foundation.active_label,
            addresses=self.addresses,
            changed=self._tell,
        )
        self.network = Network(
            store=self.store,
            kubelet=self.kubelet,
            locket=self.locket,
            faults=self.faults,
            rng=rng,
            namespace=self.foundation.namespace,
        )
        self._observers: list[Callable[[], None]] = []
        self.store.subscribe(self.kubelet.on_change)
        self.store.subscribe(StatefulSetController(self.store, self.registry, self.queue).changed)
        self.store.subscribe(EndpointsController(self.store, self.registry, self.queue).changed)
        self.store.subscribe(lambda _change: self._tell())
        self._lay_out()

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the last `advance_to`."""
        return self.timers.now

    @property
    def next_due(self) -> float | None:
        """When something will happen by itself; None for never."""
        return self.timers.next_due

    def advance_to(self, now: float) -> None:
        """Lets everything happen that is due until `now`, in order."""
        self.timers.advance_to(now)

    def subscribe(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Calls the observer whenever objects or what runs have changed; returns how to end that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def create(self, resource: Resource, namespace: str, body: Any) -> Obj:
        """Creates an object as the API server would; a Service gets its address. Raises StatusError."""
        body = self._with_address(body) if resource is SERVICES and isinstance(body, dict) else body
        return self.registry.create(resource, namespace, body)

    def forget_history(self) -> None:
        """Compacts the store: every watch from before gets 410, those that are open included."""
        self.store.compact()
        self._tell()

    def exec(self, namespace: str, pod: str, container: str, argv: Sequence[str]) -> programs.Result:
        """Runs a program in a container. Raises StatusError 400, 404 or 500."""
        running, _ = self._container(namespace, pod, container)
        if running.phase != "running":
            raise errors.internal(f'error upgrading connection: container not found ("{container}")')

        def dial(host: str, port: int) -> programs.Dialled:
            return self.network.dial(running.name, host, port)

        try:
            return programs.run(argv, programs.Container(dial, running.missing_programs))
        except (ValueError, IndexError):
            return programs.Result(1, stderr=f"{argv[0]}: bad arguments\n" if argv else "")

    def log(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> ContainerLog:
        """A container's log. Raises StatusError 400 or 404."""
        running, name = self._container(namespace, pod, container)
        log = running.logs[name]
        if previous and not log.has_previous:
            message = f'previous terminated container "{name}" in pod "{pod}" not found'
            raise errors.bad_request(message)
        return log

    def container_of(self, namespace: str, pod: str, container: str) -> str:
        """The container that a request means. Raises StatusError 400 or 404."""
        obj = self.registry.get(PODS, namespace, pod)
        names = [item["name"] for item in obj["spec"]["containers"]]
        if not container and len(names) > 1:
            choice = " ".join(names)
            raise errors.bad_request(f"a container name must be specified for pod {pod}, choose one of: [{choice}]")
        container = container or names[0]
        if container not in names:
            raise errors.bad_request(f"container {container} is not valid for pod {pod}")
        return container

    def _container(self, namespace: str, pod: str, container: str) -> tuple[Running, str]:
        container = self.container_of(namespace, pod, container)
        running = self.kubelet.find(namespace, pod)
        if running is None or running.phase == "scheduled":
            raise errors.bad_request(f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating')
        return running, container

    def _lay_out(self) -> None:
        namespace = self.foundation.namespace
        for name in dict.fromkeys(("default", "kube-system", namespace)):
            self.registry.create(NAMESPACES, "", {"metadata": {"name": name}})
        for manifest in self.foundation.manifests():
            resource = next(item for item in STORED if item.kind == manifest["kind"])
            self.create(resource, namespace, manifest)

    def _with_address(self, service: Obj) -> Obj:
        spec = service.get("spec") or {}
        address = spec.get("clusterIP") or self.addresses.service()
        return service | {"spec": spec | {"clusterIP": address}}

    def _tell(self) -> None:
        for observer in tuple(self._observers):
            observer()
