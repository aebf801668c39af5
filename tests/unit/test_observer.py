"""The observer: what it sees of a foundation as its watches go on, in virtual time."""

import asyncio
import logging

import pytest

from exporter.foundation.observer import Observer
from exporter.foundation.view import ProbeResult
from exporter.kubernetes.api import ApiUnreachableError
from tests.support.clocks import LoopClock
from tests.support.foundations import BBS, Dials, foundation, healthy, pod, statefulset
from tests.support.observers import SECOND, leaders, observing, serving

pytestmark = pytest.mark.looptime


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


async def test_a_statefulset_made_anew_has_none_of_the_old_pods() -> None:
    kubernetes, dials = healthy(), Dials()
    async with observing(kubernetes, dials) as observer:
        kubernetes.cluster.delete("statefulsets", "diego-api")
        kubernetes.cluster.put("statefulsets", **statefulset("diego-api", uid="another"))
        await asyncio.sleep(30)

        assert (leaders(observer), observer.view.pods) == ([], {})


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
