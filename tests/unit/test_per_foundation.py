"""One task for each foundation: started, stopped, replaced, restarted after a crash."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from exporter.config.model import Foundation
from exporter.serving.per_foundation import LONGEST_DELAY, SETTLED, PerFoundation
from tests.support.foundations import foundation

pytestmark = pytest.mark.looptime


class Work:
    """Counts its starts, and crashes as long as `crashes` says so."""

    def __init__(self, settings: Foundation) -> None:
        self.settings = settings
        self.starts: list[float] = []
        self.running = False
        self.lives_for: Callable[[], float] = lambda: 1e9

    async def run(self) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        self.running = True
        try:
            await asyncio.sleep(self.lives_for())
        finally:
            self.running = False
        raise ZeroDivisionError(self.settings.name)


class Works:
    """`PerFoundation` of such work."""

    def __init__(self, *names: str) -> None:
        self.crashes: list[str] = []
        self.dropped: list[Work] = []
        self.many = PerFoundation(build=Work, run=Work.run, on_crash=self.crashed, on_drop=self.dropped.append)
        self.apply(*names)

    def __getitem__(self, name: str) -> Work:
        return self.many.works[name]

    def apply(self, *names: str, **changes: object) -> None:
        self.many.apply(foundation(name=name, **changes) for name in names)

    def crashed(self, name: str, error: Exception) -> None:
        assert isinstance(error, ZeroDivisionError)
        self.crashes.append(name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.many.run())
        try:
            await asyncio.sleep(0.01)
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_everything_runs_while_it_runs_and_nothing_after_it() -> None:
    works = Works("a", "b")
    assert not works["a"].running
    async with works.running():
        assert (works["a"].running, works["b"].running) == (True, True)
    assert (works["a"].running, works["b"].running) == (False, False)


async def test_what_is_the_same_stays_and_what_changed_is_replaced() -> None:
    works = Works("same", "changes", "leaves")
    live = works.many.works
    async with works.running():
        same, leaves = works["same"], works["leaves"]
        works.many.apply([foundation(name="new"), foundation(name="same"), foundation(name="changes", staleness="30s")])
        await asyncio.sleep(1)

        assert list(live) == ["new", "same", "changes"], "in the order of the config, in a view that is kept"
        assert (works["same"] is same, len(same.starts)) == (True, 1)
        assert (leaves.running, works["new"].running, works["changes"].running) == (False, True, True)
        assert works["changes"].settings.staleness == 30


async def test_what_is_removed_or_replaced_is_told_so_at_once() -> None:
    works = Works("same", "changes", "leaves")
    changes, leaves = works["changes"], works["leaves"]
    async with works.running():
        works.many.apply([foundation(name="same"), foundation(name="changes", staleness="30s")])
        assert works.dropped == [changes, leaves]


async def test_what_fails_in_the_moment_in_which_it_is_removed_is_not_restarted() -> None:
    works = Works("leaves", "stays")
    leaves = works["leaves"]

    async def fails_instead(work: Work) -> None:
        work.starts.append(0.0)
        try:
            await asyncio.sleep(1e9)
        except asyncio.CancelledError:
            raise ZeroDivisionError from None

    works.many._run = fails_instead
    async with works.running():
        works.apply("stays")
        await asyncio.sleep(300)
        assert len(leaves.starts) == 1


async def test_a_build_that_fails_changes_nothing() -> None:
    works = Works("a")

    def refuse(_settings: Foundation) -> Work:
        raise KeyError

    async with works.running():
        before = works["a"]
        works.many._build = refuse
        with pytest.raises(KeyError):
            works.apply("a", "b")
        await asyncio.sleep(1)
        assert (list(works.many.works), works["a"] is before, before.running) == (["a"], True, True)


async def test_a_crash_ends_no_other_and_is_restarted_with_a_delay_that_grows() -> None:
    works = Works("crashes", "fine")
    works["crashes"].lives_for = lambda: 0.0
    async with works.running():
        await asyncio.sleep(300)
        starts = works["crashes"].starts
        gaps = [round(after - before) for before, after in itertools.pairwise(starts)]

        assert gaps[:7] == [1, 2, 4, 8, 16, LONGEST_DELAY, LONGEST_DELAY]
        assert set(works.crashes) == {"crashes"}
        assert len(works.crashes) == len(starts)
        assert (len(works["fine"].starts), works["fine"].running) == (1, True)


async def test_the_delay_is_short_again_after_a_long_life() -> None:
    works = Works("a")
    lives = iter([0.0, 0.0, 0.0, 2 * SETTLED, 1e9])
    works["a"].lives_for = lambda: next(lives)
    async with works.running():
        await asyncio.sleep(300)
        starts = works["a"].starts
        assert round(starts[4] - starts[3]) == 2 * SETTLED + 1


async def test_what_crashes_for_a_while_is_reported_until_it_has_settled() -> None:
    works = Works("a", "fine")
    works["a"].lives_for = lambda: 0.0
    async with works.running():
        await asyncio.sleep(SETTLED - 1)
        assert works.many.crashing() == []
        await asyncio.sleep(2)
        assert works.many.crashing() == ["a"]
        works["a"].lives_for = lambda: 1e9
        await asyncio.sleep(LONGEST_DELAY)
        assert (works["a"].running, works.many.crashing()) == (True, ["a"])
        await asyncio.sleep(SETTLED)
        assert works.many.crashing() == []


async def test_one_crash_is_no_illness() -> None:
    works = Works("a")
    lives = iter([0.0, 1e9])
    works["a"].lives_for = lambda: next(lives)
    async with works.running():
        await asyncio.sleep(10 * SETTLED)
        assert (works.crashes, works.many.crashing()) == (["a"], [])
