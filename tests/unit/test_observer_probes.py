"""The observer's probes: whom it asks, how often, and what an answer changes; in virtual time."""

import asyncio
from random import Random

import pytest

from exporter.foundation import assess
from exporter.foundation.view import Probe, ProbeResult
from exporter.kubernetes.api import ApiUnreachableError
from tests.support.clocks import LoopClock
from tests.support.foundations import BBS, Dials, endpoints, foundation, healthy, pod
from tests.support.observers import FIRST, SECOND, observing, serving

pytestmark = pytest.mark.looptime


async def test_each_is_probed_at_its_interval() -> None:
    dials = Dials()
    dials.takes[BBS] = 3.0
    async with observing(healthy(), dials):
        await asyncio.sleep(100)

        for host in (BBS, FIRST, SECOND):
            gaps = [b - a for a, b in zip(dials.times(host), dials.times(host)[1:], strict=False)]
            assert len(gaps) >= 9
            assert gaps == pytest.approx([10.0] * len(gaps), abs=0.01)


async def test_a_probe_never_overlaps_itself_and_delays_no_other() -> None:
    """A dial that hangs is ended, and the next one waits for that."""
    dials = Dials()
    dials.takes = {BBS: 3600.0, FIRST: 3600.0}
    config = foundation(bbs={"interval": 5.0, "timeout": 5.0})
    async with observing(healthy(), dials, config) as observer:
        await asyncio.sleep(60)

        assert (dials.most_at_once[BBS], dials.most_at_once[FIRST]) == (1, 1)
        assert len(dials.times(SECOND)) == 13
        assert len(dials.times(BBS)) == pytest.approx(10, abs=1)
        assert observer.view.bbs.last is not None
        assert observer.view.bbs.last.result is ProbeResult.ERROR
        assert observer.view.bbs.reachable is None


async def test_foundations_do_not_probe_in_step() -> None:
    began = set()
    for seed in range(3):
        dials, before = Dials(), asyncio.get_running_loop().time()
        async with observing(healthy(), dials, random=Random(seed)):
            began.add(dials.times(BBS)[0] - before)

    assert len(began) == 3
    assert all(0 < moment < 1 for moment in began)


async def test_an_unknown_result_leaves_the_last_known_value() -> None:
    dials = Dials()
    async with observing(healthy(), dials) as observer:
        known_at = observer.view.bbs.known_at
        dials.answers[BBS] = ProbeResult.ERROR
        await asyncio.sleep(30)

        assert (observer.view.bbs.reachable, observer.view.bbs.known_at) == (True, known_at)
        assert observer.view.bbs.last is not None
        assert observer.view.bbs.last.result is ProbeResult.ERROR


@pytest.mark.parametrize(("addresses", "expected"), [((), False), ((FIRST,), True)])
async def test_a_missing_name_proves_something_only_with_an_empty_service(
    addresses: tuple[str, ...], expected: bool
) -> None:
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        kubernetes.cluster.put("endpoints", **endpoints(*addresses))
        dials.answers[BBS] = ProbeResult.DNS
        await asyncio.sleep(11)

        assert observer.view.bbs.reachable is expected


async def test_a_missing_name_proves_nothing_while_the_service_is_out_of_sight() -> None:
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        kubernetes.cluster.put("endpoints", **endpoints())
        await asyncio.sleep(0)
        kubernetes.fail("*", ApiUnreachableError("refused"), times=-1)
        kubernetes.cluster.drop_streams()
        dials.answers[BBS] = ProbeResult.DNS
        await asyncio.sleep(11)

        assert observer.view.bbs.reachable is True, "as it was before"


async def test_a_pod_that_is_gone_is_probed_no_more_and_forgotten() -> None:
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        kubernetes.cluster.delete("pods", "diego-api-0")
        await asyncio.sleep(0.01)
        asked = len(dials.times(FIRST))
        assert set(observer.view.pods) == {"diego-api-1-uid"}

        await asyncio.sleep(60)
        assert len(dials.times(FIRST)) == asked
        assert set(observer.view.pods) == {"diego-api-1-uid"}


async def test_its_successor_is_probed_as_soon_as_it_has_an_address() -> None:
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        kubernetes.cluster.delete("pods", "diego-api-0")
        kubernetes.cluster.put("pods", **pod("diego-api", 0, uid="new", ip="", phase="Pending", ready=0))
        await asyncio.sleep(5)
        dials.answers["10.0.0.77"] = ProbeResult.SUCCESS
        kubernetes.cluster.put("pods", **pod("diego-api", 0, uid="new", ip="10.0.0.77", ready=0))
        await asyncio.sleep(0.1)

        assert len(dials.times("10.0.0.77")) == 1
        assert serving(observer) == ["diego-api-0"]


async def test_another_address_is_another_question() -> None:
    """What was known of the old address says nothing of the new one."""
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        dials.takes["10.0.0.77"] = 3.0
        kubernetes.cluster.put("pods", **pod("diego-api", 0, active="true", ip="10.0.0.77"))
        await asyncio.sleep(1)
        seen = assess.serving(observer.view, observer.foundation, now=LoopClock().now())

        assert ([each.name for each in seen.unknown], seen.count) == (["diego-api-0"], None)
        assert dials.times("10.0.0.77") != []


async def test_the_database_is_probed_where_there_is_one() -> None:
    dials = Dials()
    dials.answers["db.example.org"] = ProbeResult.SUCCESS
    config = foundation(database={"host": "db.example.org", "port": 3306})
    async with observing(healthy(), dials, config) as observer:
        assert observer.view.database.reachable is True
    async with observing(healthy(), Dials()) as observer:
        assert observer.view.database.last is None


async def test_locket_is_probed_where_it_is_configured() -> None:
    dials = Dials()
    dials.answers["locket.example.org"] = ProbeResult.SUCCESS
    config = foundation(locket={"host": "locket.example.org", "port": 8891})
    async with observing(healthy(), dials, config) as observer:
        assert (observer.view.locket.reachable, observer.view.database.last) == (True, None)
        assert (0, 8891) in {(0, port) for _, host, port in dials.asked if host == "locket.example.org"}

        dials.answers["locket.example.org"] = ProbeResult.REFUSED
        await asyncio.sleep(10)
        assert observer.view.locket.reachable is False
        assert observer.view.bbs.reachable is True
    async with observing(healthy(), Dials()) as observer:
        assert observer.view.locket.last is None


async def test_pods_are_left_alone_where_the_config_says_so() -> None:
    dials = Dials()
    async with observing(healthy(), dials, foundation(diego_api={"probe_pods": False})) as observer:
        await asyncio.sleep(30)

        assert {host for _, host, _ in dials.asked} == {BBS}
        assert observer.view.pods == {}


async def test_only_the_probes_of_the_bbs_itself_are_told() -> None:
    """A passive pod refuses by design: it has no place among the results of the BBS."""
    told: list[Probe] = []
    async with observing(healthy(), Dials(), probed=told.append):
        await asyncio.sleep(20)

    assert [each.result for each in told] == [ProbeResult.SUCCESS] * 3
