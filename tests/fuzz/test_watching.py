"""An exporter whose API server answers anything: it goes on, its gauges are computed, and in the end it is in sync."""

import asyncio
import json
from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import given

from exporter.clock import Clock
from exporter.foundation.observer import Observer
from exporter.foundation.view import ProbeResult
from exporter.gauges import GAUGES, ViewAt
from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.transport import Response, Stream
from exporter.metrics import Counts, FoundationMetrics, FoundationText
from exporter.serving.exposition import Exposition
from tests.support.clocks import LoopClock
from tests.support.foundations import endpoints, foundation, pod, statefulset
from tests.support.fuzzing import play, randoms
from tests.support.scripted import FuzzedTransport

TROUBLE = 20.0
"""Virtual seconds for which the answers are fuzzed; the longest wait between two attempts is 10 s."""
PODS = [pod("diego-api", 0, active="true"), pod("diego-api", 1, active="false"), pod("api", 0), pod("api", 1)]
ITEMS: dict[str, list[Any]] = {
    "pods": PODS,
    "statefulsets": [statefulset("diego-api"), statefulset("api")],
    "services": [{"metadata": {"name": "diego-api", "resourceVersion": "3"}, "spec": {"clusterIP": "10.96.0.89"}}],
    "endpoints": [endpoints("10.0.0.1")],
}


class Transport:
    """Fuzzed for a while; then right, and a watch in which nothing happens."""

    def __init__(self, random: Random) -> None:
        self._fuzzed = FuzzedTransport(random, lambda method, path: self._right(path, random, method))
        self._until = TROUBLE

    async def get(self, path: str, query: Mapping[str, str]) -> Response:
        if self._calm:
            return Response(200, json.dumps(self._listed(path, query)).encode())
        return await self._fuzzed.get(path, query)

    async def stream(self, path: str, query: Mapping[str, str]) -> Stream:
        return Quiet() if self._calm else await self._fuzzed.stream(path, query)

    @property
    def _calm(self) -> bool:
        return asyncio.get_running_loop().time() > self._until

    def _right(self, path: str, random: Random, method: str) -> Any:
        if method == "WATCH":
            return random.choice(ITEMS[path.rpartition("/")[2]])
        return self._listed(path, {})

    @staticmethod
    def _listed(path: str, query: Mapping[str, str]) -> Any:
        items = ITEMS[path.rpartition("/")[2]]
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        app = query.get("labelSelector", "").removeprefix("app=")
        found = [
            each
            for each in items
            if (not name or each["metadata"]["name"] == name) and (not app or each["metadata"]["labels"]["app"] == app)
        ]
        return {"metadata": {"resourceVersion": "7"}, "items": found}


class Quiet:
    """A watch without events, ended in time."""

    status, date = 200, ""

    async def line(self) -> bytes:
        await asyncio.sleep(30)
        return b""

    async def read(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


async def refused(host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
    await asyncio.sleep(0.001)
    return ProbeResult.REFUSED, f"{host}:{port}"


@given(randoms)
def test_an_observer_goes_on_and_is_in_sync_again(random: Random) -> None:
    play(observed(random))


async def observed(random: Random) -> None:
    settings, clock = foundation(), LoopClock()
    reader = ApiReader(Transport(random), namespace="cf")
    observer = Observer(settings, reader, clock=clock, random=random, dial=refused)
    exposed = FoundationText(observer, Counts())
    watching = asyncio.create_task(observer.run())

    for _ in range(3):
        await asyncio.sleep(TROUBLE / 3 + 0.01)
        assert not watching.done(), watching.exception()
        samples = await scraped(exposed, observer, clock)
        assert samples["diego_bbs_tcp_reachable"] in ((), (0.0,)), "nobody has reached it"
    await asyncio.sleep(15)

    assert observer.view.synced, observer.error
    assert sorted(pod.name for each in observer.view.components.values() for pod in each.pods) == sorted(
        each["metadata"]["name"] for each in PODS
    )
    assert (await scraped(exposed, observer, clock))["diego_kubernetes_synced"] == (1.0,)
    watching.cancel()
    await asyncio.wait([watching])


async def scraped(exposed: FoundationText, observer: Observer, clock: Clock) -> Mapping[str, tuple[float, ...]]:
    """Each gauge, computed; and the page of all of them, which must be text, and that of now."""
    at = ViewAt(observer.foundation, observer.view, clock.now())
    values = {gauge.name: tuple(value for _, value in gauge.samples(at)) for gauge in GAUGES}
    for accept in ("", "application/openmetrics-text"):
        pages = []
        for text in (exposed, FoundationText(observer, Counts())):
            response = await Exposition(FoundationMetrics(lambda text=text: [text], clock)).respond(accept=accept)  # type: ignore[misc]
            pages.append(response.body.decode())
        assert pages[0] == pages[1]
    return values
