"""Who can connect to whom: DNS, Services and pods, as a function of the cluster's state.

The TCP listeners on loopback show the same (see `sandbox.listeners`), as far as a listener can.
"""

import random
from dataclasses import dataclass
from typing import Literal

from sandbox.cluster.endpoints import ready_addresses
from sandbox.cluster.faults import Faults
from sandbox.cluster.foundation import BBS_PORT, LOCKET_PORT, PING_PORT
from sandbox.cluster.kubelet import Kubelet, Running
from sandbox.cluster.locket import Locket
from sandbox.cluster.objects import Obj, name_of
from sandbox.cluster.programs import Dialled, Outcome
from sandbox.cluster.resources import ENDPOINTS, SERVICES
from sandbox.cluster.store import Store

Manner = Literal["accept", "ping-ok", "ping-failing", "mute", "blackhole"]

_OF_A_SERVICE: tuple[Manner, ...] = ("accept", "mute", "blackhole")
"""What a Service's address does where its endpoints differ: the first of these that one of them does."""


@dataclass(frozen=True, slots=True)
class Socket:
    """An address that something listens on."""

    address: str
    port: int


class Network:
    """Answers connection attempts. Nothing here changes the cluster."""

    def __init__(
        self, *, store: Store, kubelet: Kubelet, locket: Locket, faults: Faults, rng: random.Random, namespace: str
    ) -> None:
        self._store = store
        self._kubelet = kubelet
        self._locket = locket
        self._faults = faults
        self._rng = rng
        self._namespace = namespace

    def dial(self, source: str, host: str, port: int) -> Dialled:
        """What a connection from the pod named `source` comes to."""
        address = self._resolve(host)
        if isinstance(address, Outcome):
            return Dialled(address, host)
        blind = self._faults.blind.get(source)
        return Dialled(blind or self._connect(address, port), address)

    def _resolve(self, host: str) -> str | Outcome:
        if host.replace(".", "").isdigit():
            return host
        if self._faults.dns_down:
            return Outcome.DNS_DOWN
        name, _, rest = host.partition(".")
        if rest not in ("", *(f"{self._namespace}{suffix}" for suffix in ("", ".svc", ".svc.cluster.local"))):
            return Outcome.NO_NAME
        service = self._store.get(SERVICES, self._namespace, name)
        if service is None:
            return Outcome.NO_NAME
        records = self._records(service)
        if not records:
            return Outcome.NO_NAME
        return self._rng.choice(records) if _headless(service) else records[0]

    def names(self) -> dict[str, list[str]]:
        """The names that DNS has now, each with its addresses."""
        zone = f"{self._namespace}.svc.cluster.local"
        services = self._store.all(SERVICES, self._namespace)
        return {f"{name_of(each)}.{zone}": records for each in services if (records := self._records(each))}

    def _records(self, service: Obj) -> list[str]:
        """Its addresses in DNS: a headless one has those of its ready pods, and without any it has no name."""
        if _headless(service):
            return ready_addresses(self._store.get(ENDPOINTS, self._namespace, name_of(service)))
        return [str(service["spec"]["clusterIP"])]

    def _connect(self, address: str, port: int) -> Outcome:
        for service in self._store.all(SERVICES, self._namespace):
            if service["spec"]["clusterIP"] == address:
                backends = self._backends(service, port)
                if not backends:
                    return Outcome.REFUSED  # kube-proxy rejects where there is no endpoint
                address, port = self._rng.choice(backends)
                break
        pod = next((pod for pod in self._kubelet.pods if pod.ip == address), None)
        if pod is None or pod.phase != "running":
            return Outcome.TIMEOUT if pod is None else Outcome.REFUSED
        manner = self._manners(pod).get(port)
        return Outcome.TIMEOUT if manner == "blackhole" else Outcome.OPEN if manner else Outcome.REFUSED

    def _backends(self, service: Obj, port: int) -> list[tuple[str, int]]:
        ready = ready_addresses(self._store.get(ENDPOINTS, self._namespace, name_of(service)))
        ports = [item.get("targetPort", port) for item in service["spec"]["ports"] if item["port"] == port]
        return [(address, target) for target in ports for address in ready]

    def _manners(self, pod: Running) -> dict[int, Manner]:
        """What the pod's ports do."""
        if pod.phase != "running":
            return {}
        if pod.locket is not None:
            return {LOCKET_PORT: "accept"} if self._locket.answers(pod.uid) else {}
        if pod.bbs is None:
            return {}
        manners: dict[int, Manner] = {PING_PORT: "ping-failing" if self._faults.unhealthy else "ping-ok"}
        if self._faults.blackhole:
            manners[BBS_PORT] = "blackhole"
        elif self._locket.serves(pod.uid):
            manners[BBS_PORT] = "mute" if self._faults.mute else "accept"
        return manners

    def sockets(self) -> dict[Socket, Manner]:
        """Every address in the sandbox that does something else than refuse.

        A Service whose endpoints differ (a stale label beside a true one) refuses now and then in life; a listener
        cannot, so here it accepts while any of them does.
        """
        found: dict[Socket, Manner] = {}
        for pod in self._kubelet.pods:
            if pod.ip is not None:
                found |= {Socket(pod.ip, port): manner for port, manner in self._manners(pod).items()}
        for service in self._store.all(SERVICES, self._namespace):
            for item in service["spec"]["ports"]:
                backends = self._backends(service, item["port"])
                manners = {found.get(Socket(*backend)) for backend in backends} - {None}
                if not _headless(service) and manners:
                    first: Manner = next(each for each in _OF_A_SERVICE if each in manners)
                    found[Socket(service["spec"]["clusterIP"], item["port"])] = first
        return found


def _headless(service: Obj) -> bool:
    return bool(service["spec"]["clusterIP"] == "None")
