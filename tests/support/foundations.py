"""A small foundation on a shelf, and dialers that know who listens."""

import asyncio
from typing import Any

from exporter.config.check import validated
from exporter.config.model import Foundation
from exporter.foundation.view import ProbeResult
from tests.support.inprocess import InProcessWriter, Shelf

BBS = "diego-api.cf.svc.cluster.local"


def foundation(**changes: Any) -> Foundation:
    """The defaults of cfee-2, with changes."""
    return validated(Foundation, {"name": "cf", **changes})


def statefulset(name: str, *, uid: str = "", replicas: int = 2, app: str = "", generation: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": uid or f"{name}-uid", "generation": generation},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": app or name}}},
    }


def pod(
    owner: str,
    ordinal: int,
    *,
    uid: str = "",
    owner_uid: str = "",
    app: str = "",
    active: str | None = None,
    ready: int = 2,
    containers: int = 2,
    restarts: int = 0,
    terminating: bool = False,
    ip: str | None = None,
    phase: str = "Running",
) -> dict[str, Any]:
    """A pod of a StatefulSet, with `ready` of its containers ready."""
    name = f"{owner}-{ordinal}"
    metadata: dict[str, Any] = {
        "name": name,
        "uid": uid or f"{name}-uid",
        "labels": {"app": app or owner} | ({} if active is None else {"skiff-role-active": active}),
        "ownerReferences": [
            {"uid": owner_uid or f"{owner}-uid", "kind": "StatefulSet", "name": owner, "controller": True}
        ],
    }
    if terminating:
        metadata["deletionTimestamp"] = "2026-01-31T03:04:05Z"
    names = [f"c{number}" for number in range(containers)]
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": each} for each in names]},
        "status": {
            "phase": phase,
            "podIP": f"10.0.0.{ordinal + 1}" if ip is None else ip,
            "containerStatuses": [
                {"name": each, "ready": number < ready, "restartCount": restarts if number == 0 else 0}
                for number, each in enumerate(names)
            ],
        },
    }


def endpoints(*addresses: str) -> dict[str, Any]:
    return {"metadata": {"name": "diego-api"}, "subsets": [{"addresses": [{"ip": each} for each in addresses]}]}


def healthy() -> InProcessWriter:
    """Two diego-api pods of which the first is active, two of the Cloud Controller, and the Service."""
    shelf = Shelf()
    shelf.put("statefulsets", **statefulset("diego-api"))
    shelf.put("statefulsets", **statefulset("api"))
    shelf.put("pods", **pod("diego-api", 0, active="true"))
    shelf.put("pods", **pod("diego-api", 1, active="false"))
    shelf.put("pods", **pod("api", 0, ip="10.0.1.1"))
    shelf.put("pods", **pod("api", 1, ip="10.0.1.2"))
    shelf.put("services", metadata={"name": "diego-api"}, spec={"clusterIP": "10.96.0.89"})
    shelf.put("endpoints", **endpoints("10.0.0.1"))
    return InProcessWriter(shelf)


class Dials:
    """A dialer: what it says of each host, how long it takes, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, ProbeResult] = {BBS: ProbeResult.SUCCESS, "10.0.0.1": ProbeResult.SUCCESS}
        self.takes: dict[str, float] = {}
        self.asked: list[tuple[float, str, int]] = []
        self.under_way: dict[str, int] = {}
        self.most_at_once: dict[str, int] = {}

    def times(self, host: str) -> list[float]:
        return [moment for moment, asked, _ in self.asked if asked == host]

    async def __call__(self, host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
        self.asked.append((asyncio.get_running_loop().time(), host, port))
        self.under_way[host] = self.under_way.get(host, 0) + 1
        self.most_at_once[host] = max(self.most_at_once.get(host, 0), self.under_way[host])
        try:
            await asyncio.sleep(self.takes.get(host, 0.001))
        finally:
            self.under_way[host] -= 1
        return self.answers.get(host, ProbeResult.REFUSED), f"{host}: as it is"
