"""What `watch` knows of a foundation: how old it is, and whose clock counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from exporter.clock import Clock
from exporter.kubernetes.api import ApiError
from tests.support.clocks import SetClock
from tests.support.foundations import foundation
from tests.support.incident import FAST, MachineClock
from tests.support.inprocess import JOURNAL, InProcessCluster, InProcessWriter, healthy_foundation
from tests.support.moments import NOON
from webhook.medic.wiring import store_for
from webhook.operator.command_context import ServerClock
from webhook.operator.lookout import Lookout
from webhook.operator.sight import Sight
from webhook.record.journal import Journal

pytestmark = pytest.mark.looptime(noop_cycles=1)

SETTINGS = foundation(remediation=FAST)


@asynccontextmanager
async def looking(
    cluster: InProcessCluster, *, clock: Clock | None = None
) -> AsyncIterator[tuple[Lookout, InProcessWriter]]:
    writer = InProcessWriter(cluster)
    store = store_for(SETTINGS, writer)
    lookout = Lookout(SETTINGS, writer, store, clock=clock or MachineClock(), random=Random(1), dial=cluster.dial)
    task = asyncio.create_task(lookout.run())
    try:
        await asyncio.sleep(10)
        yield lookout, writer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def state(sight: Sight) -> tuple[bool, bool | None, bool]:
    """Whether it is live, whether the BBS is reachable, and whether the journal is known."""
    return sight.live, sight.known.reachable, sight.known.journal is not None


async def test_a_healthy_foundation_is_live() -> None:
    async with looking(healthy_foundation()) as (lookout, _):
        sight = lookout.sight
        assert state(sight) == (True, True, True)
        assert (sight.tried, sight.skew, sight.known.decides) == (True, 0, False)
        assert len(sight.known.summary.pods) == 2


async def test_a_silent_api_server_makes_it_old_and_then_unknown() -> None:
    """Its own probe of the BBS goes on."""
    async with looking(healthy_foundation()) as (lookout, writer):
        writer.hang()
        await asyncio.sleep(7)
        assert state(lookout.sight) == (False, True, True)
        await asyncio.sleep(120)  # the watches that are under way end first
        assert state(lookout.sight) == (False, True, False)
        assert lookout.sight.known.summary.pods == ()
        writer.recover()
        await asyncio.sleep(30)
        assert state(lookout.sight) == (True, True, True)


async def test_a_journal_that_may_not_be_read_is_unknown_at_once_and_the_rest_is_live() -> None:
    async with looking(healthy_foundation()) as (lookout, writer):
        writer.fail("get configmaps", ApiError(403, "Forbidden", "no"), times=-1)
        await asyncio.sleep(2)
        assert state(lookout.sight) == (True, True, False)
        assert "403" in lookout.sight.known.trouble


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_in_trouble_is_not_taken_for_one_that_forbids(status: int) -> None:
    async with looking(healthy_foundation()) as (lookout, writer):
        writer.fail("get configmaps", ApiError(status, "Trouble", "no"), times=-1)
        await asyncio.sleep(7)
        assert state(lookout.sight) == (False, True, True)


async def test_a_journal_that_is_lost_is_known_to_be() -> None:
    cluster = healthy_foundation()
    cluster.put_journal(Journal(foundation="cf"))
    async with looking(cluster) as (lookout, _):
        assert state(lookout.sight) == (True, True, True)
        cluster.delete("configmaps", JOURNAL)
        await asyncio.sleep(2)
        assert state(lookout.sight) == (True, True, False)
        assert lookout.sight.known.lost


async def test_the_api_servers_clock_counts_where_this_machines_is_wrong() -> None:
    """Otherwise a run that began a minute ago would have begun in an hour."""
    clock = MachineClock()
    clock.set_wall(-3600)
    async with looking(healthy_foundation(), clock=clock) as (lookout, _):
        sight = lookout.sight
        assert sight.skew == pytest.approx(-3600, abs=2)
        assert abs((sight.known.now - NOON).total_seconds()) < 60
        await asyncio.sleep(60)
        assert state(lookout.sight) == (True, True, True)


def test_a_small_difference_is_none() -> None:
    machine = SetClock(1000.0)
    clock = ServerClock(machine)
    for server, offset in ((1029.0, 0.0), (1031.0, 31.0), (None, 31.0), (969.0, -31.0), (1000.0, 0.0)):
        clock.align(server)
        assert (clock.offset, clock.now()) == (offset, 1000.0 + offset)
