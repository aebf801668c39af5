"""However the API server fails and whoever is killed: at no moment are there two who may act."""

import asyncio
from random import Random

import pytest

from sandbox.transport import Mishap, Request
from tests.support.clocks import LoopClock
from tests.support.inprocess import TIMED_OUT, InProcessWriter, Shelf
from tests.support.leases import trusted
from webhook.record.lease import Held, LeaseLock

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time

NAME = "diego-medic-diego-api"
LOOK = 0.5  # seconds between two looks at who may act; each new holder is looked at as well
TROUBLES = (None, "cut off", "slow", "hanging", "flaky", "answers lost")


class Program:
    """One of several that want the lease: it works for a while, gives it back, is killed, and begins anew."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.random = Random(world.random.random())
        self.writer = InProcessWriter(world.cluster)
        self.writer.slow(self._latency)
        self.writer.mishap = self._mishap
        self.trouble: str | None = None
        self.lives = 0

    async def run(self) -> None:
        while True:
            self.lives += 1
            life = asyncio.create_task(self._live())
            await asyncio.sleep(self.random.uniform(5, 120))
            if self.random.random() < 0.5:
                self.trouble = "cut off"  # so that nothing is given back: killed
            life.cancel()
            await asyncio.wait([life])
            await asyncio.sleep(self.random.uniform(0, 5))
            self.trouble = None

    async def _live(self) -> None:
        clock = LoopClock(1_000_000 + self.random.uniform(-1e6, 1e6))
        lock = LeaseLock(name=NAME, identity=f"{self.number}-{self.lives}", writer=self.writer, clock=clock)
        while True:
            async with lock.hold(least_epoch=lambda: self.world.epoch) as held:
                self.world.took(held)
                await asyncio.sleep(self.random.uniform(0, 60))
                if held.lost:
                    self.world.lost += 1
            await asyncio.sleep(self.random.uniform(0, 3))

    def _latency(self) -> float:
        if self.trouble == "hanging":
            return self.random.uniform(0, 30)
        return self.random.uniform(0, 2 if self.trouble == "slow" else 0.05)

    def _mishap(self, _request: Request) -> Mishap | None:
        if self.trouble == "cut off" or (self.trouble == "flaky" and self.random.random() < 0.4):
            return Mishap(error=TIMED_OUT)
        if self.trouble == "answers lost" and self.random.random() < 0.4:
            return Mishap(error=TIMED_OUT, effective=True)
        return None


class World:
    """Several programs, one cluster, and somebody who deletes the lease now and then."""

    def __init__(self, seed: int, *, deletes: bool) -> None:
        self.random = Random(seed)
        self.cluster = Shelf()
        self.programs = [Program(self, number) for number in range(3)]
        self.deletes = deletes
        self.epoch = 0  # what the journal knows: each holder puts its epoch there before it acts
        self.epochs: list[int] = []
        self.held: list[Held] = []
        self.lost = 0
        self.looks_led = 0

    def took(self, held: Held) -> None:
        self.epochs.append(held.epoch)
        self.epoch = max(self.epoch, held.epoch)
        self.held.append(held)
        self.look()

    def look(self) -> None:
        valid = [held.epoch for held in self.held if trusted(held)]
        assert len(valid) <= 1, f"at {asyncio.get_running_loop().time()}: {valid}"
        self.looks_led += len(valid)
        self.held = [held for held in self.held if not held.lost]

    async def run(self, seconds: float) -> None:
        tasks = [asyncio.create_task(program.run()) for program in self.programs]
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            if self.random.random() < 0.05:
                self.random.choice(self.programs).trouble = self.random.choice(TROUBLES)
            if self.deletes and self.random.random() < 0.01 and NAME in self.cluster.leases:
                self.cluster.delete("leases", NAME)
            await asyncio.sleep(LOOK)
            self.look()
            for task in tasks:
                assert not task.done(), task
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("deletes", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_never_two_at_once(seed: int, deletes: bool) -> None:
    world = World(seed, deletes=deletes)

    await world.run(1200)

    assert world.epochs == sorted(set(world.epochs)), "an epoch came twice, or went back"
    assert len(world.epochs) > 15, "hardly anybody got the lease: the test proves little"
    assert world.looks_led > 400, "hardly anybody led: safety alone is easy"
