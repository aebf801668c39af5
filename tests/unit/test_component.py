"""One StatefulSet and its pods, followed by watch events."""

import asyncio
from random import Random

import pytest

from exporter.foundation.component import ComponentWatch
from exporter.foundation.view import Component
from exporter.kubernetes.api import ApiUnreachableError
from exporter.kubernetes.reflector import Pace
from tests.support.clocks import LoopClock
from tests.support.foundations import healthy, pod, statefulset
from tests.support.memory_kubernetes import MemoryKubernetes

pytestmark = pytest.mark.looptime


def watch_of(kubernetes: MemoryKubernetes, name: str = "diego-api") -> ComponentWatch:
    return ComponentWatch(kubernetes, name, pace=Pace.for_staleness(60), clock=LoopClock(), random=Random(1))


def names(component: Component | None) -> list[str] | None:
    return None if component is None else [each.name for each in component.pods]


async def test_it_knows_the_statefulset_and_its_pods() -> None:
    async with watch_of(healthy()) as watch:
        assert (watch.component, watch.synced, watch.synced_at) == (None, False, None)

        component = await watch.wait_for(lambda _: True, timeout=10)

        assert (component.desired, names(component)) == (2, ["diego-api-0", "diego-api-1"])
        assert watch.synced
        assert watch.synced_at == LoopClock().start


async def test_it_is_as_old_as_its_older_half() -> None:
    kubernetes = healthy()
    async with watch_of(kubernetes) as watch:
        await asyncio.sleep(5)
        kubernetes.put("pods", **pod("diego-api", 1, restarts=1))
        await asyncio.sleep(1)

        assert watch.synced_at == LoopClock().start


async def test_a_waiter_is_woken_by_the_event_and_not_by_polling() -> None:
    kubernetes = healthy()
    loop = asyncio.get_running_loop()
    async with watch_of(kubernetes) as watch:
        loop.call_later(7.25, lambda: kubernetes.put("pods", **pod("diego-api", 1, active="true")))

        await watch.wait_for(lambda found: all(each.has_label("skiff-role-active", "true") for each in found.pods))

        assert loop.time() == pytest.approx(7.25)
        assert kubernetes.calls["list", "pods"] == 1


async def test_a_waiter_gives_up_in_time() -> None:
    loop = asyncio.get_running_loop()
    async with watch_of(healthy()) as watch:
        with pytest.raises(TimeoutError):
            await watch.wait_for(lambda _: False, timeout=100)

        assert loop.time() == pytest.approx(100)


async def test_nothing_is_decided_while_the_watch_is_lost() -> None:
    """What was true before the loss may not be true now."""
    kubernetes = healthy()
    async with watch_of(kubernetes) as watch:
        await watch.wait_for(lambda _: True, timeout=10)
        kubernetes.list_error = lambda _: ApiUnreachableError("refused")
        kubernetes.end_watches(ApiUnreachableError("cut off"), kind="pods")
        await asyncio.sleep(1)
        assert not watch.synced
        assert str(watch.error) == "refused"

        with pytest.raises(TimeoutError):
            await watch.wait_for(lambda _: True, timeout=30)

        kubernetes.list_error = lambda _: None
        await watch.wait_for(lambda _: True, timeout=30)
        assert watch.error is None


async def test_a_statefulset_that_does_not_exist_is_known_not_to() -> None:
    kubernetes = healthy()
    async with watch_of(kubernetes, "diego-locket") as watch:
        component = await watch.wait_for(lambda _: True, timeout=10)
        assert component == Component("diego-locket", None)

        kubernetes.put("statefulsets", **statefulset("diego-locket"))
        kubernetes.put("pods", **pod("diego-locket", 0))
        component = await watch.wait_for(lambda found: found.statefulset is not None, timeout=1)
        assert names(component) == ["diego-locket-0"]

        kubernetes.delete("statefulsets", "diego-locket")
        component = await watch.wait_for(lambda found: found.statefulset is None, timeout=1)
        assert component.pods == ()


async def test_only_the_pods_of_the_statefulset_as_it_is_now_belong_to_it() -> None:
    """One made anew under the same name has another UID, and the pods of its predecessor are not its own."""
    kubernetes = healthy()
    async with watch_of(kubernetes) as watch:
        await watch.wait_for(lambda found: len(found.pods) == 2, timeout=10)
        kubernetes.delete("statefulsets", "diego-api")
        kubernetes.put("statefulsets", **statefulset("diego-api", uid="another"))
        kubernetes.put("pods", **pod("diego-api", 0, uid="new", owner_uid="another"))

        component = await watch.wait_for(lambda found: len(found.pods) == 1, timeout=10)

        assert [each.uid for each in component.pods] == ["new"]


async def test_another_selector_is_followed() -> None:
    kubernetes = healthy()
    async with watch_of(kubernetes) as watch:
        await watch.wait_for(lambda found: len(found.pods) == 2, timeout=10)
        kubernetes.put("pods", **pod("diego-api", 5, app="relabelled"))
        kubernetes.put("statefulsets", **statefulset("diego-api", app="relabelled"))

        component = await watch.wait_for(lambda found: len(found.pods) == 1, timeout=10)

        assert names(component) == ["diego-api-5"]
        assert [since for kind, since, _ in kubernetes.watched if kind == "pods"][-1] == str(kubernetes.version)


async def test_a_defect_in_the_background_reaches_the_waiter() -> None:
    class Broken(MemoryKubernetes):
        async def list(self, *_: object, **__: object) -> None:  # type: ignore[override]
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        async with watch_of(Broken()) as watch:
            await watch.wait_for(lambda _: True, timeout=10)

    assert asyncio.get_running_loop().time() < 1
