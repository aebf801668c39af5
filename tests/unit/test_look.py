"""One look: everything at once, and the same view as the observer's."""

import asyncio
from typing import Any

import pytest

from exporter.config.names import component_names, service_name
from exporter.foundation import assess
from exporter.foundation.look import look
from exporter.foundation.view import ProbeResult
from exporter.kubernetes.api import ApiError, ApiUnreachableError
from tests.support.clocks import LoopClock
from tests.support.foundations import BBS, Dials, endpoints, foundation, healthy, pod

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("diego-api.cf.svc.cluster.local", "diego-api"),
        ("diego-api.cf.svc.cluster.local.", "diego-api"),
        ("Diego-API.cf.svc.cluster.example", "diego-api"),
        ("diego-api.cf.svc", "diego-api"),
        ("diego-api.cf", "diego-api"),
        ("diego-api", "diego-api"),
        ("diego-api.elsewhere.svc.cluster.local", None),
        ("diego-api-0.diego-api.cf.svc.cluster.local", None),
        ("diego-api.cf.example.org", None),
        ("bbs.example.org", None),
        ("10.96.0.89", None),
        ("::1", None),
    ],
)
def test_the_service_is_named_by_the_host(host: str, expected: str | None) -> None:
    assert service_name(foundation(bbs={"host": host})) == expected


def test_each_component_is_named_once() -> None:
    found = foundation(
        diego_api={"statefulset": "diego-api"}, cloud_controller={"statefulset": ("api", "api-b")},
        restart=("diego-locket", "diego-api"),
    )  # fmt: skip

    assert component_names(found) == ("diego-api", "api", "api-b", "diego-locket")


async def test_a_look_sees_everything_at_once() -> None:
    dials = Dials()
    dials.takes = {BBS: 2.0, "10.0.0.1": 2.0, "10.0.0.2": 2.0, "db": 2.0, "locket": 2.0}
    dials.answers["db"] = ProbeResult.SUCCESS
    clock = LoopClock()
    config = foundation(database={"host": "db", "port": 3306}, locket={"host": "locket", "port": 8891})

    view = await look(healthy(), config, clock=clock, dial=dials)

    assert asyncio.get_running_loop().time() == pytest.approx(2.0)
    assert (view.synced, view.synced_at) == (True, clock.start)
    assert {name: [each.name for each in found.pods] for name, found in view.components.items()} == {
        "diego-api": ["diego-api-0", "diego-api-1"],
        "api": ["api-0", "api-1"],
    }
    assert view.service is not None
    assert view.endpoints is not None
    assert view.endpoints.ready_addresses == ("10.0.0.1",)
    assert (view.bbs.reachable, view.database.reachable, view.locket.reachable) == (True, True, False)
    assert {uid: reading.reachable for uid, reading in view.pods.items()} == {
        "diego-api-0-uid": True,
        "diego-api-1-uid": False,
    }
    assert sorted((host, port) for _, host, port in dials.asked) == [
        ("10.0.0.1", 8889),
        ("10.0.0.2", 8889),
        ("db", 3306),
        (BBS, 8889),
        ("locket", 8891),
    ]


async def test_pods_are_left_alone_where_the_config_says_so() -> None:
    dials = Dials()

    view = await look(healthy(), foundation(diego_api={"probe_pods": False}), clock=LoopClock(), dial=dials)

    assert ([host for _, host, _ in dials.asked], view.pods) == ([BBS], {})


async def test_a_pod_without_an_address_is_not_asked() -> None:
    kubernetes = healthy()
    kubernetes.cluster.put("pods", **pod("diego-api", 1, ip="", phase="Pending"))
    dials = Dials()

    await look(kubernetes, foundation(), clock=LoopClock(), dial=dials)

    assert sorted(host for _, host, _ in dials.asked) == ["10.0.0.1", BBS]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [((), False), (("10.0.0.1",), None)],
    ids=["the Service has no ready endpoint", "it has one"],
)
async def test_a_name_without_an_address_proves_something_only_with_an_empty_service(
    addresses: tuple[str, ...], expected: bool | None
) -> None:
    kubernetes = healthy()
    kubernetes.cluster.put("endpoints", **endpoints(*addresses))
    dials = Dials()
    dials.answers[BBS] = ProbeResult.DNS

    view = await look(kubernetes, foundation(), clock=LoopClock(), dial=dials)

    assert (view.bbs.reachable, assess.no_ready_endpoint(view)) == (expected, not addresses)


async def test_the_service_of_an_address_is_found_by_that() -> None:
    """`check` can say that the Service has no endpoint, also where the config names its address."""
    view = await look(healthy(), foundation(bbs={"host": "10.96.0.89"}), clock=LoopClock(), dial=Dials())

    assert view.service is not None
    assert view.endpoints is not None
    assert view.service.metadata.name == "diego-api"


async def test_what_does_not_exist_is_known_not_to() -> None:
    kubernetes = healthy()
    kubernetes.cluster.delete("services", "diego-api")
    kubernetes.cluster.delete("statefulsets", "diego-api")

    view = await look(kubernetes, foundation(), clock=LoopClock(), dial=Dials())

    assert (view.service, view.endpoints) == (None, None)
    assert view.components["diego-api"].statefulset is None
    assert assess.no_ready_endpoint(view) is False


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", "no"), ApiUnreachableError("timed out")])
async def test_what_can_not_be_read_is_raised_as_it_is(error: Any) -> None:
    kubernetes = healthy()
    kubernetes.fail("get endpoints", error, times=-1)

    with pytest.raises(type(error), match=str(error)):
        await look(kubernetes, foundation(), clock=LoopClock(), dial=Dials())
