"""What a run needs of its surroundings, as one value; and how a run ends."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Protocol

from exporter.clock import Clock, Instant, utc_now
from exporter.config.model import Foundation
from exporter.foundation.probe import Dialer
from exporter.foundation.view import Probe
from webhook.record.journal import Outcome, Run, Step, StepResult
from webhook.record.reasons import RunReason
from webhook.timings import DEFAULT, Timings
from webhook.writer import Writer


class Meter(Protocol):
    """Is called for what a run does, so that it can be counted."""

    def step(self, step: Step, result: StepResult, seconds: float) -> None: ...

    def run_ended(self, run: Run) -> None: ...


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The foundation, and each outside thing behind its seam."""

    foundation: Foundation
    kubernetes: Writer
    clock: Clock
    random: Random
    dial: Dialer
    meter: Meter
    on_probe: Callable[[Probe, bool | None], None]
    timings: Timings = DEFAULT

    def now(self) -> datetime:
        return utc_now(self.clock)

    def instant(self) -> Instant:
        return Instant.of(self.clock)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ends: the outcome, its reason with the place where it applies, and the sentence for a person."""

    outcome: Outcome
    reason: RunReason | None
    detail: str = ""
    place: str = ""
    evidence: str = ""
    """What was read after a failure; the run keeps it beside what it had."""

    @property
    def text(self) -> str:
        """The run's `reason` on record: `not-ready diego-api-1 container bbs (CrashLoopBackOff)`."""
        return " ".join(filter(None, (self.reason or "", self.place)))


class EndRun(Exception):  # noqa: N818 - not an error: it carries how a run ends
    """Ends the run from within a step."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{verdict.outcome} {verdict.text}: {verdict.detail}")
        self.verdict = verdict


def stopped(run: Run, reason: RunReason, detail: str) -> Verdict:
    """How a run ends that a person or a guard stops: refused before the first delete, failed in the middle."""
    if not run.disruptive:
        return Verdict(Outcome.OBSERVED if reason is RunReason.OBSERVE else Outcome.REFUSED, reason, detail)
    begun = sum(pod.intended_at is not None for pod in run.pods)
    return Verdict(Outcome.FAILED, reason, detail, place=f"after {begun} of {len(run.pods)}")
