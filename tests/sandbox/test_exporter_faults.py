"""The exporter as it is run, beside a foundation that breaks: what its metrics say through each fault."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from sandbox.api.access import TOKEN
from sandbox.cluster.foundation import Timing
from sandbox.sandbox import Sandbox
from tests.support.exporting import Exporter, eventually, exporting

REACHABLE = "diego_bbs_tcp_reachable{foundation=cf,vantage=exporter}"
LEADERS = "diego_bbs_active_leaders{foundation=cf}"
SERVING = "diego_bbs_serving_pods{foundation=cf}"
SYNCED = "diego_kubernetes_synced{foundation=cf}"
READY = "diego_api_ready{foundation=cf}"
HEALTHY: dict[str, float | None] = {REACHABLE: 1, LEADERS: 1, SERVING: 1, SYNCED: 1, READY: 1}
TIMING = Timing(start=0.1, probe=0.2, stop=0.05)
BBS = {"interval": "250ms", "timeout": "200ms"}


def of_pod(what: str, ordinal: int) -> str:
    return f"diego_api_pod_{what}{{foundation=cf,pod=diego-api-{ordinal}}}"


def which(found: dict[str, float], what: str) -> list[int]:
    """The pods of which it is said."""
    return [ordinal for ordinal in range(3) if found.get(of_pod(what, ordinal)) == 1]


@asynccontextmanager
async def observed(**foundation: Any) -> AsyncIterator[tuple[Sandbox, Exporter]]:
    """A healthy foundation in a box and an exporter that sees it."""
    async with Sandbox(timing=TIMING) as box:
        config = box.write_config(box.config(**{"bbs": BBS, "staleness": "10s"} | foundation))
        async with exporting(config) as exporter:
            await exporter.until(HEALTHY)
            yield box, exporter


async def delete(box: Sandbox, pod: str) -> None:
    url = f"{box.url}/api/v1/namespaces/{box.namespace}/pods/{pod}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session, session.delete(url, headers=headers) as response:
        assert response.status == 200, await response.text()


async def test_a_healthy_foundation() -> None:
    async with observed() as (_, exporter):
        found = await exporter.metrics()

        assert found["diego_foundation_info{foundation=cf,namespace=cf,profile=cfee-2}"] == 1
        assert {name.partition("{")[0]: value for name, value in found.items() if "_pods_" in name} == {
            "diego_api_pods_desired": 2,
            "diego_api_pods_ready": 2,
            "diego_api_pods_terminating": 0,
            "diego_cloud_controller_pods_desired": 2,
            "diego_cloud_controller_pods_ready": 2,
        }
        assert which(found, "active") == which(found, "serving")
        assert which(found, "ready") == [0, 1]
        for what, expected in {"containers": 2, "containers_ready": 2, "container_restarts_total": 0}.items():
            assert [found[of_pod(what, ordinal)] for ordinal in (0, 1)] == [expected] * 2

        async def all_watched() -> bool:
            """In sync is what was listed; the watches are opened after that."""
            counts = await exporter.metrics()
            asked = [
                f"diego_kubernetes_requests_total{{code=200,foundation=cf,verb={verb}}}" for verb in ("list", "watch")
            ]
            return all(counts[name] >= 4 for name in asked)

        await eventually(all_watched)


async def test_it_only_reads() -> None:
    async with observed() as (box, exporter):
        box.fault("locket-db-down")
        await exporter.until({LEADERS: 0})
        assert await exporter.end() == 0

        assert box.audit == [], "which has every request that changes something, and every exec"


async def test_the_lock_database_goes_and_comes_back() -> None:
    """The incident: nobody leads, nobody serves, and the readiness says nothing of it."""
    async with observed() as (box, exporter):
        box.fault("locket-db-down")
        await exporter.until({REACHABLE: 0, LEADERS: 0, SERVING: 0, READY: 1, SYNCED: 1})

        box.fault("locket-db-up")
        for pod in ("diego-api-0", "diego-api-1"):
            await delete(box, pod)
        await exporter.until(HEALTHY)


async def test_a_label_that_lies() -> None:
    """The leader stops serving, and its label stays."""
    async with observed() as (box, exporter):
        (leader,) = which(await exporter.metrics(), "active")
        box.fault("freeze-label")
        box.fault("locket-db-down")

        await exporter.until(
            {REACHABLE: 0, LEADERS: 1, SERVING: 0, of_pod("active", leader): 1, of_pod("serving", leader): 0}
        )


async def test_a_bbs_that_serves_without_its_label() -> None:
    async with observed() as (box, exporter):
        (leader,) = which(await exporter.metrics(), "serving")
        box.fault("label-none")

        await exporter.until(
            {REACHABLE: 0, LEADERS: 0, SERVING: 1, of_pod("active", leader): 0, of_pod("serving", leader): 1}
        )


async def test_a_split_brain() -> None:
    async with observed() as (box, exporter):
        box.fault("split-brain")

        await exporter.until({REACHABLE: 1, LEADERS: 2, SERVING: 2})


async def test_two_labels_and_one_listener() -> None:
    async with observed() as (box, exporter):
        box.fault("label-all")

        await exporter.until({LEADERS: 2, SERVING: 1})


async def test_silence_is_unreachable_as_well() -> None:
    async with observed() as (box, exporter):
        box.fault("blackhole")
        await exporter.until({REACHABLE: 0, SERVING: 0, LEADERS: 1})
        found = await exporter.metrics()
        assert found["diego_bbs_probes_total{foundation=cf,result=timeout,vantage=exporter}"] > 0

        box.fault("no-blackhole")
        await exporter.until(HEALTHY)


async def test_pods_that_are_not_ready() -> None:
    async with observed() as (box, exporter):
        box.fault("unhealthy")
        found = await exporter.until({READY: 0, "diego_api_pods_ready{foundation=cf}": 0})
        assert which(found, "ready") == []

        box.fault("healthy")
        await exporter.until({READY: 1})


async def test_fewer_pods_may_be_enough() -> None:
    """In some old releases a passive pod is not ready by design."""
    async with observed(diego_api={"statefulset": "diego-api", "min_ready": 1}) as (box, exporter):
        box.fault("never-ready", "diego-api-1")
        await delete(box, "diego-api-1")

        await exporter.until({"diego_api_pods_ready{foundation=cf}": 1, of_pod("ready", 1): 0, READY: 1})


async def test_a_crashed_container_is_counted() -> None:
    async with observed() as (box, exporter):
        box.fault("crash", "diego-api-0")

        await exporter.until({of_pod("container_restarts_total", 0): 1, of_pod("container_restarts_total", 1): 0})


async def test_a_pod_on_its_way_out_does_not_lead() -> None:
    """It keeps its label, and its listener, until it is gone."""
    async with observed() as (box, exporter):
        (leader,) = which(await exporter.metrics(), "active")
        box.fault("stuck", f"diego-api-{leader}")
        await delete(box, f"diego-api-{leader}")

        await exporter.until(
            {
                "diego_api_pods_terminating{foundation=cf}": 1,
                of_pod("active", leader): 0,
                of_pod("ready", leader): 0,
                READY: 0,
            }
        )


async def test_no_series_outlives_its_pod() -> None:
    async with Sandbox(timing=TIMING) as box:
        config = box.write_config(box.config(bbs=BBS))
        async with exporting(config) as exporter:
            found = await exporter.until(HEALTHY)
            assert [name for name in found if "pod=diego-api-1" in name]

            await scale(box, 1)

            gone: dict[str, float | None] = {name: None for name in found if "pod=diego-api-1" in name}
            await exporter.until(gone | {"diego_api_pods_desired{foundation=cf}": 1, READY: 1})


async def scale(box: Sandbox, replicas: int) -> None:
    url = f"{box.url}/apis/apps/v1/namespaces/{box.namespace}/statefulsets/diego-api"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/merge-patch+json"}
    body = {"spec": {"replicas": replicas}}
    async with aiohttp.ClientSession() as session, session.patch(url, headers=headers, json=body) as response:
        assert response.status == 200, await response.text()


async def test_a_foundation_that_is_scaled_down_is_not_ready() -> None:
    async with observed() as (box, exporter):
        await scale(box, 0)

        await exporter.until({READY: 0, LEADERS: 0, SERVING: 0, "diego_api_pods_desired{foundation=cf}": 0})
