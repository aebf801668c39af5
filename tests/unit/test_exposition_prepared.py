"""Whoever scrapes at an interval gets a response that was prepared, and never one of an earlier moment."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Gauge

from exporter.serving.exposition import LEAD, LONGEST_INTERVAL, CachedCollectors, Exposition

pytestmark = pytest.mark.looptime


class Restless:
    """A gauge that changes when a test says so, and a count of how often its text was made."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.gauge = Gauge("temperature", "Of it.", registry=registry)
        self.made = 0
        self.exposition = Exposition(CachedCollectors((registry,), key=self._key), ahead=True)
        self._collect = registry.collect
        registry.collect = self._counted  # type: ignore[method-assign, assignment]

    def _key(self) -> float:
        return float(self.gauge._value.get())

    def _counted(self) -> object:
        self.made += 1
        return self._collect()

    async def scraped(self) -> float:
        text = (await self.exposition.respond()).body.decode()
        return float(text.rsplit(" ", 1)[1])


@pytest.fixture
def restless() -> Restless:
    return Restless()


async def test_the_response_is_prepared_shortly_before_the_next_scrape(restless: Restless) -> None:
    for value in (1, 2):
        restless.gauge.set(value)
        await restless.scraped()
        await asyncio.sleep(15 - LEAD - 0.01)
        if value == 1:
            await asyncio.sleep(LEAD + 0.01)
    restless.gauge.set(3)
    assert restless.made == 2
    await asyncio.sleep(0.02)
    assert restless.made == 3, "prepared"
    await asyncio.sleep(LEAD - 0.01)
    assert (await restless.scraped(), restless.made) == (3, 3), "and used"


async def test_what_changes_after_that_shows_all_the_same(restless: Restless) -> None:
    for _ in range(2):
        await restless.scraped()
        await asyncio.sleep(15)
    restless.gauge.set(4)

    assert await restless.scraped() == 4


async def test_a_scrape_that_does_not_come_is_prepared_once(restless: Restless) -> None:
    await restless.scraped()
    await asyncio.sleep(15)
    await restless.scraped()
    for value in range(1000):
        restless.gauge.set(value)
        await asyncio.sleep(1)

    assert restless.made == 2


@pytest.mark.parametrize("interval", [LEAD, LONGEST_INTERVAL + 1])
async def test_nothing_is_prepared_for_who_asks_without_pause_or_hardly_ever(
    restless: Restless, interval: float
) -> None:
    for _ in range(2):
        await restless.scraped()
        await asyncio.sleep(interval)
    restless.gauge.set(5)
    await asyncio.sleep(3 * interval)

    assert restless.made == 1


async def test_nothing_is_prepared_unless_that_is_asked_for(restless: Restless) -> None:
    restless.exposition._ahead = False
    for _ in range(2):
        await restless.scraped()
        await asyncio.sleep(15)

    assert restless.made == 1
    restless.gauge.set(6)
    await asyncio.sleep(30)
    assert restless.made == 1
