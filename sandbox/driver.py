"""Drives a cluster with a clock: real time for the HTTP sandbox, virtual time where the loop and the clock are."""

import asyncio

from exporter.clock import Clock
from sandbox.cluster.cluster import Cluster


class Driver:
    """Lets happen what is due, and otherwise sleeps."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._poked = asyncio.Event()

    def catch_up(self) -> None:
        """Brings the cluster to now; to be called before it is asked or told anything."""
        self._cluster.advance_to(self._clock.now())

    def poke(self) -> None:
        """Something was changed from outside: the next due event may be sooner than the driver thinks."""
        self._poked.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        end = self._cluster.subscribe(self.poke)
        try:
            while True:
                self.catch_up()
                self._poked.clear()
                due = self._cluster.next_due
                pause = None if due is None else max(0.0, due - self._clock.now())
                try:
                    async with asyncio.timeout(pause):
                        await self._poked.wait()
                except TimeoutError:
                    pass
        finally:
            end()
