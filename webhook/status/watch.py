"""The webhook's own watch of its foundations, for its page alone: no run, guard or metric uses it.

It is the exporter's observer, which only reads. It probes less often than the exporter: each probe is a line in the
BBS's log.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from random import Random

from msgspec.structs import replace

from exporter.clock import Clock
from exporter.config.model import Config, Foundation
from exporter.foundation import assess
from exporter.foundation.observer import Observer, observed
from exporter.foundation.probe import Dialer
from exporter.foundation.summary import is_fresh
from exporter.kubernetes.api import Kubernetes
from exporter.serving.per_foundation import PerFoundation
from webhook.status.history import History

SAMPLE = 5.0
"""Seconds between two samples of the history, where nothing changes."""


class Watch:
    """One foundation as it is seen, and as it was seen in the last days."""

    def __init__(self, observer: Observer, clock: Clock) -> None:
        self.observer = observer
        self.history = History()
        self._clock = clock

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.observer.run())
            group.create_task(self._remember())

    async def _remember(self) -> None:
        while True:
            version = self.observer.version
            self._sample()
            with suppress(TimeoutError):
                async with asyncio.timeout(SAMPLE):
                    await self.observer.after(version)

    def _sample(self) -> None:
        view, foundation, now = self.observer.view, self.observer.foundation, self._clock.now()
        known = is_fresh(view, foundation, now=now) and assess.components(view, foundation.diego_api.statefulset)
        leaders = len(assess.leaders(view, foundation)) if known else None
        reachable = assess.bbs_reachable(view, foundation, now=now)
        self.history.record(now, reachable=reachable, leaders=leaders)


class Watches:
    """The watches of a config's foundations, while `run` runs. One that crashes is started again."""

    def __init__(
        self, config: Config, *, connect: Callable[[Foundation], Kubernetes], clock: Clock, random: Random, dial: Dialer
    ) -> None:
        build = partial(_build, connect=connect, clock=clock, random=random, dial=dial)
        self._watches = PerFoundation(build=build, run=Watch.run)
        self.apply(config)

    @property
    def by_foundation(self) -> Mapping[str, Watch]:
        return self._watches.works

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._watches.run()

    def apply(self, config: Config) -> None:
        """Continue with this config; a foundation that is the same in both keeps its history."""
        self._watches.apply(map(_watched, config.foundations))


def _build(
    foundation: Foundation, *, connect: Callable[[Foundation], Kubernetes], clock: Clock, random: Random, dial: Dialer
) -> Watch:
    return Watch(Observer(foundation, connect(foundation), clock=clock, random=random, dial=dial), clock)


def _watched(foundation: Foundation) -> Foundation:
    """As it is observed, probed twice in `staleness`, and without calls: the certificates are the exporter's."""
    bbs = foundation.bbs
    interval = max(bbs.interval, foundation.staleness / 2)
    return replace(observed(foundation), bbs=replace(bbs, interval=interval, tls=None))
