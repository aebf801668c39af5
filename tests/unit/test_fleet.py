"""The foundations of a config, each by itself, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from exporter.config.check import validated
from exporter.config.model import Config, Foundation
from exporter.fleet import Fleet
from exporter.foundation.observer import Observer
from exporter.foundation.view import ProbeResult
from exporter.kubernetes.api import ApiUnreachableError
from exporter.serving.per_foundation import LONGEST_DELAY
from tests.support.clocks import LoopClock
from tests.support.exposed import samples_of
from tests.support.foundations import BBS, Dials, healthy
from tests.support.inprocess import InProcessWriter

pytestmark = pytest.mark.looptime


def config(*names: str, **changes: Any) -> Config:
    return Config(foundations=tuple(validated(Foundation, {"name": name, **changes}) for name in names))


class World:
    """A cluster for each foundation, and a fleet that observes them."""

    def __init__(self, *names: str, dial: Any = None) -> None:
        self.clusters: dict[str, InProcessWriter] = {}
        self.observe: dict[str, Callable[[str, str], None]] = {}
        self.fleet = Fleet(
            config(*names),
            connect=self.connect,
            clock=LoopClock(),
            random=Random(1),
            dial=dial or Dials(),
        )

    def connect(self, foundation: Foundation, observe: Callable[[str, str], None]) -> InProcessWriter:
        self.observe[foundation.name] = observe
        return self.clusters.setdefault(foundation.name, healthy())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Fleet]:
        task = asyncio.create_task(self.fleet.run())
        try:
            yield self.fleet
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def names(self) -> list[str]:
        return [observer.foundation.name for observer in self.fleet.observers]

    def counted(self, foundation: str) -> dict[str, float]:
        """The counted probes and requests of a foundation; empty where nothing of it is exposed."""
        for text in self.fleet.texts():
            text.refresh(LoopClock().now())
        exposed = "".join(part for text in self.fleet.texts() for part in text.texts)
        own = [line for line in exposed.splitlines() if f'foundation="{foundation}"' in line]
        return {name: value for name, value in samples_of("\n".join(own) + "\n").items() if "_total" in name}


def synced(fleet: Fleet) -> dict[str, bool]:
    return {look.foundation.name: look.view.synced for look in fleet.looks()}


async def test_each_foundation_is_observed() -> None:
    world = World("b", "a")
    async with world.running() as fleet:
        await asyncio.sleep(2)

        assert synced(fleet) == {"b": True, "a": True}
        assert world.names() == ["b", "a"], "in the order of the config"


async def test_it_is_ready_when_everything_was_asked_once_and_stays_ready() -> None:
    dials = Dials()
    dials.takes[BBS] = 3.0
    world = World("cf", dial=dials)
    assert world.fleet.not_ready() == "the first read of cf is in progress"
    world.clusters["cf"] = healthy()
    world.clusters["cf"].fail("*", ApiUnreachableError("refused"), times=-1)
    async with world.running() as fleet:
        await asyncio.sleep(2)
        assert fleet.not_ready() == "the first read of cf is in progress"
        await asyncio.sleep(2)
        assert fleet.not_ready() is None, "in vain, but asked"

        fleet.apply(config("cf", "another"))
        assert fleet.not_ready() is None, "a reload does not take it out of service"


async def test_a_crash_is_confined_and_starts_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, broken = Observer.run, True

    async def crash(observer: Observer) -> None:
        if broken and observer.foundation.name == "crashes":
            raise ZeroDivisionError
        await run(observer)

    monkeypatch.setattr(Observer, "run", crash)
    world = World("crashes", "continues")
    async with world.running() as fleet:
        await asyncio.sleep(30)
        assert synced(fleet) == {"crashes": False, "continues": True}
        assert "task of a foundation crashed" in caplog.text

        broken = False
        await asyncio.sleep(LONGEST_DELAY)
        assert synced(fleet) == {"crashes": True, "continues": True}


async def test_a_foundation_that_hangs_delays_no_other() -> None:
    dials = Dials()
    dials.answers["hangs.example.org"] = ProbeResult.TIMEOUT
    dials.takes["hangs.example.org"] = 3600.0
    world = World("goes-on", dial=dials)
    async with world.running() as fleet:
        hangs = validated(Foundation, {"name": "hangs", "bbs": {"host": "hangs.example.org"}})
        world.clusters["hangs"] = healthy()
        world.clusters["hangs"].fail("*", ApiUnreachableError("timed out"), times=-1)
        fleet.apply(Config(foundations=(hangs, *config("goes-on").foundations)))
        await asyncio.sleep(61)

        gaps = {round(b - a, 1) for a, b in zip(dials.times(BBS), dials.times(BBS)[1:], strict=False)}
        assert (gaps, synced(fleet)) == ({10.0}, {"hangs": False, "goes-on": True})


async def test_what_is_the_same_in_a_new_config_stays_as_it_is() -> None:
    world = World("stays", "changes", "goes")
    async with world.running() as fleet:
        await asyncio.sleep(2)
        before = {observer.foundation.name: observer for observer in fleet.observers}
        fleet.apply(
            Config(foundations=(*config("comes", "stays").foundations, *config("changes", staleness=30.0).foundations))
        )
        await asyncio.sleep(2)
        after = {observer.foundation.name: observer for observer in fleet.observers}

        assert list(after) == ["comes", "stays", "changes"]
        assert after["stays"] is before["stays"]
        assert after["changes"] is not before["changes"]
        assert (world.counted("goes"), world.counted("comes") != {}) == ({}, True)
        assert world.counted("changes")["diego_bbs_probes_total{result=success,vantage=exporter}"] == 2, "it counts on"

        world.observe["goes"]("list", "200")
        assert world.counted("goes") == {}, "what is late to be told is not counted"


async def test_a_foundation_that_went_is_observed_no_more() -> None:
    dials = Dials()
    world = World("goes", dial=dials)
    async with world.running() as fleet:
        await asyncio.sleep(2)
        fleet.apply(Config(foundations=()))
        await asyncio.sleep(0.1)
        asked, calls = len(dials.asked), world.clusters["goes"].calls.total()
        await asyncio.sleep(120)

        assert (len(dials.asked), world.clusters["goes"].calls.total()) == (asked, calls)


async def test_another_remediation_is_no_reason_to_start_anew() -> None:
    world = World("cf")
    async with world.running() as fleet:
        await asyncio.sleep(2)
        (before,) = fleet.observers
        fleet.apply(config("cf", remediation={"mode": "observe"}))

        assert fleet.observers == (before,)


@pytest.mark.parametrize(("count", "spread"), [(2, 1.0), (250, 5.0)])
async def test_the_probes_of_many_foundations_are_spread_over_their_interval(count: int, spread: float) -> None:
    dials = Dials()
    world = World(*(f"f{number}" for number in range(count)), dial=dials)
    async with world.running():
        await asyncio.sleep(9.9)

        first = dials.times(BBS)
        assert len(first) == count
        assert spread * 0.1 < max(first) <= spread + 0.01, "and those of a few come soon"


async def test_the_bbs_is_called_where_there_are_certificates_for_that() -> None:
    tls = {"ca": "/ca", "cert": "/cert", "key": "/key"}
    world = World("cf")
    world.fleet.apply(
        Config(foundations=(*config("without").foundations, *config("with", bbs={"tls": tls}).foundations))
    )

    assert [observer._caller is not None for observer in world.fleet.observers] == [False, True]


async def test_a_config_may_come_before_the_start() -> None:
    world = World("before")
    world.fleet.apply(config("after"))
    async with world.running():
        await asyncio.sleep(1)

        assert world.names() == ["after"]
