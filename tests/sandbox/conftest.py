"""A cluster in-process, under virtual time: no sockets, no waiting."""

from collections.abc import Sequence
from typing import Any

import pytest

from sandbox.cluster.cluster import Cluster
from sandbox.cluster.endpoints import ready_addresses
from sandbox.cluster.foundation import Foundation, Timing
from sandbox.cluster.objects import Obj, labels_of, name_of, uid_of
from sandbox.cluster.programs import Result
from sandbox.cluster.resources import ENDPOINTS, PODS, STATEFULSETS
from sandbox.cluster.switches import Switches

HOST = "diego-api.cf.svc.cluster.local"
START = 1_700_000_000.0


class Box:
    """A cluster that has settled, its switches, and a clock to turn."""

    def __init__(self, *, seed: int = 1, timing: Timing | None = None, history: int = 1000, **foundation: Any) -> None:
        self.cluster = Cluster(
            now=START, seed=seed, timing=timing, foundation=Foundation(**foundation), history=history
        )
        self.store = self.cluster.store
        self.registry = self.cluster.registry
        self._switches = Switches(self.cluster)
        self.after(60)

    def after(self, seconds: float) -> None:
        self.cluster.advance_to(self.cluster.now + seconds)

    def fault(self, name: str, argument: str = "") -> None:
        self._switches.apply(name, argument)

    def pods(self, component: str = "diego-api") -> list[Obj]:
        pods = self.store.all(PODS, "cf")
        return [pod for pod in pods if labels_of(pod)["app.kubernetes.io/component"] == component]

    def names(self) -> list[str]:
        return [name_of(pod) for pod in self.pods()]

    def uids(self) -> dict[str, str]:
        return {name_of(pod): uid_of(pod) for pod in self.pods()}

    def active(self) -> list[str]:
        return [name_of(pod) for pod in self.pods() if labels_of(pod).get("skiff-role-active") == "true"]

    def serving(self) -> list[str]:
        return [name_of(pod) for pod in self.pods() if self.cluster.locket.serves(uid_of(pod))]

    def endpoints(self) -> list[str]:
        return ready_addresses(self.store.get(ENDPOINTS, "cf", "diego-api"))

    def statefulset(self) -> Obj:
        return self.registry.get(STATEFULSETS, "cf", "diego-api")

    def patch(self, spec: Obj) -> None:
        """Changes the StatefulSet's spec."""
        kind = "application/merge-patch+json"
        self.registry.patch(STATEFULSETS, "cf", "diego-api", {"spec": spec}, content_type=kind)

    def delete(self, *names: str) -> None:
        for name in names:
            self.registry.delete(PODS, "cf", name)

    def exec(self, *argv: str, pod: str = "api-0") -> Result:
        return self.cluster.exec("cf", pod, "api", argv)

    def nc(self, host: str = HOST, *, pod: str = "api-0") -> Result:
        return self.exec(*self.nc_argv(host), pod=pod)

    @staticmethod
    def nc_argv(host: str) -> Sequence[str]:
        return ("env", "LC_ALL=C", "nc", "-zv", "-w", "5", host, "8889")


@pytest.fixture
def box() -> Box:
    return Box()
