"""Cycles of objects are freed in a storm, and when the memory has grown; else what lives is let alone."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Self

import pytest

from exporter.serving.garbage import CHECK, EVERY, GROWTH, STORM, collect_rarely, resident

pytestmark = pytest.mark.looptime
MINUTE = CHECK * EVERY


class Node:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _the_collector_is_left_as_it_was() -> Iterator[None]:
    before = (gc.get_threshold(), len(gc.callbacks), gc.isenabled())
    yield
    assert (gc.get_threshold(), len(gc.callbacks), gc.isenabled()) == before
    assert gc.get_freeze_count() == 0


class Collecting:
    """A collector that runs; `memory` is what it reads."""

    def __init__(self) -> None:
        self.memory = 1000.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(collect_rarely(lambda: int(self.memory)))
        await asyncio.sleep(0.5)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


def a_cycle() -> "weakref.ref[Node]":
    return weakref.ref(Node())


async def test_a_cycle_is_found_when_the_memory_has_grown() -> None:
    async with Collecting() as collecting:
        await asyncio.sleep(MINUTE)
        lost = a_cycle()
        collecting.memory *= GROWTH + 0.01
        await asyncio.sleep(MINUTE)

        assert lost() is None


async def test_what_lives_is_not_looked_at_while_the_memory_has_not_grown() -> None:
    looked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        looked.append(info["generation"])

    async with Collecting() as collecting:
        await asyncio.sleep(MINUTE)
        lost = a_cycle()
        gc.callbacks.append(note)
        collecting.memory *= GROWTH - 0.01
        await asyncio.sleep(60 * MINUTE)
        gc.callbacks.remove(note)

        assert (lost() is None, looked) == (False, [])


async def test_after_a_full_collection_the_memory_may_grow_again() -> None:
    async with Collecting() as collecting:
        await asyncio.sleep(MINUTE)
        collecting.memory *= 2
        await asyncio.sleep(MINUTE)
        lost = a_cycle()
        collecting.memory *= GROWTH - 0.01
        await asyncio.sleep(60 * MINUTE)
        assert lost() is not None

        collecting.memory *= GROWTH
        await asyncio.sleep(MINUTE)
        assert lost() is None


async def test_the_cycles_of_a_storm_are_found_at_once() -> None:
    async with Collecting():
        lost = [a_cycle() for _ in range(2 * STORM)]

        assert sum(each() is not None for each in lost) < STORM + 1000


def test_the_memory_is_read() -> None:
    assert resident() > 1000
