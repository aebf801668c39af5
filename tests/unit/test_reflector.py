"""List, watch, list again: in virtual time, on a Kubernetes in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from exporter.foundation.pulse import Pulse
from exporter.kubernetes.api import PODS, ApiError, ApiUnreachableError, GoneError, KubernetesError
from exporter.kubernetes.objects import Pod
from exporter.kubernetes.reflector import Pace, Reflector
from tests.support.clocks import LoopClock
from tests.support.memory_kubernetes import MemoryKubernetes

pytestmark = pytest.mark.looptime

PACE = Pace(window=30, silence=40)
START = 1_000_000.0


@asynccontextmanager
async def following(
    kubernetes: Any, *, pace: Pace = PACE, labels: str = "app=diego"
) -> AsyncIterator[tuple[Reflector[Pod], Pulse]]:
    pulse = Pulse()
    reflector = Reflector(
        kubernetes, PODS, labels=labels, pace=pace, clock=LoopClock(START), random=Random(1), changed=pulse
    )
    task = asyncio.create_task(reflector.run())
    try:
        await asyncio.sleep(0.1)
        yield reflector, pulse
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def pod(name: str, *, app: str = "diego", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": app, **labels}}}


@pytest.fixture
def kubernetes() -> MemoryKubernetes:
    memory = MemoryKubernetes()
    memory.put("pods", **pod("diego-api-0"))
    memory.put("pods", **pod("other", app="other"))
    return memory


async def test_it_lists_what_the_selector_selects(kubernetes: MemoryKubernetes) -> None:
    async with following(kubernetes) as (reflector, _):
        assert list(reflector.items) == ["diego-api-0"]
        assert reflector.synced
        assert reflector.synced_at == START
        assert reflector.error is None


async def test_it_follows_what_is_added_changed_and_deleted(kubernetes: MemoryKubernetes) -> None:
    async with following(kubernetes) as (reflector, pulse):
        before = reflector.items
        kubernetes.put("pods", **pod("diego-api-1"))
        kubernetes.put("pods", **pod("diego-api-0", active="true"))
        await asyncio.sleep(5)

        assert {name: each.has_label("active", "true") for name, each in reflector.items.items()} == {
            "diego-api-1": False,
            "diego-api-0": True,
        }
        assert reflector.synced_at == pytest.approx(START + 0.1)

        seen = pulse.count
        kubernetes.delete("pods", "diego-api-0")
        await asyncio.sleep(1)

        assert list(reflector.items) == ["diego-api-1"]
        assert pulse.count > seen
        assert list(before) == ["diego-api-0"], "what was handed out is never changed"


async def test_an_idle_watch_is_known_to_be_current_twice_within_the_staleness(kubernetes: MemoryKubernetes) -> None:
    """By the bookmark before each end and by the end itself, without a second list."""
    async with following(kubernetes, pace=Pace.for_staleness(60)) as (reflector, _):
        for _ in range(300):
            await asyncio.sleep(1)
            assert reflector.synced
            assert reflector.synced_at is not None
            assert START + asyncio.get_running_loop().time() - reflector.synced_at <= 30.1

        assert kubernetes.calls["list", "pods"] == 1
        assert kubernetes.calls["watch", "pods"] == 11


async def test_a_watch_goes_on_from_the_last_bookmark(kubernetes: MemoryKubernetes) -> None:
    async with following(kubernetes):
        kubernetes.put("pods", **pod("other", app="other"))  # a newer version, of which our selector shows nothing
        await asyncio.sleep(31)

        assert [since for _, since, _ in kubernetes.watched] == ["102", "103"]


async def test_an_end_in_time_without_a_bookmark_is_news_as_well(kubernetes: MemoryKubernetes) -> None:
    kubernetes.bookmarks = False
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(30)

        assert reflector.synced_at == pytest.approx(START + 30)
        assert kubernetes.calls["list", "pods"] == 1


async def test_a_clean_end_before_its_time_is_no_loss(kubernetes: MemoryKubernetes) -> None:
    """It watches again at once, from where it was, and sees what happened meanwhile; but it counts as no news."""
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(5)
        kubernetes.end_watches()
        kubernetes.put("pods", **pod("diego-api-1"))
        await asyncio.sleep(0.1)

        assert reflector.synced
        assert list(reflector.items) == ["diego-api-0", "diego-api-1"]
        assert kubernetes.calls["list", "pods"] == 1


async def test_watches_that_end_at_once_are_no_hot_loop(kubernetes: MemoryKubernetes) -> None:
    """As a proxy that answers each watch with an empty page; the lists in between still tell what is there."""

    class Empty(MemoryKubernetes):
        def watch(self, *args: Any, **kwargs: Any) -> Any:
            generator = super().watch(*args, **kwargs)
            asyncio.get_running_loop().call_soon(self.end_watches)
            return generator

    empty = Empty()
    empty.put("pods", **pod("diego-api-0"))
    async with following(empty) as (reflector, _):
        await asyncio.sleep(120)
        assert empty.calls["watch", "pods"] < 30

        empty.put("pods", **pod("diego-api-1"))
        await asyncio.sleep(11)
        assert reflector.synced
        assert list(reflector.items) == ["diego-api-0", "diego-api-1"]


async def test_watches_that_end_early_and_say_nothing_are_not_believed(kubernetes: MemoryKubernetes) -> None:
    """Each lasts long enough to be no hot loop, yet none has news: after `silence` seconds it lists again."""

    class Mute(MemoryKubernetes):
        def watch(self, *args: Any, **kwargs: Any) -> Any:
            asyncio.get_running_loop().call_later(3, self.end_watches)
            return super().watch(*args, **kwargs)

    mute = Mute()
    async with following(mute) as (reflector, _):
        await asyncio.sleep(200)

        assert mute.calls["list", "pods"] == pytest.approx(5, abs=1)
        assert reflector.synced_at is not None
        assert START + 200 - reflector.synced_at < 45


async def test_a_410_lists_again_and_replaces_everything(kubernetes: MemoryKubernetes) -> None:
    async with following(kubernetes) as (reflector, _):
        kubernetes.end_watches(GoneError(410, "Expired", "too old"))
        await asyncio.sleep(0)
        kubernetes.delete("pods", "diego-api-0")
        kubernetes.put("pods", **pod("diego-api-1"))
        kubernetes.forget_history()
        await asyncio.sleep(2)

        assert reflector.synced
        assert reflector.error is None
        assert list(reflector.items) == ["diego-api-1"]
        assert kubernetes.calls["list", "pods"] == 2


async def test_a_410_on_every_watch_is_no_hot_loop(kubernetes: MemoryKubernetes) -> None:
    async with following(kubernetes):
        kubernetes.oldest = 10_000
        kubernetes.end_watches()
        await asyncio.sleep(120)

        assert kubernetes.calls["list", "pods"] < 30


async def test_a_lost_watch_is_out_of_sync_until_the_next_list(kubernetes: MemoryKubernetes) -> None:
    """What was known stays, and its age is that of the last news."""
    async with following(kubernetes) as (reflector, pulse):
        await asyncio.sleep(29)
        error = ApiUnreachableError("silent for 40 s")
        kubernetes.list_error = lambda _: error
        seen = pulse.count
        kubernetes.end_watches(error)
        await asyncio.sleep(20)

        assert (reflector.synced, reflector.error) == (False, error)
        assert list(reflector.items) == ["diego-api-0"]
        assert reflector.synced_at == pytest.approx(START + 28.0)
        assert pulse.count > seen

        kubernetes.list_error = lambda _: None
        kubernetes.delete("pods", "diego-api-0")
        await asyncio.sleep(11)

        assert reflector.synced
        assert reflector.error is None
        assert not reflector.items


@pytest.mark.parametrize(
    "error", [ApiUnreachableError("refused"), ApiError(403, "Forbidden", "no"), ApiError(500, "HTTP", "oops")]
)
async def test_a_server_that_refuses_is_asked_ever_more_rarely(
    kubernetes: MemoryKubernetes, error: KubernetesError
) -> None:
    kubernetes.list_error = lambda _: error
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(120)

        assert (reflector.synced, reflector.synced_at) == (False, None)
        assert 10 < kubernetes.calls["list", "pods"] < 30

        kubernetes.list_error = lambda _: None
        await asyncio.sleep(10.1)

        assert reflector.synced


async def test_after_a_steady_time_it_starts_with_the_first_delay_again(kubernetes: MemoryKubernetes) -> None:
    kubernetes.list_error = lambda _: ApiUnreachableError("refused")
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(60)
        kubernetes.list_error = lambda _: None
        await asyncio.sleep(30)
        assert reflector.synced

        kubernetes.end_watches(ApiUnreachableError("cut off"))
        await asyncio.sleep(0.6)

        assert reflector.synced


async def attempts(seed: int) -> set[float]:
    """The moments, counted from the first, at which a reflector asks a server that refuses."""
    moments: list[float] = []

    def refuse(_kind: str) -> KubernetesError:
        moments.append(asyncio.get_running_loop().time())
        return ApiUnreachableError("refused")

    memory = MemoryKubernetes()
    memory.list_error = refuse
    reflector = Reflector(memory, PODS, pace=PACE, clock=LoopClock(), random=Random(seed), changed=Pulse())
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(30)
    task.cancel()
    await asyncio.wait([task])
    return {round(moment - moments[0], 3) for moment in moments[1:]}


async def test_jitter_keeps_two_that_failed_together_apart() -> None:
    assert await attempts(seed=1) == await attempts(seed=1)
    assert (await attempts(seed=1)).isdisjoint(await attempts(seed=2))


@pytest.mark.parametrize(
    ("staleness", "window", "silence"), [(60, 30, 40), (300, 30, 40), (10, 5, 8), (20, 10, 10 + 10 / 3), (1, 2, 5)]
)
def test_the_pace_follows_the_staleness(staleness: float, window: float, silence: float) -> None:
    pace = Pace.for_staleness(staleness)

    assert pace.window == window
    assert pace.silence == pytest.approx(silence)
