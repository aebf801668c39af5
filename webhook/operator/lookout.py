"""A foundation as the command line sees it while it watches: watches, probes and the journal. It only reads."""

import asyncio
from random import Random

from exporter.clock import Clock, utc_now
from exporter.config.model import Foundation
from exporter.foundation.observer import Observer
from exporter.foundation.probe import Dialer
from exporter.kubernetes.api import ApiError, KubernetesError
from webhook.operator.command_context import ServerClock
from webhook.operator.sight import Sight
from webhook.record.errors import JournalError, JournalLostError
from webhook.record.store import Store
from webhook.status.known import Known
from webhook.timings import DEFAULT
from webhook.writer import ApiWriter

POLL_INTERVAL = 1.0
"""Seconds between two reads of the journal: to watch it, one would need a permission for all ConfigMaps."""


class Lookout:
    """Looks at one foundation while `run` runs."""

    def __init__(
        self, foundation: Foundation, writer: ApiWriter, store: Store, *, clock: Clock, random: Random, dial: Dialer
    ) -> None:
        self.foundation = foundation
        self._writer = writer
        self._store = store
        self._clock = ServerClock(clock)
        self._observer = Observer(foundation, writer, clock=self._clock, random=random, dial=dial, spread=0.0)
        self._unreadable: KubernetesError | JournalError | None = None
        self._read_at: float | None = None

    @property
    def sight(self) -> Sight:
        """What is known now."""
        unreadable = self._unreadable
        denied = isinstance(unreadable, ApiError) and unreadable.status in {401, 403}
        # A journal that is lost, another's or not ours to read is not known, whatever was read before.
        unknown = denied or isinstance(unreadable, JournalError)
        journal = None if unknown else self._store.recent(DEFAULT.journal_shown)
        known = Known(
            foundation=self.foundation,
            view=self._observer.view,
            now=utc_now(self._clock),
            journal=journal,
            trouble=str(unreadable or ""),
            lost=isinstance(unreadable, JournalLostError),
            error=str(self._observer.error or ""),
            decides=False,
        )
        tried = self._observer.tried and (self._read_at is not None or unreadable is not None)
        return Sight(known, journal_at=self._read_at, tried=tried, denied=denied, skew=-self._clock.offset)

    async def run(self) -> None:
        """Looks until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._observer.run())
            group.create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                await self._store.refresh()
                self._unreadable = None
            except (KubernetesError, JournalError) as error:
                self._unreadable = error
            if not isinstance(self._unreadable, KubernetesError):  # there was an answer, with the server's time
                self._clock.align(self._writer.server_time)
                self._read_at = self._clock.now()
            await asyncio.sleep(POLL_INTERVAL)
