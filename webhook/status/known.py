"""All that this process knows of a foundation at one moment, and what follows from it. Values only."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from exporter.config.model import Foundation
from exporter.foundation.summary import Summary, summarize
from exporter.foundation.view import FoundationView
from webhook.record.journal import Journal, Outcome, Run, Step, StepRecord, StepResult
from webhook.record.reasons import RunReason

_ASKS = {Step.CONFIRM_UNREACHABLE, Step.VERIFY_REACHABLE}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the Cloud Controller's pods reported in a run; `reachable` is None where that proved nothing."""

    run: str
    reachable: bool | None
    text: str
    at: datetime


@dataclass(frozen=True)
class Known:
    """A foundation as this process knows it.

    `journal` is None while it is not known: `trouble` says why, and `lost` whether a person must reset it. `error` is
    what is wrong between us and the API server; `waits_for` why this replica cannot act. `decides` is whether this
    process decides requests: one that only watches cannot say what becomes of them while it cannot read the journal.
    """

    foundation: Foundation
    view: FoundationView
    now: datetime
    journal: Journal | None = None
    trouble: str = ""
    lost: bool = False
    error: str = ""
    waits_for: str = ""
    decides: bool = True

    @property
    def run(self) -> Run | None:
        """The run in progress."""
        return self.journal.open_run if self.journal is not None else None

    @property
    def last_run(self) -> Run | None:
        """The last run that has ended."""
        runs = self.journal.runs if self.journal is not None else ()
        return next((run for run in reversed(runs) if run.outcome is not None), None)

    @cached_property
    def summary(self) -> Summary:
        return summarize(self.view, self.foundation, now=self.now.timestamp(), error=self.error)

    @cached_property
    def asked(self) -> Asked | None:
        """The newest report from inside the Cloud Controller; None where no run on record has asked."""
        runs = self.journal.runs if self.journal is not None else ()
        answered = (
            _asked(run, step)
            for run in reversed(runs)
            for step in reversed(run.steps)
            if step.name in _ASKS and step.detail
        )
        return next(answered, None)

    @property
    def reachable(self) -> bool | None:
        """Whether the BBS is reachable, by the newest that is known: our own probe, or a check of a run."""
        own, asked = self.summary.reachable, self.asked
        if asked is None or asked.reachable is None:
            return own
        fresh = self.now - asked.at <= timedelta(seconds=self.foundation.staleness)
        newer = own is None or asked.at > datetime.fromtimestamp(self.view.bbs.known_at, UTC)
        return asked.reachable if fresh and newer else own


def _asked(run: Run, step: StepRecord) -> Asked:
    return Asked(run=run.id, reachable=_proved(run, step), text=step.detail, at=step.ended or step.started)


def _proved(run: Run, step: StepRecord) -> bool | None:
    if step.result is StepResult.OK:
        return step.name is Step.VERIFY_REACHABLE
    if step is not run.steps[-1]:
        return None
    if run.outcome is Outcome.NOT_NEEDED and run.cause is RunReason.REACHABLE:
        return True
    return False if run.cause is RunReason.UNREACHABLE else None
