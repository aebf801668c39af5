"""Following a run from the outside, by its journal: what `diego-runbook run` prints, whoever executes it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from exporter.kubernetes.api import KubernetesError
from webhook.operator.report import step_line
from webhook.record.journal import Run
from webhook.record.store import Store

POLL_INTERVAL = 1.0


async def follow(
    store: Store,
    *,
    find: Callable[[tuple[Run, ...]], Run | None],
    waiting: Callable[[], bool],
    hindered: Callable[[], str],
    say: Callable[[str], None],
) -> Run | None:
    """Says each step as it is taken, and returns the run when it has ended.

    `find` picks the run among those on record; None where it is not there, and `waiting` says that it won't come.
    While it has not begun, what `hindered` names is said as well.
    """
    hindrance = ""
    said: dict[datetime, str] = {}
    while True:
        with suppress(KubernetesError):
            await store.refresh()
        run = find(store.journal.runs) if store.journal is not None else None
        if run is not None:
            _say_new(run, said, say)
            if run.outcome is not None:
                return run
        elif store.journal is not None and not waiting():
            return None
        elif hindered() != hindrance:
            hindrance = hindered()
            say(f"waiting for the lease: {hindrance}" if hindrance else "lease acquired")
        await asyncio.sleep(POLL_INTERVAL)


def _say_new(run: Run, said: dict[datetime, str], say: Callable[[str], None]) -> None:
    for step in run.steps:
        line = step_line(step)
        if said.get(step.started) != line:
            said[step.started] = line
            say(line)
