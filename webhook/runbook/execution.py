"""A run's record while it is executed: every step is in the journal before it starts and after it ends.

The journal is the only state. `Execution.run` is what was last written there, with what others wrote in between (a
resolved alert, a pause, an approval).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from exporter.kubernetes.api import KubernetesError
from webhook.record import changes
from webhook.record.errors import FencedError, JournalError
from webhook.record.journal import (
    MAX_TEXT,
    Journal,
    Outcome,
    Run,
    Step,
    StepRecord,
    StepResult,
)
from webhook.record.lease import Held
from webhook.record.reasons import RunReason
from webhook.record.store import Store
from webhook.requests.decision import left_wanted
from webhook.retry import is_final, retry
from webhook.runbook.context import EndRun, RunContext, Verdict, stopped
from webhook.runbook.events import Announcer

T = TypeVar("T")

log = logging.getLogger(__name__)


class Execution:
    """The open run of a foundation, in the hands of the holder of its lease."""

    def __init__(self, *, context: RunContext, run: Run, store: Store, held: Held) -> None:
        self.context = context
        self.run = run
        self.held = held
        self.journal_epoch = held.epoch
        self._store = store
        self._announcer = Announcer(context)

    @property
    def patience(self) -> float:
        """Seconds for which a call to the API server is repeated.

        Before the first delete only as long as the lease is trusted without a renewal: what cannot be asked is not
        proved, and to stop is the safe choice.
        """
        timings = self.context.timings
        return timings.patience if self.run.disruptive else timings.lease_trusted

    async def step(self, name: Step, work: Callable[[], Awaitable[str]]) -> None:
        """Executes one step: recorded before and after, timed and counted. Its detail is what `work` returns."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        opened = StepRecord(name=name, started=self.context.now())
        await self.save(lambda run: _begun(run, opened))
        fields = {"foundation": self.run.foundation, "run": self.run.id, "step": name}
        log.info("step started", extra=fields)
        result, detail = StepResult.INTERRUPTED, ""
        try:
            detail = await work()
            result = StepResult.OK
        except EndRun as end:
            verdict = end.verdict
            broken = verdict.outcome in {Outcome.FAILED, Outcome.UNPROVEN}
            result, detail = StepResult.FAILED if broken else StepResult.STOPPED, verdict.detail or verdict.text
            raise
        except (FencedError, JournalError):
            raise
        except Exception as error:
            result, detail = StepResult.FAILED, f"{type(error).__name__}: {error}"
            raise
        finally:
            self.context.meter.step(name, result, loop.time() - started)
            if detail:
                self.run = _ended(self.run, result, detail, self.context.now())
        log.info("step finished", extra=fields | {"detail": detail})
        await self.save(lambda run: _ended(run, result, detail, self.context.now()))

    async def save(self, change: Callable[[Run], Run]) -> None:
        """Changes the run on record. Raises EndRun, FencedError and JournalError.

        Before the first delete an API server that does not answer ends the run after `patience`. Afterwards the write
        is repeated until it succeeds.
        """

        def apply(journal: Journal) -> tuple[Journal, Run]:
            run = change(self._mine(journal))
            return changes.update_run(journal, run), run

        self.run = await self._persist(apply, patience=None if self.run.disruptive else self.patience)

    async def intend(self, uid: str) -> None:
        """Records that a delete of the pod with this UID is about to be sent. Raises as `checkpoint` does."""
        window = timedelta(seconds=self.context.foundation.remediation.breaker.window)

        def apply(journal: Journal) -> tuple[Journal, Run]:
            self._may_continue(journal, self._mine(journal))  # by compare-and-swap: nothing can come in between
            changed = changes.record_intent(journal, self._mine(journal), uid, window=window, now=self.context.now())
            return changed, self._mine(changed)

        self.run = await self._persist(apply, patience=self.patience)

    async def checkpoint(self) -> None:
        """Reads the journal and stops where a person or the alerts demand it. Raises EndRun and FencedError."""
        journal = await self._patiently(self._store.refresh, self.patience)
        self.run = self._mine(journal)
        self.journal_epoch = journal.epoch
        self._may_continue(journal, self.run)
        if journal.epoch > self.held.epoch or not self.held.remaining(self.context.instant()):
            raise FencedError("the lease was not renewed in time, or another process has taken it")

    async def announce(self, reason: str, text: str, *, warning: bool = False) -> None:
        """Creates a Kubernetes Event of it."""
        await self._announcer.say(self.run, reason, f"{text} (run {self.run.id})", warning=warning)

    @staticmethod
    def _may_continue(journal: Journal, run: Run) -> None:
        """Raises EndRun where a person forbids it; alerts and the breaker stop no run that has deleted a pod."""
        if journal.paused is not None:
            by = f"paused by {journal.paused.by}: {journal.paused.reason}"
            raise EndRun(stopped(run, RunReason.PAUSED, by))
        if run.withdrawn and not run.disruptive:
            text = "every alert that requested the run is resolved"
            raise EndRun(Verdict(Outcome.CANCELLED, RunReason.RESOLVED, text))
        if journal.breaker_opened is not None and not run.disruptive:
            raise EndRun(stopped(run, RunReason.BREAKER_OPEN, "the breaker is open: a person must run `reset`"))

    def inconclusive(self, reason: RunReason, detail: str) -> Verdict:
        """Nothing is deleted on less than a proof; once pods were deleted, that is a failure and not only a doubt."""
        return Verdict(Outcome.FAILED if self.run.disruptive else Outcome.UNPROVEN, reason, detail)

    async def end(self, verdict: Verdict) -> Run:
        """Records the end of the run, however long that takes. Raises FencedError and JournalError."""
        foundation = self.context.foundation
        breaker = foundation.remediation.breaker
        before = self.run.steps
        now = self.context.now()

        def apply(journal: Journal) -> tuple[Journal, Run]:
            found = journal.find(self.run.id)
            if found is not None and found.outcome is verdict.outcome and found.ended == now:
                return journal, found  # it is on record: only the answer was lost
            run = self._mine(journal)
            run = msgspec.structs.replace(
                run,
                steps=_closed(before if len(before) >= len(run.steps) else run.steps, now),
                outcome=verdict.outcome,
                reason=verdict.text[:MAX_TEXT],
                detail=verdict.detail[:MAX_TEXT],
                evidence="\n".join(filter(None, (run.evidence, verdict.evidence))),
                ended=now,
            )
            changed = changes.end_run(
                journal,
                run,
                breaker_runs=breaker.runs,
                breaker_window=timedelta(seconds=breaker.window),
                wanted=left_wanted(run, foundation, now),
                now=now,
            )
            return changed, run

        self.run = await self._persist(apply, patience=None)
        self.context.meter.run_ended(self.run)
        fine = verdict.outcome in {Outcome.RECOVERED, Outcome.NOT_NEEDED}
        fields = {"foundation": self.run.foundation, "run": self.run.id, "outcome": verdict.outcome}
        fields |= {"reason": verdict.text, "detail": verdict.detail}
        log.log(logging.INFO if fine else logging.WARNING, "run finished", extra=fields)
        text = f"run {self.run.id}: {verdict.outcome}" + (f", {verdict.text}" if verdict.text else "")
        await self._announcer.say(self.run, "RunEnded", text, warning=verdict.outcome is Outcome.FAILED)
        return self.run

    def _mine(self, journal: Journal) -> Run:
        run = journal.find(self.run.id)
        if run is None or run.outcome is not None:
            raise FencedError(f"run {self.run.id} is not open any more")
        return run

    async def _persist(self, apply: Callable[[Journal], tuple[Journal, Run]], *, patience: float | None) -> Run:
        return await self._patiently(lambda: self._store.update(apply, epoch=self.held.epoch), patience)

    async def _patiently(self, call: Callable[[], Awaitable[T]], patience: float | None) -> T:
        deadline = None if patience is None else asyncio.get_running_loop().time() + patience

        def failed(error: KubernetesError) -> None:
            final = logging.ERROR if is_final(error) else logging.WARNING
            log.log(final, "journal not reachable", extra={"run": self.run.id, "error": str(error)})

        try:
            return await retry(call, timings=self.context.timings, deadline=deadline, failed=failed)
        except TimeoutError:
            raise EndRun(self._unreachable(f"no answer within {patience:g} s")) from None
        except KubernetesError as error:
            if patience is None:
                raise  # the API server refuses the write: the medic releases the lease, and tries again later
            raise EndRun(self._unreachable(str(error))) from error

    def _unreachable(self, text: str) -> Verdict:
        reason = RunReason.DEADLINE if self.run.disruptive else RunReason.API_UNREACHABLE
        return self.inconclusive(reason, f"the journal cannot be reached: {text}")


def _begun(run: Run, opened: StepRecord) -> Run:
    """Opens a step."""
    if run.steps[-1:] == (opened,):
        return run  # it is on record: only the answer was lost
    return msgspec.structs.replace(run, step=opened.name, steps=(*_closed(run.steps, opened.started), opened))


def _closed(steps: tuple[StepRecord, ...], now: datetime) -> tuple[StepRecord, ...]:
    """A step that is still open belongs to a process that died, or could not be finished."""
    return tuple(
        step if step.ended else msgspec.structs.replace(step, ended=now, result=StepResult.INTERRUPTED)
        for step in steps
    )


def _ended(run: Run, result: StepResult, detail: str, now: datetime) -> Run:
    last = msgspec.structs.replace(run.steps[-1], ended=now, result=result, detail=detail[:MAX_TEXT])
    return msgspec.structs.replace(run, steps=(*run.steps[:-1], last))
