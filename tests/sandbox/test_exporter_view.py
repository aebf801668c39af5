"""The exporter and an API server in trouble: what stands, for how long, and what comes back."""

import asyncio
import re
from typing import Any

import pytest

from sandbox.cluster.foundation import Timing
from sandbox.sandbox import Sandbox
from tests.support.exporting import Exporter, eventually, exporting

TIMING = Timing(start=0.1, probe=0.2, stop=0.05)
STALENESS = 10.0


def config(*boxes: Sandbox, **changes: Any) -> dict[str, Any]:
    """One config for the foundations of several boxes: cf-0, cf-1, …"""
    foundations = []
    for number, box in enumerate(boxes):
        keys: dict[str, Any] = {"bbs": {"interval": "250ms", "timeout": "200ms"}, "staleness": f"{STALENESS:g}s"}
        foundations += box.config(**keys | changes, name=f"cf-{number}")["foundations"]
    return {"foundations": foundations}


def reachable(number: int = 0) -> str:
    return f"diego_bbs_tcp_reachable{{foundation=cf-{number},vantage=exporter}}"


def leaders(number: int = 0) -> str:
    return f"diego_bbs_active_leaders{{foundation=cf-{number}}}"


def serving(number: int = 0) -> str:
    return f"diego_bbs_serving_pods{{foundation=cf-{number}}}"


def synced(number: int = 0) -> str:
    return f"diego_kubernetes_synced{{foundation=cf-{number}}}"


def healthy(number: int = 0) -> dict[str, float | None]:
    return {reachable(number): 1, leaders(number): 1, serving(number): 1, synced(number): 1}


def synced_at(found: dict[str, float], number: int = 0) -> float:
    return found[f"diego_kubernetes_last_sync_timestamp_seconds{{foundation=cf-{number}}}"]


def requests(found: dict[str, float], verb: str) -> dict[str, float]:
    """How many there were, by code."""
    pattern = re.compile(rf"diego_kubernetes_requests_total{{code=(\w+),foundation=cf-0,verb={verb}}}")
    return {match[1]: value for name, value in found.items() if (match := pattern.fullmatch(name))}


def from_kubernetes(found: dict[str, float], number: int = 0) -> list[str]:
    kubernetes = ("diego_api_", "diego_cloud_controller_", "diego_bbs_active_leaders", "diego_bbs_serving_pods")
    return [name for name in found if name.startswith(kubernetes) and f"foundation=cf-{number}" in name]


async def test_a_server_that_hangs_is_noticed_and_its_last_word_stands_for_the_staleness() -> None:
    async with Sandbox(timing=TIMING) as box, exporting(box.write_config(config(box))) as exporter:
        before = await exporter.until(healthy())
        box.fault("api-hang")

        lost = await exporter.until({synced(): 0, leaders(): 1})
        assert from_kubernetes(lost) == from_kubernetes(before), "all of it stands"

        gone = await exporter.until({leaders(): None, serving(): None, synced(): 0, reachable(): 1})
        assert from_kubernetes(gone) == []
        assert synced_at(gone) == synced_at(lost)

        box.fault("locket-db-down")
        await exporter.until({reachable(): 0})

        box.fault("api-resume")
        back = await exporter.until({synced(): 1, leaders(): 0, serving(): 0})
        assert from_kubernetes(back) == from_kubernetes(before)
        assert synced_at(back) > synced_at(gone)


async def test_an_idle_server_that_does_not_hang_stays_in_sync() -> None:
    """The control case, for longer than the staleness; nothing is listed again."""
    async with Sandbox(timing=TIMING) as box, exporting(box.write_config(config(box))) as exporter:
        before = await exporter.until(healthy())
        for _ in range(24):
            await asyncio.sleep(0.5)
            found = await exporter.metrics()
            assert {name: found.get(name) for name in healthy()} == healthy()

        assert requests(found, "list") == requests(before, "list")
        assert synced_at(found) > synced_at(before)


async def test_a_server_that_dies_and_comes_back() -> None:
    async with Sandbox(timing=TIMING) as box, exporting(box.write_config(config(box))) as exporter:
        await exporter.until(healthy())
        box.fault("api-kill")
        await exporter.until({synced(): 0, leaders(): 1, reachable(): 1})

        async def refused() -> bool:
            return requests(await exporter.metrics(), "list").get("error", 0) > 0

        await eventually(refused)
        box.fault("api-start")
        await exporter.until(healthy())


@pytest.mark.parametrize("fault", ["drop-watch", "watch-410"])
async def test_a_broken_watch_is_made_good_by_another_list(fault: str) -> None:
    """What happened meanwhile is not missed."""
    async with Sandbox(timing=TIMING) as box, exporting(box.write_config(config(box))) as exporter:
        before = await exporter.until(healthy())
        box.fault(fault)
        box.fault("locket-db-down")

        found = await exporter.until({synced(): 1, leaders(): 0})
        assert sum(requests(found, "list").values()) > sum(requests(before, "list").values())


async def test_a_slow_server_is_no_lost_one() -> None:
    async with Sandbox(timing=TIMING) as box, exporting(box.write_config(config(box))) as exporter:
        await exporter.until(healthy())
        box.fault("api-slow", "1")
        for _ in range(24):
            await asyncio.sleep(0.5)
            found = await exporter.metrics()
            assert {name: found.get(name) for name in healthy()} == healthy()


async def test_what_may_not_be_read_is_unknown_and_says_why() -> None:
    async with Sandbox(timing=TIMING) as box:
        box.deny("list", "pods")
        async with exporting(box.write_config(config(box))) as exporter:
            found = await exporter.until({reachable(): 1, synced(): 0})
            await until_ready(exporter)

            assert from_kubernetes(found) == []
            assert (await exporter.until({synced(): 0}))[synced()] == 0
            assert requests(await exporter.metrics(), "list")["403"] > 0
            await exporter.said("lost sync", "403")

            box.fault("allow-all")
            await exporter.until(healthy())


async def until_ready(exporter: Exporter) -> None:
    async def ready() -> bool:
        return (await exporter.get("/-/ready"))[0] == 200

    await eventually(ready)


@pytest.mark.parametrize("fault", ["api-hang", "api-kill"])
async def test_one_dead_api_server_does_not_blur_another_foundation(fault: str) -> None:
    async with Sandbox(timing=TIMING) as dead, Sandbox(timing=TIMING) as alive:
        dead.fault(fault)
        async with exporting(alive.write_config(config(dead, alive))) as exporter:
            found = await exporter.until(healthy(1))
            assert (found[synced(0)], from_kubernetes(found)) == (0, [])

            found = await exporter.until({reachable(0): 1})
            alive.fault("locket-db-down")
            found = await exporter.until({reachable(1): 0, leaders(1): 0, serving(1): 0, reachable(0): 1})
            assert (found[synced(0)], found[synced(1)]) == (0, 1)
            await until_ready(exporter)


async def test_two_foundations_are_kept_apart() -> None:
    async with (
        Sandbox(timing=TIMING) as first,
        Sandbox(timing=TIMING) as second,
        exporting(first.write_config(config(first, second))) as exporter,
    ):
        await exporter.until(healthy(0) | healthy(1))
        second.fault("split-brain")

        await exporter.until(healthy(0) | {leaders(1): 2, serving(1): 2})


async def test_a_reload_leaves_a_foundation_that_is_the_same_as_it_is() -> None:
    async with Sandbox(timing=TIMING) as first, Sandbox(timing=TIMING) as second:
        path = first.write_config(config(first, second))
        async with exporting(path) as exporter:
            before = await exporter.until(healthy(0) | healthy(1))
            first.write_config(config(first))
            assert (await exporter.get("/-/reload", method="POST"))[0] == 200

            found = await exporter.metrics()
            assert {name: found.get(name) for name in healthy()} == healthy()
            assert [name for name in found if "foundation=cf-1" in name] == []
            assert requests(found, "list") == requests(before, "list")

            first.write_config(config(first, second))
            assert (await exporter.get("/-/reload", method="POST"))[0] == 200
            await exporter.until(healthy(0) | healthy(1))


async def test_a_missing_statefulset_is_said_once() -> None:
    async with Sandbox(timing=TIMING) as box:
        names = {"statefulset": "no-such"}
        async with exporting(box.write_config(config(box, cloud_controller=names))) as exporter:
            found = await exporter.until({leaders(): 1, synced(): 1})
            await asyncio.sleep(1)

            assert [name for name in found if "cloud_controller" in name] == []
            assert len(await exporter.said("missing=no-such")) == 1
