"""The stand-in foundations of `shapes`, running: how they break, what is seen of them, and who knows their names."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from tests.cluster.conftest import Cf
from tests.cluster.shapes import BBS, COMPONENT, KEEPS_THE_LOCK, SCRIPTS, Json, Shape
from tests.support.cluster import PATIENCE, accepts, processes
from tests.support.dns import names, serving_names
from tests.support.programs import until
from tests.support.rawkube import MERGE

NAMES = "diego-names"
"""The namespace of the Service by which pods reach the DNS server of the test."""
LOCKS = Path("/proc/locks")
NODE = "10.88.0.1"
"""The node's own address, as its pods see it."""


class Standing:
    """One of them."""

    def __init__(self, cf: Cf, shape: Shape, locket: Path) -> None:
        self.shape = shape
        self._cf = cf
        self._locket = locket
        self._core = f"/api/v1/namespaces/{shape.namespace}"
        self.before: dict[str, str] = {}
        """The UIDs of the pods that the profile may restart, by name, in its order; as the incident finds them."""

    async def pods(self, component: str = "") -> list[Json]:
        query = {"labelSelector": f"{COMPONENT}={component}"} if component else {}
        found: list[Json] = (await self._cf.found(f"{self._core}/pods", **query))["items"]
        return found

    async def uids(self) -> dict[str, str]:
        found = [pod for name in self.shape.restarted for pod in await self.pods(name)]
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found}

    async def settled(self) -> bool:
        """All pods fully ready, exactly one of diego-api active, and the Service leads to it."""
        pods = await self.pods()
        if len(pods) != self.shape.pods or not all(map(_is_ready, pods)):
            return False
        active = [pod["metadata"]["name"] for pod in pods if self._is_active(pod)]
        return len(active) == 1 and await self._led_to() == active

    async def until_settled(self) -> None:
        await until(self.settled, what=f"{self.shape.namespace} to be whole", deadline=PATIENCE, every=0.5)

    async def lose_the_database(self) -> None:
        """The lock's database goes away and comes back: no BBS listens, and none will until it is restarted."""
        file = self._locket / "db-down"
        file.touch()
        await until(self._wedged, what=f"{self.shape.namespace} to be wedged", deadline=PATIENCE, every=0.5)
        file.unlink()

    async def hang_locket(self) -> None:
        """The active BBS dies, and Locket keeps its lock: nobody can take it until Locket is restarted."""
        file = self._locket / KEEPS_THE_LOCK
        file.touch()
        await until(self._locket_waits, what="Locket to wait for the lock", every=0.2)
        file.unlink()
        (active,) = [pod["metadata"]["name"] for pod in await self.pods("diego-api") if self._is_active(pod)]
        (pid,) = processes(BBS, active, FOUNDATION=self.shape.namespace)
        os.kill(pid, signal.SIGKILL)
        await until(self._leads_nowhere, what="the Service to lead nowhere", deadline=PATIENCE, every=0.5)

    async def operate(self) -> None:
        """For ever: labels the pod that listens and no other, as the quarks operator does."""
        key, active = self.shape.label
        while True:
            for pod in await self.pods("diego-api"):
                address = pod["status"].get("podIP")
                wanted = active if address and await accepts(address) else None
                if pod["metadata"]["labels"].get(key) != wanted:
                    path = f"{self._core}/pods/{pod['metadata']['name']}"
                    body = {"metadata": {"labels": {key: wanted}, "uid": pod["metadata"]["uid"]}}
                    answer = await self._cf.request("PATCH", path, body=body, content_type=MERGE)
                    assert answer.code in {200, 404, 409}, answer  # gone, or replaced by another
            await asyncio.sleep(1)

    def _is_active(self, pod: Json) -> bool:
        key, active = self.shape.label
        return bool(pod["metadata"]["labels"].get(key) == active)

    async def _led_to(self) -> list[str]:
        endpoints = await self._cf.found(f"{self._core}/endpoints/{self.shape.service}")
        return [
            address["targetRef"]["name"]
            for subset in endpoints.get("subsets") or ()
            for address in subset.get("addresses") or ()
        ]

    async def _leads_nowhere(self) -> bool:
        return await self._led_to() == []

    async def _wedged(self) -> bool:
        """Each BBS has noticed, unless its pod was restarted already, by the run that this begins."""
        pods = [pod for pod in await self.pods("diego-api") if pod["metadata"]["uid"] in self.before.values()]
        paths = [f"{self._core}/pods/{pod['metadata']['name']}/log" for pod in pods]
        logs = [await self._cf.get(path, container=self.shape.bbs_containers[0]) for path in paths]
        return all("lost the lock database" in log.text for log in logs)

    async def _locket_waits(self) -> bool:
        """Each of its pods is in the kernel's queue for the lock."""
        waiting = [line for line in LOCKS.read_text().splitlines() if "-> FLOCK" in line]  # noqa: ASYNC240 - no disk
        lockets = [
            pid
            for pod in await self.pods("diego-locket")
            for pid in processes("/locket/lock", pod["metadata"]["name"], FOUNDATION=self.shape.namespace)
        ]
        return len(lockets) == 2 and all(any(f" {pid} " in line for line in waiting) for pid in lockets)


def _is_ready(pod: Json) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    return bool(statuses) and all(each["ready"] for each in statuses) and "deletionTimestamp" not in pod["metadata"]


@asynccontextmanager
async def standing(cf: Cf, shapes: Iterable[Shape], node: Path) -> AsyncIterator[tuple[list[Standing], str]]:
    """The foundations, whole or soon to be, and the address of who knows the names of all Services; deleted at the end.

    `node` is a folder of the node, for what the foundations keep there. Their last pods end some time after.
    """
    made = [Standing(cf, shape, node / shape.namespace) for shape in shapes]
    scripts = (await cf.found(f"{cf.core}/configmaps/{SCRIPTS}"))["data"]
    known: dict[str, list[str]] = {}
    namespaces = [NAMES, *(each.shape.namespace for each in made)]

    async def gone() -> bool:
        return not await cf.kubectl("get", "namespaces", "--ignore-not-found", "-o", "name", *namespaces)

    await until(gone, what="the foundations of an earlier run to be gone", deadline=PATIENCE, every=1)
    for each in made:
        (node / each.shape.namespace).mkdir(parents=True)
    try:
        async with serving_names(NODE, known) as port, asyncio.TaskGroup() as group:
            nameserver = await _name_service(cf, port)
            manifests = [
                manifest
                for each in made
                for manifest in each.shape.manifests(
                    scripts=scripts, locket=node / each.shape.namespace, nameserver=nameserver
                )
            ]
            await cf.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(manifests))
            operators = [each for each in made if each.shape.by_operator]
            for_ever = [
                group.create_task(_follow(cf, known)),
                *(group.create_task(each.operate()) for each in operators),
            ]
            yield made, nameserver
            for task in for_ever:
                task.cancel()
    finally:
        await cf.kubectl("delete", "namespaces", "--ignore-not-found", "--wait=false", *namespaces)
        shutil.rmtree(node)


async def _name_service(cf: Cf, port: int) -> str:
    """A Service that leads to this port of the node, since pods ask for names on port 53; its address."""
    metadata = {"name": "dns", "namespace": NAMES}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    subsets = [{"addresses": [{"ip": NODE}], "ports": [{"name": "dns", "port": port, "protocol": "UDP"}]}]
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMES}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets},
    ]
    await cf.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(objects))
    service = await cf.found(f"/api/v1/namespaces/{NAMES}/services/dns")
    return str(service["spec"]["clusterIP"])


async def _follow(cf: Cf, known: dict[str, list[str]]) -> None:
    """For ever: keeps the names of all Services."""
    while True:
        services, endpoints = await cf.found("/api/v1/services"), await cf.found("/api/v1/endpoints")
        found = names(services, endpoints)
        known.clear()
        known.update(found)
        await asyncio.sleep(0.5)
