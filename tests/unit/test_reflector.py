"""List, watch, list again: in virtual time, on a cluster in-process."""

import asyncio

import pytest

from exporter.kubernetes.reflector import Pace
from sandbox.transport import Request
from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.reflectors import START, following, pod

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


async def test_it_lists_what_the_selector_selects(kubernetes: InProcessWriter) -> None:
    async with following(kubernetes) as (reflector, _):
        assert list(reflector.items) == ["diego-api-0"]
        assert reflector.synced
        assert reflector.synced_at == START
        assert reflector.error is None


async def test_it_follows_what_is_added_changed_and_deleted(shelf: Shelf, kubernetes: InProcessWriter) -> None:
    async with following(kubernetes) as (reflector, pulse):
        before = reflector.items
        shelf.put("pods", **pod("diego-api-1"))
        shelf.put("pods", **pod("diego-api-0", active="true"))
        await asyncio.sleep(5)

        assert {name: each.has_label("active", "true") for name, each in reflector.items.items()} == {
            "diego-api-1": False,
            "diego-api-0": True,
        }
        assert reflector.synced_at == pytest.approx(START + 0.1)

        seen = pulse.count
        shelf.delete("pods", "diego-api-0")
        await asyncio.sleep(1)

        assert list(reflector.items) == ["diego-api-1"]
        assert pulse.count > seen
        assert list(before) == ["diego-api-0"], "what was handed out is never changed"


async def test_an_idle_watch_is_known_to_be_current_twice_within_the_staleness(kubernetes: InProcessWriter) -> None:
    """By the bookmark before each end and by the end itself, without a second list."""
    async with following(kubernetes, pace=Pace.for_staleness(60)) as (reflector, _):
        for _ in range(300):
            await asyncio.sleep(1)
            assert reflector.synced
            assert reflector.synced_at is not None
            assert START + asyncio.get_running_loop().time() - reflector.synced_at <= 30.1

        assert kubernetes.calls["list pods"] == 1
        assert kubernetes.calls["watch pods"] == 11


async def test_a_watch_continues_from_the_last_bookmark(shelf: Shelf, kubernetes: InProcessWriter) -> None:
    since: list[str] = []

    def note(request: Request) -> None:
        if request.call == "watch pods":
            since.extend(request.query["resourceVersion"])

    kubernetes.mishap = note
    listed = shelf.cluster.store.revision
    async with following(kubernetes):
        shelf.put("pods", **pod("other", app="other"))  # a newer version, of which our selector shows nothing
        await asyncio.sleep(31)

        assert since == [str(listed), str(listed + 1)]


async def test_watches_that_began_together_do_not_end_together_for_ever(kubernetes: InProcessWriter) -> None:
    asked: list[int] = []

    def note(request: Request) -> None:
        if request.call == "watch pods":
            asked.append(int(request.query["timeoutSeconds"][0]))

    kubernetes.mishap = note
    async with following(kubernetes):
        await asyncio.sleep(300)

        assert len(set(asked)) > 1
        assert all(27 <= seconds <= 30 for seconds in asked), asked


async def test_an_end_in_time_without_a_bookmark_is_news_as_well(kubernetes: InProcessWriter) -> None:
    async with following(kubernetes, pace=Pace(window=2, silence=5)) as (reflector, _):  # too short for a bookmark
        await asyncio.sleep(10)

        assert reflector.synced_at == pytest.approx(START + 10)
        assert kubernetes.calls["list pods"] == 1


async def test_a_clean_end_before_its_time_is_no_loss(shelf: Shelf, kubernetes: InProcessWriter) -> None:
    """It watches again at once, from where it was, and sees what happened meanwhile; but it counts as no news."""
    async with following(kubernetes) as (reflector, _):
        await asyncio.sleep(5)
        shelf.end_streams()
        shelf.put("pods", **pod("diego-api-1"))
        await asyncio.sleep(0.1)

        assert reflector.synced
        assert list(reflector.items) == ["diego-api-0", "diego-api-1"]
        assert kubernetes.calls["list pods"] == 1


@pytest.mark.parametrize(
    ("staleness", "window", "silence"),
    [(60, 30, 40), (300, 30, 40), (20, 10, 13.33), (15, 7, 10), (10, 3, 6.67), (1, 2, 5)],
)
def test_the_pace_follows_the_staleness(staleness: float, window: float, silence: float) -> None:
    pace = Pace.for_staleness(staleness)

    assert pace.window == window
    assert pace.silence == pytest.approx(silence, abs=0.01)


@pytest.mark.parametrize("staleness", [8, 10, 15, 20, 30, 60, 300])
def test_a_hang_is_noticed_long_before_the_values_are_too_old(staleness: float) -> None:
    """Also where a list took long: the silence counts from its end, the staleness from its begin."""
    pace = Pace.for_staleness(staleness)

    assert 0 < pace.window <= pace.silence - 3
    assert pace.silence <= staleness * 2 / 3
