"""The endpoints controller: which ready pods stand behind a Service."""

from sandbox.cluster.objects import Obj, condition, is_terminating, labels_of, name_of, namespace_of, thaw, uid_of
from sandbox.cluster.queue import WorkQueue
from sandbox.cluster.registry import Registry
from sandbox.cluster.resources import ENDPOINTS, PODS, SERVICES
from sandbox.cluster.selectors import matches
from sandbox.cluster.store import Change, Store


class EndpointsController:
    """Keeps one Endpoints object for each Service that has a selector."""

    def __init__(self, store: Store, registry: Registry, queue: WorkQueue) -> None:
        self._store = store
        self._registry = registry
        self._queue = queue

    def changed(self, change: Change) -> None:
        namespace = namespace_of(change.object)
        if change.resource is SERVICES:
            self._enqueue(namespace, name_of(change.object))
        elif change.resource is PODS:
            for service in self._store.all(SERVICES, namespace):
                wanted = service["spec"].get("selector") or {}
                if any(obj and matches(labels_of(obj), wanted) for obj in (change.object, change.previous)):
                    self._enqueue(namespace, name_of(service))

    def _enqueue(self, namespace: str, name: str) -> None:
        self._queue.add(("endpoints", namespace, name), lambda: self._reconcile(namespace, name))

    def _reconcile(self, namespace: str, name: str) -> None:
        service = self._store.get(SERVICES, namespace, name)
        current = self._store.get(ENDPOINTS, namespace, name)
        if service is None:
            if current is not None:
                self._store.remove(ENDPOINTS, namespace, name)
            return
        selector = service["spec"].get("selector")
        if not selector:
            return
        subsets = self._subsets(service, selector)
        if current is None:
            self._registry.create(ENDPOINTS, namespace, {"metadata": {"name": name}} | subsets)
        elif _significant(current.get("subsets")) != _significant(subsets.get("subsets")):
            bare = {key: value for key, value in current.items() if key != "subsets"}
            self._store.put(ENDPOINTS, thaw(bare) | subsets)

    def _subsets(self, service: Obj, selector: dict[str, str]) -> Obj:
        ready: list[Obj] = []
        unready: list[Obj] = []
        for pod in self._store.all(PODS, namespace_of(service)):
            ip = pod["status"].get("podIP")
            if ip and not is_terminating(pod) and matches(labels_of(pod), selector):
                (ready if condition(pod, "Ready") else unready).append(_address(pod, ip))
        if not ready and not unready:
            return {}
        subset: Obj = {"addresses": ready} if ready else {}
        subset |= {"notReadyAddresses": unready} if unready else {}
        ports = [
            {"name": port.get("name", ""), "port": port.get("targetPort", port["port"]), "protocol": "TCP"}
            for port in service["spec"]["ports"]
        ]
        return {"subsets": [subset | {"ports": ports}]}


def ready_addresses(endpoints: Obj | None) -> list[str]:
    """The IPs that an Endpoints object sends traffic to."""
    subsets = (endpoints or {}).get("subsets") or ()
    return [address["ip"] for subset in subsets for address in subset.get("addresses") or ()]


def _address(pod: Obj, ip: str) -> Obj:
    target = {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}
    target["resourceVersion"] = pod["metadata"]["resourceVersion"]
    return {"ip": ip, "nodeName": pod["spec"].get("nodeName", ""), "targetRef": target}


def _significant(subsets: list[Obj] | None) -> object:
    """Without the pods' resourceVersions, which alone are no reason to write."""
    bare = thaw(subsets or [])
    for subset in bare:
        for address in [*subset.get("addresses", ()), *subset.get("notReadyAddresses", ())]:
            del address["targetRef"]["resourceVersion"]
    return bare
