"""The webhook's own watch of its foundations: what the page shows, remembered while it changes; in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from exporter.config.model import Config, Foundation
from exporter.foundation.view import ProbeResult
from exporter.kubernetes.api import Kubernetes
from tests.support.clocks import LoopClock
from tests.support.foundations import BBS, Dials, foundation, healthy, pod
from tests.support.inprocess import TIMED_OUT, InProcessWriter
from webhook.status.watch import Watch, Watches

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def watching(kubernetes: InProcessWriter, dials: Dials, *foundations: Foundation) -> AsyncIterator[Watches]:
    def connect(_foundation: Foundation) -> Kubernetes:
        return kubernetes

    config = Config(foundations=foundations or (foundation(),))
    watches = Watches(config, connect=connect, clock=LoopClock(), random=Random(1), dial=dials)
    task = asyncio.create_task(watches.run())
    try:
        await asyncio.sleep(4)  # the first round, jitter included
        yield watches
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def remembered(watch: Watch) -> list[tuple[bool | None, int | None]]:
    return [(span.reachable, span.leaders) for span in watch.history.spans]


async def test_an_outage_is_remembered_with_its_end() -> None:
    kubernetes, dials = healthy(), Dials()
    async with watching(kubernetes, dials) as watches:
        watch = watches.by_foundation["cf"]
        assert remembered(watch)[-1] == (True, 1)
        dials.answers[BBS] = ProbeResult.REFUSED
        kubernetes.cluster.put("pods", **pod("diego-api", 0, active="false"))
        await asyncio.sleep(31)
        dials.answers[BBS] = ProbeResult.SUCCESS
        kubernetes.cluster.put("pods", **pod("diego-api", 1, active="true"))
        await asyncio.sleep(31)
        assert remembered(watch)[-4:] == [(True, 0), (False, 0), (False, 1), (True, 1)]
        assert watch.history.spans[-1].end == pytest.approx(LoopClock().now(), abs=5)


async def test_what_is_not_seen_any_more_becomes_unknown() -> None:
    kubernetes, dials = healthy(), Dials()
    async with watching(kubernetes, dials) as watches:
        kubernetes.fail("*", TIMED_OUT, times=-1)
        kubernetes.cluster.drop_streams()
        dials.answers[BBS] = ProbeResult.ERROR
        await asyncio.sleep(130)
        assert remembered(watches.by_foundation["cf"])[-1] == (None, None)


async def test_it_probes_twice_in_staleness_and_no_more() -> None:
    """Each probe is a line in the BBS's log, and the exporter probes already."""
    dials = Dials()
    async with watching(healthy(), dials):
        await asyncio.sleep(300)
        assert len(dials.times(BBS)) == pytest.approx(10, abs=1)


async def test_a_reload_of_the_remediation_keeps_the_history() -> None:
    async with watching(healthy(), Dials()) as watches:
        before = watches.by_foundation["cf"]
        watches.apply(Config(foundations=(foundation(remediation={"mode": "observe"}),)))
        assert watches.by_foundation["cf"] is before
        watches.apply(Config(foundations=(foundation(namespace="other"),)))
        assert watches.by_foundation["cf"] is not before


async def test_it_does_not_call_the_bbs() -> None:
    """The certificates are the exporter's: here they need not even exist."""
    dials, tls = Dials(), {"ca": "/nowhere", "cert": "/nowhere", "key": "/nowhere"}
    async with watching(healthy(), dials, foundation(bbs={"tls": tls})) as watches:
        observer = watches.by_foundation["cf"].observer
        assert (observer.foundation.bbs.tls, observer.view.answers.last) == (None, None)
        assert BBS in {host for _, host, _ in dials.asked}
