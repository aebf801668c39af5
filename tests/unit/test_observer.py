"""The observer: watches and probes without end, in virtual time."""

import asyncio
import logging
from random import Random

import pytest

from exporter.foundation import assess
from exporter.foundation.observer import Observer
from exporter.foundation.view import Probe, ProbeResult
from exporter.kubernetes.api import ApiUnreachableError
from tests.support.clocks import LoopClock
from tests.support.foundations import BBS, Dials, endpoints, foundation, healthy, pod, statefulset
from tests.support.observers import observing

pytestmark = pytest.mark.looptime

FIRST, SECOND = "10.0.0.1", "10.0.0.2"


def serving(observer: Observer) -> list[str]:
    seen = assess.serving(observer.view, observer.foundation, now=LoopClock().now())
    return [each.name for each in seen.pods]


def leaders(observer: Observer) -> list[str]:
    return [each.name for each in assess.leaders(observer.view, observer.foundation)]


def synced(observer: Observer) -> bool:
    return observer.view.synced


async def test_it_sees_a_healthy_foundation() -> None:
    async with observing(healthy(), Dials()) as observer:
        view = observer.view

        assert (view.synced, view.synced_at, view.bbs.reachable) == (True, LoopClock().start, True)
        assert set(view.components) == {"diego-api", "api"}
        assert (leaders(observer), serving(observer)) == (["diego-api-0"], ["diego-api-0"])
        assert view.service is not None
        assert view.endpoints is not None
        assert (observer.tried, observer.error) == (True, None)


async def test_a_failover_is_followed() -> None:
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        dials.answers = {BBS: ProbeResult.SUCCESS, SECOND: ProbeResult.SUCCESS}
        kubernetes.cluster.put("pods", **pod("diego-api", 0, active="false"))
        kubernetes.cluster.put("pods", **pod("diego-api", 1, active="true"))
        await asyncio.sleep(0.01)
        assert leaders(observer) == ["diego-api-1"]

        await asyncio.sleep(10)
        assert serving(observer) == ["diego-api-1"]


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


async def test_one_lost_watch_is_out_of_sync_until_all_are_back() -> None:
    kubernetes = healthy()
    async with observing(kubernetes, Dials()) as observer:
        kubernetes.fail("list endpoints", ApiUnreachableError("refused"), times=-1)
        kubernetes.cluster.drop_streams()
        await asyncio.sleep(0.01)
        assert not synced(observer)

        await asyncio.sleep(20)
        assert not synced(observer), "all but one are back"
        assert str(observer.error) == "refused"
        assert leaders(observer) == ["diego-api-0"], "what was known is still there, with its age"
        assert observer.view.synced_at == LoopClock().start

        kubernetes.recover()
        await asyncio.sleep(11)
        assert synced(observer)
        assert observer.view.synced_at is not None
        assert observer.view.synced_at > LoopClock().start


async def test_the_view_is_as_old_as_its_oldest_part() -> None:
    kubernetes = healthy()
    async with observing(kubernetes, Dials()) as observer:
        kubernetes.cluster.put("pods", **pod("diego-api", 0, active="true", restarts=1))
        await asyncio.sleep(1)

        assert observer.view.synced_at == LoopClock().start


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


async def test_a_statefulset_made_anew_has_none_of_the_old_pods() -> None:
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        kubernetes.cluster.delete("statefulsets", "diego-api")
        kubernetes.cluster.put("statefulsets", **statefulset("diego-api", uid="another"))
        await asyncio.sleep(30)

        assert (leaders(observer), observer.view.pods) == ([], {})


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


async def test_changes_of_the_leader_are_told() -> None:
    kubernetes, told = healthy(), list[bool]()
    async with observing(kubernetes, Dials(), leader_changed=lambda: told.append(True)) as observer:
        await asyncio.sleep(60)
        assert told == [], "nothing has changed, bookmarks aside"

        kubernetes.cluster.put("pods", **pod("diego-api", 0, active="false"))
        await asyncio.sleep(0.01)
        kubernetes.cluster.put("pods", **pod("diego-api", 1, active="true"))
        await asyncio.sleep(0.01)
        assert (leaders(observer), len(told)) == (["diego-api-1"], 1)


async def test_a_leader_that_is_the_same_after_a_lost_watch_is_no_change() -> None:
    """The control: another one is."""
    for after, expected in ((0, 0), (1, 1)):
        kubernetes, told = healthy(), list[bool]()
        async with observing(kubernetes, Dials(), leader_changed=lambda told=told: told.append(True)) as observer:
            kubernetes.fail("*", ApiUnreachableError("refused"), times=-1)
            kubernetes.cluster.drop_streams()
            await asyncio.sleep(0.01)
            assert not synced(observer)
            for ordinal in (0, 1):
                kubernetes.cluster.put("pods", **pod("diego-api", ordinal, active=str(ordinal == after).lower()))
            kubernetes.recover()
            await asyncio.sleep(20)
            assert (synced(observer), len(told)) == (True, expected)


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


async def test_the_view_is_built_anew_on_a_change_and_not_before() -> None:
    kubernetes = healthy()
    config = foundation(bbs={"interval": 50.0, "timeout": 5.0})
    async with observing(kubernetes, Dials(), config) as observer:
        await asyncio.sleep(4)
        view, version = observer.view, observer.version
        await asyncio.sleep(1)
        assert (observer.view is view, observer.version) == (True, version)

        kubernetes.cluster.put("pods", **pod("diego-api", 0))
        await asyncio.sleep(0.01)
        assert observer.version > version
        assert observer.view is not view


async def test_nothing_was_tried_before_the_first_answers() -> None:
    kubernetes, dials = healthy(), Dials()
    kubernetes.fail("*", ApiUnreachableError("refused"), times=-1)
    dials.takes[BBS] = 4.0
    async with observing(kubernetes, dials) as observer:
        assert not observer.tried
        await asyncio.sleep(4)
        assert observer.tried, "in vain, but tried"


async def test_the_log_says_what_changed_and_not_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials):
        await asyncio.sleep(60)
        dials.answers[BBS] = ProbeResult.REFUSED
        kubernetes.fail("*", ApiUnreachableError("refused"), times=-1)
        kubernetes.cluster.drop_streams()
        await asyncio.sleep(60)
        kubernetes.recover()
        kubernetes.cluster.delete("statefulsets", "diego-api")
        await asyncio.sleep(60)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "in sync with the Kubernetes API"),
        ("INFO", "BBS is reachable"),
        ("WARNING", "lost sync with the Kubernetes API"),
        ("WARNING", "BBS is unreachable"),
        ("WARNING", "in sync with the Kubernetes API"),
    ]
    assert vars(caplog.records[-1])["missing"] == "diego-api"
