"""Following a run from the outside, by its journal: what `diego-runbook run` shows, whoever executes it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from exporter.kubernetes.api import KubernetesError
from webhook.operator.command_context import hint, say
from webhook.operator.next_step import after_run
from webhook.operator.run_report import outcome_line, step_line
from webhook.record.journal import Outcome, Run, StepRecord
from webhook.record.store import Store

POLL_INTERVAL = 1.0
_DONE = {Outcome.RECOVERED, Outcome.NOT_NEEDED, Outcome.OBSERVED}


class Progress(Protocol):
    """Shows a run as it goes."""

    @property
    def say(self) -> Callable[[str], None]:
        """Shows something that is no step."""

    def step(self, step: StepRecord) -> None:
        """A step that has begun or ended."""

    def end(self, run: Run) -> None:
        """How the run ended."""


class Lines:
    """A line for each piece of news, by `tell`."""

    def __init__(self, tell: Callable[[str], None] = say) -> None:
        self.say = tell

    def step(self, step: StepRecord) -> None:
        self.say(step_line(step))

    def end(self, run: Run) -> None:
        self.say(outcome_line(run))
        if run.outcome not in _DONE:
            hint(f"next: {after_run(run)}")


async def follow(
    store: Store,
    *,
    find: Callable[[tuple[Run, ...]], Run | None],
    waiting: Callable[[], bool],
    hindered: Callable[[], str],
    progress: Progress,
) -> Run | None:
    """Shows each step as it is taken, and returns the run when it has ended.

    `find` picks the run among those on record; None where it is not there, and `waiting` says that it won't come.
    While it has not begun, what `hindered` names is said as well.
    """
    hindrance = ""
    shown: dict[datetime, StepRecord] = {}
    while True:
        with suppress(KubernetesError):
            await store.refresh()
        run = find(store.journal.runs) if store.journal is not None else None
        if run is not None:
            _show_new(run, shown, progress)
            if run.outcome is not None:
                return run
        elif store.journal is not None and not waiting():
            return None
        elif hindered() != hindrance:
            hindrance = hindered()
            progress.say(f"waiting for the lease: {hindrance}" if hindrance else "lease acquired")
        await asyncio.sleep(POLL_INTERVAL)


def _show_new(run: Run, shown: dict[datetime, StepRecord], progress: Progress) -> None:
    for step in run.steps:
        if shown.get(step.started) != step:
            shown[step.started] = step
            progress.step(step)
