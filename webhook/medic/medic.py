"""The medic of one foundation: holds its lease, decides what is asked, and executes what was decided.

The same loop runs in the webhook, for as long as it lives, and in `diego-runbook run`, for one run. What is asked, and
what was done, stands in the journal and nowhere else; so whoever holds the lease next goes on where it says.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.probe import Dialer
from exporter.foundation.view import Probe
from exporter.kubernetes.api import KubernetesError
from webhook.metrics import RunMetrics
from webhook.record.journal import Journal, Run
from webhook.record.lease import Held, LeaseLock
from webhook.record.store import FencedError, JournalError, Store, journal_name
from webhook.requests.decision import Decision, Verdict, begin, reconsider
from webhook.runbook.cloud_controller import CloudController
from webhook.runbook.events import Announcer
from webhook.runbook.execution import Execution
from webhook.runbook.proof import Proof
from webhook.runbook.runbook import Runbook
from webhook.writer import Writer

log = logging.getLogger(__name__)

POLL_INTERVAL = 2.0
"""Seconds between two looks at the journal, for what others put there: a person's `run`, another replica's alert."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a medic needs of the outside, each a seam."""

    writer: Writer
    clock: Clock
    dial: Dialer
    random: Random
    identity: str
    metrics: RunMetrics
    observe_probe: Callable[[Probe, bool | None], None]


class Medic:
    """One foundation's requests and runs."""

    def __init__(self, *, foundation: Foundation, store: Store, around: Surroundings) -> None:
        self.foundation = foundation
        self.store = store
        self.metrics = around.metrics
        self.tried = False  # whether the journal was read, or found out of reach, at least once
        self._around = around
        self._lock = LeaseLock(
            name=journal_name(foundation), identity=around.identity, writer=around.writer, clock=around.clock
        )

    @property
    def waits_for(self) -> str:
        """What keeps this medic from acting, in words; empty: nothing does."""
        return self._lock.waits_for

    async def run(self) -> None:
        """Follows the journal, and holds the lease and acts when it can, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._act())

    async def _follow(self) -> None:
        """Reads the journal again and again: every replica shows its state, whoever acts."""
        told = ""
        while True:
            try:
                await self.store.refresh()
                told = ""
            except (KubernetesError, JournalError) as error:
                if told != str(error):
                    told = str(error)
                    log.warning("the journal can't be read", extra=self._extra(error=told))
            self.tried = True
            await asyncio.sleep(POLL_INTERVAL)

    async def _act(self) -> None:
        """Holds the lease and leads. Whatever goes wrong, it begins again."""
        while True:
            while self.store.journal is None:  # without it nothing may be done, and its epoch is needed for the lease
                await self._news()
            async with self._lock.hold(least_epoch=lambda: self.store.epoch) as held:
                self.metrics.leading(True)
                try:
                    await self._lead(held)
                except FencedError as error:
                    log.warning("not the holder any more", extra=self._extra(error=str(error)))
                except JournalError as error:
                    log.warning("the journal is refused", extra=self._extra(reason=error.reason, error=str(error)))
                except Exception:
                    # A defect must not end the watch over a foundation; the run is on record and is taken up again.
                    log.exception("the medic failed", extra=self._extra())
                finally:
                    self.metrics.leading(False)
            await asyncio.sleep(POLL_INTERVAL)

    async def _lead(self, held: Held) -> None:
        """Takes up an open run, then whatever is asked, one after the other, for as long as the lease is held."""
        claimed = False
        while not held.lost:
            try:
                if not held.valid:
                    await self._news()
                    continue
                if not claimed:  # the first thing on record is the new epoch: it stops a holder from before
                    await self.store.update(lambda journal: (journal, None), epoch=held.epoch)
                    claimed = True
                journal = self.store.journal
                if journal is not None and journal.open_run is not None:
                    await self._execute(journal.open_run, held, resumed=True)
                elif journal is not None and journal.request is not None:
                    run = await self._decide(held)
                    if run is not None:
                        await self._execute(run, held, resumed=False)
            except KubernetesError as error:
                log.warning("the API server is out of reach", extra=self._extra(error=str(error)))
            await self._news()

    async def _decide(self, held: Held) -> Run | None:
        """Decides the kept request if it is due, and opens the run if that is the decision."""
        now = self.now()

        def change(journal: Journal) -> tuple[Journal, tuple[Decision | None, Run | None]]:
            journal, decision = reconsider(journal, self.foundation, now)
            if decision is None or decision.verdict is not Verdict.RUN:
                return journal, (decision, None)
            journal, run = begin(
                journal, self.foundation, run_id=self._new_id(now), executor=self._around.identity, now=now
            )
            return journal, (decision, run)

        decision, run = await self.store.update(change, epoch=held.epoch)
        if decision is not None:
            self._around.metrics.decided(decision)
            log.info("decision", extra=self._extra(decision=decision.verdict, reason=decision.why, text=decision.text))
        return run

    async def _execute(self, run: Run, held: Held, *, resumed: bool) -> None:
        around = self._around
        log.info("run resumed" if resumed else "run begins", extra=self._extra(run=run.id, mode=run.mode))
        announcer = Announcer(foundation=self.foundation, writer=around.writer, clock=around.clock)
        execution = Execution(
            run=run,
            foundation=self.foundation,
            store=self.store,
            held=held,
            clock=around.clock,
            metrics=around.metrics,
            announcer=announcer,
        )
        cloud_controller = CloudController(
            foundation=self.foundation, writer=around.writer, clock=around.clock, observe=around.observe_probe
        )
        proof = Proof(
            foundation=self.foundation,
            writer=around.writer,
            cloud_controller=cloud_controller,
            execution=execution,
            clock=around.clock,
            dial=around.dial,
        )
        runbook = Runbook(
            foundation=self.foundation,
            writer=around.writer,
            cloud_controller=cloud_controller,
            execution=execution,
            proof=proof,
            clock=around.clock,
            random=around.random,
            resumed=resumed,
        )
        await runbook.run()

    async def _news(self) -> None:
        """Waits for a change of the journal, or for a while: a kept request becomes due without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_INTERVAL):
                await self.store.changed.wait()
        self.store.changed.clear()

    def _new_id(self, now: datetime) -> str:
        return f"{self.foundation.name}-{now:%Y%m%dt%H%M%Sz}-{self._around.random.getrandbits(16):04x}"

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._around.clock.now(), UTC)

    def _extra(self, **fields: object) -> dict[str, object]:
        return {"foundation": self.foundation.name, **fields}
