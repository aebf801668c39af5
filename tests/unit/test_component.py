"""One StatefulSet and its pods, followed by watch events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from exporter.foundation.component import ComponentWatch
from exporter.foundation.pulse import Pulse
from exporter.foundation.view import Component
from exporter.kubernetes.api import ApiUnreachableError
from exporter.kubernetes.reflector import Pace
from tests.support.clocks import LoopClock
from tests.support.foundations import healthy, pod, statefulset
from tests.support.inprocess import InProcessWriter

pytestmark = pytest.mark.looptime

START = LoopClock().start


@asynccontextmanager
async def watching(kubernetes: InProcessWriter, name: str = "diego-api") -> AsyncIterator[ComponentWatch]:
    clock, pace = LoopClock(), Pace.for_staleness(60)
    watch = ComponentWatch(kubernetes, name, pace=pace, clock=clock, random=Random(1))
    task = asyncio.create_task(watch.run())
    try:
        yield watch
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def names(component: Component | None) -> list[str] | None:
    return None if component is None else [each.name for each in component.pods]


async def test_it_knows_the_statefulset_and_its_pods() -> None:
    async with watching(healthy()) as watch:
        assert (watch.component, watch.synced, watch.synced_at) == (None, False, None)
        await asyncio.sleep(1)

        assert watch.component is not None
        assert (watch.component.desired, names(watch.component)) == (2, ["diego-api-0", "diego-api-1"])
        assert (watch.synced, watch.synced_at, watch.error) == (True, START, None)


async def test_it_is_as_old_as_its_older_half() -> None:
    kubernetes = healthy()
    async with watching(kubernetes) as watch:
        await asyncio.sleep(5)
        kubernetes.cluster.put("pods", **pod("diego-api", 1, restarts=1))
        await asyncio.sleep(1)

        assert watch.synced_at == START


async def test_what_has_not_changed_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    build: Callable[..., Component] = Component.of

    def counted(name: str, *rest: object) -> Component:
        made.append(name)
        return build(name, *rest)

    monkeypatch.setattr(Component, "of", counted)
    kubernetes = healthy()
    async with watching(kubernetes) as watch:
        await asyncio.sleep(1)
        made.clear()
        before = watch.component
        await asyncio.sleep(120)
        assert watch.synced_at is not None
        assert watch.synced_at > START + 60, "the control: there was news, bookmarks and ends of watches"
        assert (made, watch.component is before) == ([], True)

        kubernetes.cluster.put("pods", **pod("diego-api", 1, active="true"))
        await asyncio.sleep(1)
        assert (made, watch.component is before) == (["diego-api"], False)


async def test_whoever_is_told_sees_what_has_changed() -> None:
    seen: list[list[str] | None] = []
    kubernetes, pulse = healthy(), Pulse()

    def look() -> None:
        seen.append(names(watch.component))
        pulse()

    pace, clock = Pace.for_staleness(60), LoopClock()
    watch = ComponentWatch(kubernetes, "diego-api", pace=pace, clock=clock, random=Random(1), changed=look)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(1)
    assert seen == [None, ["diego-api-0", "diego-api-1"]]

    kubernetes.cluster.delete("pods", "diego-api-1")
    await pulse.after(pulse.count)
    assert seen[2:] == [["diego-api-0"]]
    task.cancel()
    await asyncio.wait([task])


async def test_a_lost_watch_is_out_of_sync_and_keeps_what_it_knew() -> None:
    kubernetes = healthy()
    async with watching(kubernetes) as watch:
        await asyncio.sleep(1)
        kubernetes.fail("list pods", ApiUnreachableError("refused"), times=-1)
        kubernetes.cluster.drop_streams()
        await asyncio.sleep(10)
        assert (watch.synced, str(watch.error), watch.synced_at) == (False, "refused", START)
        assert names(watch.component) == ["diego-api-0", "diego-api-1"]

        kubernetes.recover()
        await asyncio.sleep(10)
        assert (watch.synced, watch.error) == (True, None)


async def test_a_statefulset_that_does_not_exist_is_known_not_to() -> None:
    kubernetes = healthy()
    async with watching(kubernetes, "diego-locket") as watch:
        await asyncio.sleep(1)
        assert (watch.component, watch.synced) == (Component("diego-locket", None), True)

        kubernetes.cluster.put("statefulsets", **statefulset("diego-locket"))
        kubernetes.cluster.put("pods", **pod("diego-locket", 0))
        await asyncio.sleep(1)
        assert (names(watch.component), watch.synced) == (["diego-locket-0"], True)

        kubernetes.cluster.delete("statefulsets", "diego-locket")
        await asyncio.sleep(1)
        assert (watch.component, watch.synced) == (Component("diego-locket", None), True)


async def test_only_the_pods_of_the_statefulset_as_it_is_now_belong_to_it() -> None:
    """One created again under the same name has another UID, and the pods of its predecessor are not its own."""
    kubernetes = healthy()
    async with watching(kubernetes) as watch:
        await asyncio.sleep(1)
        kubernetes.cluster.delete("statefulsets", "diego-api")
        kubernetes.cluster.put("statefulsets", **statefulset("diego-api", uid="another"))
        kubernetes.cluster.put("pods", **pod("diego-api", 0, uid="new", owner_uid="another"))
        await asyncio.sleep(1)

        assert watch.component is not None
        assert [each.uid for each in watch.component.pods] == ["new"]


async def test_another_selector_is_followed() -> None:
    kubernetes = healthy()
    async with watching(kubernetes) as watch:
        await asyncio.sleep(1)
        kubernetes.cluster.put("pods", **pod("diego-api", 5, app="relabelled"))
        kubernetes.cluster.put("statefulsets", **statefulset("diego-api", app="relabelled"))
        await asyncio.sleep(1)

        assert names(watch.component) == ["diego-api-5"]
        assert kubernetes.calls["list pods"] == 2
