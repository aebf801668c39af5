"""One set of tests, three ways: the sandbox over HTTP and in-process, always; the real Kubernetes under `cluster`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sandbox.cluster.foundation import Timing
from sandbox.inprocess import InProcess
from sandbox.sandbox import Sandbox
from tests.support.clocks import SteadyClock
from tests.support.cluster import AWAY, PATIENCE, RealCluster, accepts, until_endpoints_follow
from tests.support.rawinprocess import RawInProcess
from tests.support.rawkube import Answer, Json, RawKube

HOST = "diego-api.cf.svc.cluster.local"


class Kube:
    """A cluster with the stand-in foundation on it, whichever it is."""

    def __init__(self, backend: Sandbox | InProcess | RealCluster, client: RawKube | RawInProcess) -> None:
        self.backend = backend
        self.client = client
        self.request, self.watch, self.exec = client.request, client.watch, client.exec
        self.touched = False
        self._faults: set[str] = set()
        self.core = f"/api/v1/namespaces/{backend.namespace}"
        self.apps = f"/apis/apps/v1/namespaces/{backend.namespace}"
        self.coordination = f"/apis/coordination.k8s.io/v1/namespaces/{backend.namespace}"

    async def get(self, path: str, **query: str) -> Answer:
        return await self.request("GET", path, query)

    async def found(self, path: str, **query: str) -> Json:
        """GET that must succeed."""
        answer = await self.get(path, **query)
        assert answer.code == 200, answer
        found: Json = answer.json
        return found

    @property
    def is_real(self) -> bool:
        return isinstance(self.backend, RealCluster)

    async def fault(self, name: str) -> None:
        self.touched = True
        self._faults.add(name)
        if isinstance(self.backend, RealCluster):
            await self.backend.fault(name)
        else:
            self.backend.fault(name)

    def audit(self) -> list[Json]:
        return self.backend.audit() if isinstance(self.backend, RealCluster) else list(self.backend.audit)

    async def pods(self, component: str = "diego-api") -> list[Json]:
        found = await self.found(f"{self.core}/pods", labelSelector=f"app.kubernetes.io/component={component}")
        items: list[Json] = found["items"]
        return items

    async def pod(self, name: str) -> Json:
        return await self.found(f"{self.core}/pods/{name}")

    async def endpoints(self) -> list[str]:
        """The names of the pods behind the Service."""
        found = await self.found(f"{self.core}/endpoints/diego-api")
        subsets = found.get("subsets") or []
        return sorted(item["targetRef"]["name"] for subset in subsets for item in subset.get("addresses") or [])

    async def nc(self, host: str = HOST, *, pod: str = "api-0", wait: int = 5, port: int = 8889) -> Any:
        argv = ["env", "LC_ALL=C", "nc", "-zv", "-w", str(wait), host, str(port)]
        return await self.exec(f"{self.core}/pods/{pod}", argv, container="api")

    async def eventually(self, what: Callable[[], Any]) -> Any:
        """Awaits `what()` until it is true, and returns its value. The deadline only ends a failure."""
        async with asyncio.timeout(PATIENCE):
            while not (value := await what()):  # noqa: ASYNC110 - what is awaited is on the other side of HTTP
                await asyncio.sleep(0.2)
            return value

    async def settled(self) -> bool:
        """All pods fully ready, exactly one of diego-api active and reachable."""
        pods = await self.pods() + await self.pods("api")
        ready = [pod for pod in pods if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        active = [pod for pod in pods if label(pod) == "true"]
        if len(ready) != 4 or len(active) != 1 or await self.endpoints() != [active[0]["metadata"]["name"]]:
            return False
        # kube-proxy follows the API, on a busy machine seconds later; the sandbox's network needs no time.
        return not self.is_real or await accepts(
            (await self.found(f"{self.core}/services/diego-api"))["spec"]["clusterIP"]
        )

    async def mend(self) -> None:
        """Undoes what a test has broken; wedged pods need a restart."""
        await self.fault("clear")
        if self._faults & AWAY:
            await until_endpoints_follow(self.request, self.core)
        for pod in await self.pods() if "locket-db-down" in self._faults else ():
            await self.request("DELETE", f"{self.core}/pods/{pod['metadata']['name']}")
        await self.eventually(self.settled)


def label(pod: Json) -> str | None:
    value: str | None = pod["metadata"]["labels"].get("skiff-role-active")
    return value


def is_ready(pod: Json) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions") or [])


TIMING = Timing(start=0.2, probe=0.4)


REAL = pytest.param("real", marks=pytest.mark.cluster)
over_http = pytest.mark.parametrize("kube", ["sandbox", REAL], indirect=True)
"""For a test of what is on the wire and nowhere else."""


@pytest.fixture(params=["sandbox", pytest.param("in-process", marks=pytest.mark.looptime), REAL])
async def kube(request: pytest.FixtureRequest) -> AsyncIterator[Kube]:
    """The cluster under test, settled."""
    if request.param == "in-process":
        box = InProcess(clock=SteadyClock(), timing=TIMING)
        yield Kube(box, RawInProcess(box))
        return
    if request.param == "sandbox":
        async with Sandbox(timing=TIMING) as http, RawKube(http.kubeconfig) as client:
            yield Kube(http, client)
        return
    real: RealCluster = request.getfixturevalue("real_cluster")
    async with RawKube(real.kubeconfig) as client:
        kube = Kube(real, client)
        await kube.eventually(kube.settled)
        yield kube
        if kube.touched:
            await kube.mend()
