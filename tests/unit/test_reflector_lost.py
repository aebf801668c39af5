"""Watches that are lost, and servers that refuse: out of sync until the next list, and asked ever more rarely."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from exporter.foundation.pulse import Pulse
from exporter.kubernetes.api import PODS, ApiError, ApiUnreachableError, GoneError, KubernetesError
from exporter.kubernetes.reflector import Reflector
from exporter.kubernetes.transport import Response
from sandbox.transport import Mishap, Request
from tests.support.clocks import LoopClock
from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.reflectors import PACE, START, following, pod

pytestmark = pytest.mark.looptime


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.put("pods", **pod("diego-api-0"))
    shelf.put("pods", **pod("other", app="other"))
    return shelf


@pytest.fixture
def kubernetes(shelf: Shelf) -> InProcessWriter:
    return InProcessWriter(shelf)


def to_each_watch(answer: Mishap) -> Callable[[Request], Mishap | None]:
    return lambda request: answer if request.call == "watch pods" else None


async def attempts(seed: int) -> set[float]:
    """The moments, counted from the first, at which a reflector asks a server that refuses."""
    moments: list[float] = []

    def refuse(_request: Request) -> Mishap:
        moments.append(asyncio.get_running_loop().time())
        return Mishap(error=ApiUnreachableError("refused"))

    kubernetes = InProcessWriter(Shelf())
    kubernetes.mishap = refuse
    reflector = Reflector(kubernetes, PODS, pace=PACE, clock=LoopClock(), random=Random(seed), changed=Pulse())
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(30)
    task.cancel()
    await asyncio.wait([task])
    return {round(moment - moments[0], 3) for moment in moments[1:]}


async def test_watches_that_end_at_once_are_no_hot_loop(shelf: Shelf, kubernetes: InProcessWriter) -> None:
    """As a proxy that answers each watch with an empty page; the lists in between still show what is there."""
    kubernetes.mishap = to_each_watch(Mishap(error=Response(200, b"")))
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(120)
        assert kubernetes.calls["watch pods"] < 30

        shelf.put("pods", **pod("diego-api-1"))
        await asyncio.sleep(11)
        assert reflector.synced
        assert list(reflector.items) == ["diego-api-0", "diego-api-1"]


async def test_watches_that_end_early_and_say_nothing_are_not_believed(
    shelf: Shelf, kubernetes: InProcessWriter
) -> None:
    """Each lasts long enough to be no hot loop, yet none has news: after `silence` seconds it lists again."""

    def end_soon(request: Request) -> None:
        if request.call == "watch pods":
            asyncio.get_running_loop().call_later(3, shelf.end_streams)

    kubernetes.mishap = end_soon
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(200)

        assert kubernetes.calls["list pods"] == pytest.approx(5, abs=1)
        assert reflector.synced_at is not None
        assert START + 200 - reflector.synced_at < 45


async def test_a_410_lists_again_and_replaces_everything(shelf: Shelf, kubernetes: InProcessWriter) -> None:
    async with following(kubernetes) as (reflector, _):
        shelf.cluster.forget_history()
        await asyncio.sleep(0)
        shelf.delete("pods", "diego-api-0")
        shelf.put("pods", **pod("diego-api-1"))
        shelf.cluster.forget_history()
        await asyncio.sleep(2)

        assert reflector.synced
        assert reflector.error is None
        assert list(reflector.items) == ["diego-api-1"]
        assert kubernetes.calls["list pods"] == 2


async def test_a_410_on_every_watch_is_no_hot_loop(kubernetes: InProcessWriter) -> None:
    gone = b'{"kind": "Status", "code": 410, "reason": "Expired"}'
    kubernetes.mishap = to_each_watch(Mishap(error=Response(410, gone)))
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(120)

        assert 10 < kubernetes.calls["list pods"] < 30
        assert isinstance(reflector.error, GoneError)


@pytest.mark.parametrize("body", [b'{"type": "ADDED", "object": {"metadata": {"name": "\xff"}}}\n', b"[" * 100_000])
async def test_an_answer_that_cannot_be_decoded_is_a_lost_watch(kubernetes: InProcessWriter, body: bytes) -> None:
    kubernetes.mishap = to_each_watch(Mishap(error=Response(200, body)))
    async with following(kubernetes) as (reflector, _):
        assert (reflector.synced, type(reflector.error)) == (False, ApiUnreachableError)

        kubernetes.recover()
        await asyncio.sleep(5)
        assert reflector.synced
        assert reflector.error is None


async def test_an_error_that_nobody_thought_of_is_a_lost_watch(
    kubernetes: InProcessWriter, caplog: pytest.LogCaptureFixture
) -> None:
    def defect(_request: Request) -> None:
        raise ZeroDivisionError("no")

    kubernetes.mishap = defect
    async with following(kubernetes) as (reflector, _):
        assert (reflector.synced, str(reflector.error)) == (False, "ZeroDivisionError: no")
        assert "a watch failed" in caplog.text

        kubernetes.recover()
        await asyncio.sleep(5)
        assert reflector.synced
        assert reflector.error is None


async def test_a_lost_watch_is_out_of_sync_until_the_next_list(shelf: Shelf, kubernetes: InProcessWriter) -> None:
    """What was known stays, and its age is that of the last news."""
    async with following(kubernetes) as (reflector, pulse):
        await asyncio.sleep(29)
        error = ApiUnreachableError("silent for 40 s")
        kubernetes.fail("list pods", error, times=-1)
        seen = pulse.count
        shelf.drop_streams()
        await asyncio.sleep(20)

        assert (reflector.synced, reflector.error) == (False, error)
        assert list(reflector.items) == ["diego-api-0"]
        assert reflector.synced_at == pytest.approx(START + 28.0)
        assert pulse.count > seen

        kubernetes.recover()
        shelf.delete("pods", "diego-api-0")
        await asyncio.sleep(11)

        assert reflector.synced
        assert reflector.error is None
        assert not reflector.items


@pytest.mark.parametrize(
    "error", [ApiUnreachableError("refused"), ApiError(403, "Forbidden", "no"), ApiError(500, "HTTP", "oops")]
)
async def test_a_server_that_refuses_is_asked_ever_more_rarely(
    kubernetes: InProcessWriter, error: KubernetesError
) -> None:
    kubernetes.fail("list pods", error, times=-1)
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(120)

        assert (reflector.synced, reflector.synced_at) == (False, None)
        assert 10 < kubernetes.calls["list pods"] < 30

        kubernetes.recover()
        await asyncio.sleep(10.1)

        assert reflector.synced


async def test_after_a_steady_time_it_starts_with_the_first_delay_again(
    shelf: Shelf, kubernetes: InProcessWriter
) -> None:
    kubernetes.fail("list pods", ApiUnreachableError("refused"), times=-1)
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(60)
        kubernetes.recover()
        await asyncio.sleep(30)
        assert reflector.synced

        shelf.drop_streams()
        await asyncio.sleep(0.6)

        assert reflector.synced


async def test_jitter_keeps_two_that_failed_together_apart() -> None:
    assert await attempts(seed=1) == await attempts(seed=1)
    assert (await attempts(seed=1)).isdisjoint(await attempts(seed=2))
