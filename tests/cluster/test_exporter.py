"""The exporter on a real Kubernetes, with the least rights: what its metrics say while the foundation breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import BBS_HOST, Cf
from tests.support.exporting import Exporter, exporting

pytestmark = pytest.mark.cluster

REACHABLE = "diego_bbs_tcp_reachable{foundation=cf,vantage=exporter}"
LEADERS = "diego_bbs_active_leaders{foundation=cf}"
SERVING = "diego_bbs_serving_pods{foundation=cf}"
READY = "diego_api_ready{foundation=cf}"
SYNCED = "diego_kubernetes_synced{foundation=cf}"
HEALTHY: dict[str, float | None] = {REACHABLE: 1, LEADERS: 1, SERVING: 1, READY: 1, SYNCED: 1}
ACTIVE, SERVES = "diego_api_pod_active", "diego_api_pod_serving"


def of_pod(what: str, pod: str) -> str:
    return f"{what}{{foundation=cf,pod={pod}}}"


def from_kubernetes(found: dict[str, float]) -> list[str]:
    names = ("diego_api_", "diego_cloud_controller_", "diego_bbs_active_leaders", "diego_bbs_serving_pods")
    return [name for name in found if name.startswith(names)]


@asynccontextmanager
async def observed(cf: Cf, **foundation: Any) -> AsyncIterator[Exporter]:
    """An exporter that sees the healthy foundation, as a user who may read and no more."""
    user = await cf.user("diego-exporter")
    bbs = {"host": BBS_HOST, "interval": "1s", "timeout": "500ms"}
    document = {"foundations": [{"name": "cf", "kubeconfig": str(user), "bbs": bbs, **foundation}]}
    path = cf.folder / "exporter.yaml"
    path.write_text(yaml.safe_dump(document))
    async with exporting(path) as exporter:
        await exporter.until(HEALTHY)
        yield exporter
        assert cf.asked_by("diego-exporter") == [], "which has whatever changes something, and every exec"


async def test_the_incident_and_its_mending_by_hand(cf: Cf) -> None:
    """Ready all the while, and nobody leads; then the pods are deleted, as the document has it."""
    async with observed(cf) as exporter:
        await cf.fault("locket-db-down")
        await exporter.until({REACHABLE: 0, LEADERS: 0, SERVING: 0, READY: 1, SYNCED: 1})

        await cf.fault("locket-db-up")
        async with asyncio.TaskGroup() as group:
            group.create_task(exporter.until({READY: 0}))
            await cf.kubectl("-n", "cf", "delete", "pods", "--wait=false", *cf.originals)
        await exporter.until(HEALTHY)


async def test_a_label_that_lies(cf: Cf) -> None:
    async with observed(cf) as exporter:
        found = await exporter.metrics()
        (leader,) = [pod for pod in cf.originals if found[of_pod(ACTIVE, pod)]]
        await cf.fault("freeze-label")
        await cf.fault("locket-db-down")

        await exporter.until(
            {REACHABLE: 0, LEADERS: 1, SERVING: 0, of_pod(ACTIVE, leader): 1, of_pod(SERVES, leader): 0}
        )


async def test_a_split_brain(cf: Cf) -> None:
    async with observed(cf) as exporter:
        await cf.fault("split-brain")

        await exporter.until({REACHABLE: 1, LEADERS: 2, SERVING: 2})


async def test_no_series_outlives_its_pod(cf: Cf) -> None:
    async with observed(cf) as exporter:
        found = await exporter.metrics()
        gone: dict[str, float | None] = {name: None for name in found if "pod=diego-api-1" in name}
        await cf.kubectl("-n", "cf", "scale", "statefulset", "diego-api", "--replicas=1")
        try:
            await exporter.until(gone | {"diego_api_pods_desired{foundation=cf}": 1})
        finally:
            await cf.kubectl("-n", "cf", "scale", "statefulset", "diego-api", "--replicas=2")
        await exporter.until(HEALTHY)


async def test_a_server_that_hangs(cf: Cf) -> None:
    """It is noticed before its last word counts no more; and after that, it is as if nothing had been."""
    async with observed(cf, staleness="20s") as exporter:
        before = await exporter.metrics()
        await cf.fault("api-hang")
        lost = await exporter.until({SYNCED: 0, LEADERS: 1})  # for 6 s, a third of the staleness
        assert from_kubernetes(lost) == from_kubernetes(before)

        gone = await exporter.until({SYNCED: 0, LEADERS: None, REACHABLE: 1})
        assert from_kubernetes(gone) == []

        await cf.fault("api-resume")
        back = await exporter.until(HEALTHY)
        assert from_kubernetes(back) == from_kubernetes(before)
        await asyncio.sleep(3)  # connections that hung are being closed: one that is still open at the end is a warning


async def test_a_server_that_dies(cf: Cf) -> None:
    async with observed(cf) as exporter:
        await cf.fault("api-kill")
        await exporter.until({SYNCED: 0, LEADERS: 1, REACHABLE: 1})

        await cf.fault("api-start")
        await exporter.until(HEALTHY)
