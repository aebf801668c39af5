"""A run's record while it is executed: every step stands in the journal before it is taken, and after it.

The journal is the only state. `Execution.run` is what was last put there, with what others wrote since (a resolved
alert, a pause) coming in at each write.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.kubernetes.api import KubernetesError
from webhook.metrics import RunMetrics
from webhook.record.journal import (
    MAX_TEXT,
    Journal,
    Outcome,
    Run,
    Step,
    StepRecord,
    StepResult,
    end_run,
    record_intent,
    update_run,
)
from webhook.record.lease import RENEW_DEADLINE, Held
from webhook.record.store import FencedError, JournalError, Store
from webhook.runbook.events import Announcer

T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for which a call to the API server is tried again once pods are gone."""
_MIN_WAIT, _MAX_WAIT = 0.5, 5.0


class End(Exception):  # noqa: N818 - not an error: how a run ends
    """Ends the run: its outcome, the reason's name, and the sentence for a person."""

    def __init__(self, outcome: Outcome, reason: str, detail: str = "") -> None:
        super().__init__(f"{outcome} {reason}: {detail}")
        self.outcome = outcome
        self.reason = reason
        self.detail = detail


class Execution:
    """The open run of a foundation, in the hands of the holder of its lease."""

    def __init__(
        self,
        *,
        run: Run,
        foundation: Foundation,
        store: Store,
        held: Held,
        clock: Clock,
        metrics: RunMetrics,
        announcer: Announcer,
    ) -> None:
        self.run = run
        self._foundation = foundation
        self._store = store
        self._held = held
        self._clock = clock
        self._metrics = metrics
        self._announcer = announcer

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    @property
    def patience(self) -> float:
        """Seconds for which a call to the API server is tried again.

        While nothing was deleted only as long as the lease is trusted without a renewal: what can't be asked is not
        proved, and not to go on is the safer thing.
        """
        return PATIENCE if self.run.disruptive else RENEW_DEADLINE

    async def step(self, name: Step, work: Callable[[], Awaitable[str]]) -> None:
        """Takes one step: on record before and after, timed and counted. Its detail is what `work` returns."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        opened = StepRecord(name=name, started=self.now())
        await self.save(lambda run: _begun(run, opened))
        log.info("step", extra={"foundation": self.run.foundation, "run": self.run.id, "step": name})
        result, detail = StepResult.INTERRUPTED, ""
        try:
            detail = await work()
            result = StepResult.OK
        except End as end:
            broken = end.outcome in {Outcome.FAILED, Outcome.UNPROVEN}
            result, detail = StepResult.FAILED if broken else StepResult.STOPPED, end.detail or end.reason
            raise
        except (FencedError, JournalError):
            raise
        except Exception as error:
            result, detail = StepResult.FAILED, f"{type(error).__name__}: {error}"
            raise
        finally:
            self._metrics.step(name, result, loop.time() - begun)
            if detail:
                self.run = _ended(self.run, result, detail, self.now())
        log.info(
            "step done", extra={"foundation": self.run.foundation, "run": self.run.id, "step": name, "detail": detail}
        )
        await self.save(lambda run: _ended(run, result, detail, self.now()))

    async def save(self, change: Callable[[Run], Run]) -> None:
        """Changes the run on record. Raises End, FencedError and JournalError.

        While nothing was deleted an API server that does not answer ends the run after `patience`. Once a pod is gone
        the record is waited for as long as it takes.
        """

        def apply(journal: Journal) -> tuple[Journal, Run]:
            run = change(self._mine(journal))
            return update_run(journal, run), run

        self.run = await self._persist(apply, patience=None if self.run.disruptive else self.patience)

    async def intend(self, uid: str) -> None:
        """Writes that the pod with this UID is going to be deleted. From the first one on the run is disruptive."""
        window = timedelta(seconds=self._foundation.remediation.breaker.window)

        def apply(journal: Journal) -> tuple[Journal, Run]:
            self._may_go_on(journal, self._mine(journal))  # by compare-and-swap: what comes later comes too late
            changed = record_intent(journal, self._mine(journal), uid, window=window, now=self.now())
            return changed, self._mine(changed)

        self.run = await self._persist(apply, patience=self.patience)

    async def announce(self, reason: str, text: str) -> None:
        """Makes a Kubernetes Event of it, if that costs nothing."""
        await self._announcer.say(self.run, reason, f"{text} (run {self.run.id})")

    async def checkpoint(self) -> None:
        """Reads the journal afresh and stops where a person or the alerts have said so. Raises End and FencedError."""
        journal = await self._patiently(self._store.refresh, self.patience)
        self.run = self._mine(journal)
        self._may_go_on(journal, self.run)
        if journal.epoch > self._held.epoch or not self._held.valid:
            raise FencedError("the lease was not renewed in time, or taken over")

    @staticmethod
    def _may_go_on(journal: Journal, run: Run) -> None:
        """Raises End where a person or the alerts say no; a resolved alert stops no run that has begun to delete."""
        if journal.paused is not None:
            by = f"paused by {journal.paused.by}: {journal.paused.reason}"
            if not run.disruptive:
                raise End(Outcome.REFUSED, "paused", by)
            gone = sum(pod.intent is not None for pod in run.pods)
            raise End(Outcome.FAILED, f"paused after {gone} of {len(run.pods)}", by)
        if run.withdrawn and not run.disruptive:
            raise End(Outcome.CANCELLED, "resolved", "every alert that asked for it is resolved")

    async def end(self, end: End) -> Run:
        """Puts the end of the run on record, however long that takes. Raises FencedError and JournalError."""
        settings = self._foundation.remediation
        before = self.run.steps
        now = self.now()

        def apply(journal: Journal) -> tuple[Journal, Run]:
            found = journal.find(self.run.id)
            if found is not None and found.outcome is end.outcome and found.ended == now:
                return journal, found  # it is on record: only the answer was lost
            run = self._mine(journal)
            run = msgspec.structs.replace(
                run,
                steps=_closed(before if len(before) >= len(run.steps) else run.steps, now),
                outcome=end.outcome,
                reason=end.reason[:MAX_TEXT],
                detail=end.detail[:MAX_TEXT],
                ended=now,
            )
            window = timedelta(seconds=settings.breaker.window)
            changed = end_run(journal, run, breaker_runs=settings.breaker.runs, breaker_window=window, now=now)
            return changed, run

        self.run = await self._persist(apply, patience=None)
        run = self.run
        self._metrics.run_ended(run)
        log.log(
            logging.INFO if end.outcome in {Outcome.RECOVERED, Outcome.NOT_NEEDED} else logging.WARNING,
            "run ended",
            extra={
                "foundation": run.foundation,
                "run": run.id,
                "outcome": end.outcome,
                "reason": end.reason,
                "detail": end.detail,
            },
        )
        text = f"run {run.id} ended: {end.outcome}" + (f", {end.reason}" if end.reason else "")
        await self._announcer.say(run, "RunEnded", text, warning=end.outcome is Outcome.FAILED)
        return run

    def _mine(self, journal: Journal) -> Run:
        run = journal.find(self.run.id)
        if run is None or run.outcome is not None:
            raise FencedError(f"run {self.run.id} is not open any more")
        return run

    async def _persist(self, apply: Callable[[Journal], tuple[Journal, Run]], *, patience: float | None) -> Run:
        return await self._patiently(lambda: self._store.update(apply, epoch=self._held.epoch), patience)

    async def _patiently(self, call: Callable[[], Awaitable[T]], patience: float | None) -> T:
        loop = asyncio.get_running_loop()
        deadline = None if patience is None else loop.time() + patience
        wait = _MIN_WAIT
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await call()
            except TimeoutError:
                raise self._out_of_reach(f"no answer within {patience:g} s") from None
            except KubernetesError as error:
                if deadline is not None and loop.time() >= deadline:
                    raise self._out_of_reach(str(error)) from error
                log.warning("the journal can't be reached", extra={"run": self.run.id, "error": str(error)})
            await asyncio.sleep(wait)
            wait = min(wait * 2, _MAX_WAIT)

    def _out_of_reach(self, why: str) -> End:
        if self.run.disruptive:
            return End(Outcome.FAILED, "deadline", f"the journal can't be reached: {why}")
        return End(Outcome.UNPROVEN, "api-unreachable", f"the journal can't be reached: {why}")


def _begun(run: Run, opened: StepRecord) -> Run:
    """Opens a step."""
    if run.steps[-1:] == (opened,):
        return run  # it is on record: only the answer was lost
    return msgspec.structs.replace(run, step=opened.name, steps=(*_closed(run.steps, opened.started), opened))


def _closed(steps: tuple[StepRecord, ...], now: datetime) -> tuple[StepRecord, ...]:
    """A step that is still open belongs to a process that died, or could not be taken."""
    return tuple(
        step if step.ended else msgspec.structs.replace(step, ended=now, result=StepResult.INTERRUPTED)
        for step in steps
    )


def _ended(run: Run, result: StepResult, detail: str, now: datetime) -> Run:
    last = msgspec.structs.replace(run.steps[-1], ended=now, result=result, detail=detail[:MAX_TEXT])
    return msgspec.structs.replace(run, steps=(*run.steps[:-1], last))
