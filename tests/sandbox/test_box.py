"""The box itself: real listeners, kubeconfig, control endpoint; several side by side; nothing left behind."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
import yaml

from sandbox.cluster.foundation import Foundation, Timing
from sandbox.cluster.switches import UnknownFaultError
from sandbox.control import Control
from sandbox.loopback import free_port
from sandbox.sandbox import API_PORT, Sandbox
from tests.support.programs import DEADLINE
from tests.support.rawkube import RawKube

FAST = Timing(start=0.1, probe=0.2, stop=0.05)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(timing=FAST) as box:
        yield box


async def accepts(address: str, port: int = 8889) -> bool | None:
    """Whether a connection is accepted; None where nobody says anything."""
    try:
        async with asyncio.timeout(0.5):
            _, writer = await asyncio.open_connection(address, port)
    except (ConnectionRefusedError, ConnectionResetError):  # reset: the listener closed at this very moment
        return False
    except TimeoutError:
        return None
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return True


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await what():  # noqa: ASYNC110 - what is awaited is on the other side of TCP
            await asyncio.sleep(0.05)


def pod_ips(box: Sandbox, *, serving: bool) -> list[str]:
    pods = box.state()["pods"]
    return [pod["ip"] for pod in pods if pod["name"].startswith("diego-api") and pod["serving"] == serving]


async def test_the_active_pod_and_its_service_accept_the_passive_one_refuses(box: Sandbox) -> None:
    (active,), (passive,) = pod_ips(box, serving=True), pod_ips(box, serving=False)
    assert [await accepts(address) for address in (active, passive, box.bbs_host)] == [True, False, True]


async def test_the_incident_on_real_sockets(box: Sandbox) -> None:
    """Refused on every address, until all pods were replaced; then accepted on new ones."""
    before = {pod["uid"] for pod in box.state()["pods"]}
    (active,) = pod_ips(box, serving=True)
    box.fault("locket-db-down")

    async def refused() -> bool:
        return not await accepts(box.bbs_host) and not await accepts(active)

    await until(refused)
    box.fault("locket-db-up")
    async with RawKube(box.kubeconfig) as kube:
        for name in ("diego-api-0", "diego-api-1"):
            await kube.request("DELETE", f"/api/v1/namespaces/cf/pods/{name}")

    async def accepted() -> bool:
        return bool(await accepts(box.bbs_host))

    await until(accepted)
    (new,) = pod_ips(box, serving=True)
    assert new != active
    assert len(before & {pod["uid"] for pod in box.state()["pods"]}) == 2, "the Cloud Controller's pods stay"


async def test_ping_answers_on_both_and_says_when_it_is_unhealthy(box: Sandbox) -> None:
    addresses = pod_ips(box, serving=True) + pod_ips(box, serving=False)

    async def ping(address: str) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}:8890/ping") as response:
            return response.status

    assert [await ping(address) for address in addresses] == [200, 200]
    box.fault("unhealthy")

    async def failing() -> bool:
        return [await ping(address) for address in addresses] == [503, 503]

    await until(failing)


async def test_a_black_hole_is_silence(box: Sandbox) -> None:
    """Neither accepted nor refused: the seen symptom where packets are lost."""
    (active,) = pod_ips(box, serving=True)
    box.fault("blackhole")

    async def silent() -> bool:
        return await accepts(active) is None and await accepts(box.bbs_host) is None

    await until(silent)
    box.fault("no-blackhole")

    async def accepted() -> bool:
        return bool(await accepts(box.bbs_host))

    await until(accepted)


async def test_two_side_by_side_do_not_touch_each_other(box: Sandbox) -> None:
    async with Sandbox(timing=FAST) as other:
        assert other.addresses.prefix != box.addresses.prefix
        other.fault("locket-db-down")

        async def refused() -> bool:
            return not await accepts(other.bbs_host)

        await until(refused)
        assert await accepts(box.bbs_host)


async def test_nothing_is_left_behind() -> None:
    async with Sandbox(timing=FAST) as box:
        directory = box.directory
        addresses = [(pod["ip"], 8890) for pod in box.state()["pods"] if pod["name"].startswith("diego-api")]
        addresses += [(box.bbs_host, 8889), (box.addresses.node, API_PORT)]
        assert [await accepts(*address) for address in addresses] == [True] * 4
        assert directory.is_dir()
    assert [await accepts(*address) for address in addresses] == [False] * 4
    assert not directory.exists()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_is_left_behind_when_it_cannot_start() -> None:
    box = Sandbox()
    with socket.socket() as taken:
        taken.bind((box.addresses.node, API_PORT))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            async with box:
                pass
    assert not box.directory.exists()


async def test_a_config_for_the_programs(box: Sandbox) -> None:
    """By address for this machine, by name for exec; both with the kubeconfig of the box."""
    (foundation,) = box.config()["foundations"]
    assert foundation["bbs"] == {"host": box.bbs_host, "port": 8889}
    (named,) = box.config(by_name=True, staleness="5s")["foundations"]
    assert named["bbs"]["host"] == "diego-api.cf.svc.cluster.local"
    assert named["staleness"] == "5s"
    written = yaml.safe_load(box.write_config(box.config(bbs={"interval": "1s"})).read_text())
    assert written["foundations"][0]["bbs"] == {"host": box.bbs_host, "port": 8889, "interval": "1s"}


@pytest.mark.parametrize("headless", [True, False])
async def test_names_are_published_as_they_come_and_go(headless: bool) -> None:
    """A headless Service has a name only while a pod is behind it; another one, the control, always."""
    async with Sandbox(timing=FAST, foundation=Foundation(headless=headless)) as box:

        def endpoints() -> list[str]:
            return list(box.state()["service"]["endpoints"])

        async def nobody_leads() -> bool:
            return not endpoints()

        addresses = endpoints() if headless else [box.bbs_host]
        path = box.publish_names()
        assert json.loads(path.read_text()) == {box.bbs_name: addresses}
        box.fault("locket-db-down")
        await until(nobody_leads)
        assert json.loads(path.read_text()) == ({} if headless else {box.bbs_name: addresses})


async def test_unknown_faults_are_refused(box: Sandbox) -> None:
    for name, argument in (("nosuch", ""), ("stuck", ""), ("locket-db-down", "diego-api-0"), ("deny", "pods")):
        with pytest.raises(UnknownFaultError):
            box.fault(name, argument)
    assert await accepts(box.bbs_host), "and nothing has happened"


async def test_every_fault_is_named(box: Sandbox) -> None:
    """What `faults` lists can be done."""
    arguments = {"POD": "diego-api-0", "SECONDS": "0", "'VERB RESOURCE'": "list nothing"}
    for line in box.faults():
        name, _, what = line.partition(" ")
        box.fault(name, arguments.get(what, ""))
    box.fault("clear")


async def test_the_control_endpoint(box: Sandbox) -> None:
    """It breaks, tells the state, names the faults; and answers while the API hangs."""
    async with Control(box) as control, aiohttp.ClientSession(control.url) as session:
        box.fault("api-hang")
        async with session.post("/fault/stuck", params={"argument": "diego-api-0"}) as response:
            assert response.status == 200
            assert (await response.json())["faults"]["stuck"] == ["diego-api-0"]
        async with session.get("/state") as response:
            assert (await response.json())["faults"]["api_hanging"] is True
        async with session.get("/faults") as response:
            assert await response.json() == box.faults()
        async with session.post("/fault/nosuch") as response:
            assert response.status == 404
            assert "nosuch" in (await response.json())["error"]


def test_a_port_that_is_taken_everywhere_is_taken_here() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) != port
    assert free_port("127.0.0.1", port) == port, "the control case"
