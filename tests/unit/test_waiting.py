"""Waiting for several StatefulSets: woken by events, never on an old view, and never for ever."""

import asyncio
from collections.abc import Mapping
from random import Random

import pytest

from exporter.foundation.component import ComponentWatch
from exporter.foundation.view import Component
from exporter.kubernetes.api import ApiUnreachableError
from tests.support.clocks import LoopClock
from tests.support.foundations import healthy, pod
from tests.support.inprocess import InProcessWriter
from webhook.runbook.waiting import ComponentsWatch

pytestmark = pytest.mark.looptime


def watch_of(kubernetes: InProcessWriter) -> ComponentsWatch:
    names = ("diego-api", "api", "api")
    return ComponentsWatch(kubernetes, names, staleness=60, clock=LoopClock(), random=Random(1))


def anything(_components: Mapping[str, Component]) -> bool:
    return True


async def test_a_waiter_is_woken_by_the_event_and_not_by_polling() -> None:
    kubernetes = healthy()
    loop = asyncio.get_running_loop()

    def all_active(components: Mapping[str, Component]) -> bool:
        return all(each.has_label("skiff-role-active", "true") for each in components["diego-api"].pods)

    async with watch_of(kubernetes) as watch:
        loop.call_later(7.25, lambda: kubernetes.cluster.put("pods", **pod("diego-api", 1, active="true")))
        await watch.until(all_active, timeout=60)

        assert loop.time() == pytest.approx(7.25)
        assert set(watch.components or ()) == {"diego-api", "api"}
        assert kubernetes.calls["list pods"] == 2


async def test_a_waiter_gives_up_in_time() -> None:
    async with watch_of(healthy()) as watch:
        with pytest.raises(TimeoutError):
            await watch.until(lambda _: False, timeout=100)

    assert asyncio.get_running_loop().time() == pytest.approx(100)


async def test_nothing_is_decided_while_a_watch_is_lost() -> None:
    """What was true before the loss may not be true now."""
    kubernetes = healthy()
    async with watch_of(kubernetes) as watch:
        await watch.until(anything, timeout=10)
        await asyncio.sleep(1)
        kubernetes.fail("list pods", ApiUnreachableError("refused"), times=-1)
        kubernetes.cluster.drop_streams()
        await asyncio.sleep(1)
        assert watch.components is None
        with pytest.raises(TimeoutError):
            await watch.until(anything, timeout=30)

        kubernetes.recover()
        await watch.until(anything, timeout=30)


async def test_a_defect_in_the_background_reaches_the_waiter(monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(_watch: ComponentWatch) -> None:
        await asyncio.sleep(0.5)
        raise ZeroDivisionError

    monkeypatch.setattr(ComponentWatch, "run", crash)
    with pytest.raises(ExceptionGroup):
        async with watch_of(healthy()) as watch:
            await watch.until(anything, timeout=10)

    assert asyncio.get_running_loop().time() < 1
