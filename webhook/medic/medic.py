"""The medic of one foundation: holds its lease, decides what is requested, and executes what was decided.

The same loop runs in the webhook, for as long as it lives, and in `diego-runbook run`, for one run. What is requested
and what was done is in the journal and nowhere else, so the next holder of the lease continues where it says.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from exporter.kubernetes.api import KubernetesError
from webhook.record.errors import FencedError, JournalError
from webhook.record.journal import Journal, Request, Run
from webhook.record.lease import Held, LeaseLock
from webhook.record.store import Store, journal_name
from webhook.requests.decision import Decision, DecisionKind, begin, reconsider
from webhook.retry import is_final
from webhook.runbook.context import Meter, RunContext
from webhook.runbook.execution import Execution
from webhook.runbook.runbook import Runbook

log = logging.getLogger(__name__)


class MedicMeter(Meter, Protocol):
    """Is also called for what a medic decides, and whether it leads."""

    def decided(self, decision: Decision) -> None: ...

    def leading(self, leads: bool) -> None: ...


class Medic:
    """One foundation's requests and runs."""

    def __init__(
        self,
        *,
        context: RunContext,
        meter: MedicMeter,
        store: Store,
        identity: str,
        executes: Callable[[Run], bool] = lambda _run: True,
        decides: Callable[[Request], bool] = lambda _request: True,
    ) -> None:
        """`executes` and `decides` choose the runs and requests of this medic: a command line leaves others alone."""
        self.foundation = context.foundation
        self.store = store
        self.meter = meter
        self.tried = False  # whether the journal was read, or found unreachable, at least once
        self.unreadable: KubernetesError | JournalError | None = None  # why the journal cannot be read, if it cannot
        self._context = context
        self._identity = identity
        self._heard = 0  # of the journal's changes
        self._retired = False
        self._held: Held | None = None  # the last one
        self._executes = executes
        self._decides = decides
        self._lock = LeaseLock(
            name=journal_name(context.foundation),
            identity=identity,
            writer=context.kubernetes,
            clock=context.clock,
            timings=context.timings,
        )

    @property
    def waits_for(self) -> str:
        """Why this medic cannot act, in words; empty: it can."""
        return self._lock.waits_for

    def retire(self) -> None:
        """From now on this medic deletes nothing: another one works by the config of now."""
        self._retired = True
        if self._held is not None:
            self._held.lost = True

    async def run(self) -> None:
        """Follows the journal, and holds the lease and acts when it can, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._act())

    async def _follow(self) -> None:
        """Reads the journal again and again: every replica shows its state, whichever acts."""
        logged, skewed = "", False
        while not self._retired:
            try:
                await self.store.refresh()
                logged, self.unreadable = "", None
                skewed = self._report_skew(before=skewed)
            except (KubernetesError, JournalError) as error:
                self.unreadable = error
                if logged != str(error):
                    logged = str(error)
                    log.warning("journal not readable", extra=self._fields(error=logged))
            self.tried = True
            await asyncio.sleep(self._context.timings.poll)

    def _report_skew(self, *, before: bool) -> bool:
        """Whether this machine's clock is wrong: other replicas compare the times on record with theirs."""
        server = self._context.kubernetes.server_time
        seconds = 0.0 if server is None else self._context.clock.now() - server
        skewed = abs(seconds) > self._context.timings.clock_skew
        if skewed and not before:
            log.warning("clock differs from the API server's", extra=self._fields(seconds=round(seconds)))
        return skewed

    async def _act(self) -> None:
        """Holds the lease and leads. Whatever goes wrong, it starts again."""
        while not self._retired:
            while not self._has_work():
                await self._news()
            try:
                await self.store.ensure()
                async with self._lock.hold(
                    least_epoch=lambda: self.store.epoch, journal_uid=lambda: self.store.uid
                ) as held:
                    self._held = held
                    self.meter.leading(leads=True)
                    try:
                        await self._lead(held)
                    finally:
                        self.meter.leading(leads=False)
            except FencedError as error:
                log.warning("gave up the lease: it is not certain", extra=self._fields(error=str(error)))
            except JournalError as error:
                log.warning("journal refused", extra=self._fields(reason=error.reason, error=str(error)))
            except KubernetesError as error:
                log.error("journal not writable", extra=self._fields(error=str(error)))  # noqa: TRY400 - no defect
            except Exception:
                # A defect must not end the watch over a foundation; the run is on record and is continued.
                log.exception("medic failed", extra=self._fields())
            await asyncio.sleep(self._context.timings.poll)

    async def _lead(self, held: Held) -> None:
        """Continues an open run, then whatever is requested, one after the other, for as long as the lease is held.

        Raises KubernetesError where the API server refuses for good, so that the lease is released.
        """
        claimed = False
        while not (held.lost or self._retired) and self._has_work():
            try:
                if not held.remaining(self._context.instant()):
                    await self._news()
                    continue
                if not claimed:
                    await self._claim(held)
                    claimed = True
                journal = self.store.journal
                if journal is not None and journal.open_run is not None:
                    if self._executes(journal.open_run):
                        await self._execute(journal.open_run, held, resumed=True)
                elif journal is not None and journal.request is not None and self._decides(journal.request):
                    run = await self._decide(held)
                    if run is not None:
                        await self._execute(run, held, resumed=False)
            except KubernetesError as error:
                if is_final(error):
                    raise
                log.warning("API server not reachable", extra=self._fields(error=str(error)))
            await self._news()

    async def _claim(self, held: Held) -> None:
        """Marks the journal as this holder's, which stops an earlier one. Raises FencedError and KubernetesError."""
        try:
            await self.store.claim(held.epoch)
        except FencedError:
            # Another process has got this epoch too, and may trust its lease for so long; ours keeps all others away.
            await asyncio.sleep(self._context.timings.lease_duration)
            raise

    def _has_work(self) -> bool:
        """Whether this medic should hold the lease: not while another one must execute the open run.

        Without a journal nothing may be done, and its epoch is needed for the lease.
        """
        journal = self.store.journal
        return journal is not None and (journal.open_run is None or self._executes(journal.open_run))

    async def _decide(self, held: Held) -> Run | None:
        """Decides the queued request if it is due, and opens the run if that is the decision."""
        now = self._context.now()
        run_id = self._new_id(now)

        def change(journal: Journal) -> tuple[Journal, tuple[Decision | None, Run | None]]:
            journal, decision = reconsider(journal, self.foundation, now)
            if decision is None or decision.kind is not DecisionKind.RUN:
                return journal, (decision, None)
            journal, run = begin(journal, self.foundation, run_id=run_id, executor=self._identity, now=now)
            return journal, (decision, run)

        decision, run = await self.store.update(change, epoch=held.epoch)
        if decision is not None:
            self.meter.decided(decision)
            fields = self._fields(decision=decision.kind, reason=decision.reason, text=decision.text)
            log.info("request decided", extra=fields)
        return run

    async def _execute(self, run: Run, held: Held, *, resumed: bool) -> None:
        log.info("run resumed" if resumed else "run started", extra=self._fields(run=run.id, mode=run.mode))
        execution = Execution(context=self._context, run=run, store=self.store, held=held)
        await Runbook(self._context, execution, resumed=resumed).run()

    async def _news(self) -> None:
        """Waits for a change of the journal, or for a while: a queued request becomes due without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._context.timings.poll):
                await self.store.changed.after(self._heard)
        self._heard = self.store.changed.count

    def _new_id(self, now: datetime) -> str:
        return f"{self.foundation.name}-{now:%Y%m%dt%H%M%Sz}-{self._context.random.getrandbits(16):04x}"

    def _fields(self, **fields: object) -> dict[str, object]:
        return {"foundation": self.foundation.name, **fields}
