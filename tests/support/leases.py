"""Programs that want a lease, on a cluster in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.clock import Instant
from exporter.kubernetes.api import ApiError
from tests.support.clocks import LoopClock
from tests.support.inprocess import InProcessWriter, Shelf
from webhook.record.lease import Held, LeaseLock
from webhook.writer import LeaseSpec

NAME = "diego-medic-diego-api"
FORBIDDEN = ApiError(403, "Forbidden", "leases is forbidden")


def a_lock(writer: InProcessWriter, identity: str = "a", *, clock: LoopClock | None = None) -> LeaseLock:
    return LeaseLock(name=NAME, identity=identity, writer=writer, clock=clock or LoopClock())


def trusted(held: Held) -> bool:
    """Whether nobody else can have taken it by now, by boot time: the holder's wall clock may be set apart."""
    return held.remaining(Instant(wall=float("-inf"), boot=now())) > 0


def now() -> float:
    return asyncio.get_running_loop().time()


def spec(cluster: Shelf) -> LeaseSpec:
    return cluster.leases[NAME].spec


@asynccontextmanager
async def held_by(writer: InProcessWriter, identity: str, *, epoch: int = 0) -> AsyncIterator[Held]:
    async with a_lock(writer, identity).hold(least_epoch=lambda: epoch) as held:
        yield held


async def seconds_to_take(writer: InProcessWriter, identity: str = "b", *, epoch: int = 0) -> float:
    began = now()
    async with held_by(writer, identity, epoch=epoch):
        return now() - began


async def die(cluster: Shelf, identity: str = "a") -> InProcessWriter:
    """A program takes the lease and is killed: nothing is given back."""
    writer = InProcessWriter(cluster)

    async def live() -> None:
        async with held_by(writer, identity):
            await asyncio.Event().wait()

    task = asyncio.create_task(live())
    await asyncio.sleep(0.001)
    writer.fail("get leases", times=-1)
    task.cancel()
    await asyncio.wait([task])
    assert spec(cluster).holder_identity == identity
    return writer
