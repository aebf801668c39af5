"""What `diego-runbook run` draws in a terminal: steps that are ticked off, and below them what is awaited.

It only shows. Whatever becomes of it, the run goes on.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from webhook.operator.display import REDRAWN, Display
from webhook.operator.layout import Row, rows
from webhook.operator.lookout import Lookout
from webhook.operator.screen import Line, Section, end_printed, left_to_do, step_printed
from webhook.record.journal import Run, StepRecord

log = logging.getLogger(__name__)

_STOP = "Ctrl-C leaves the run in the journal, for the webhook or the next `run`. To stop it: diego-runbook pause {}"


@asynccontextmanager
async def displayed(lookout: Lookout) -> AsyncIterator["RunDisplay"]:
    """Draws while the block runs."""
    loop = asyncio.get_running_loop()
    with Display(full=False) as display:
        loop.add_signal_handler(signal.SIGTSTP, display.suspend)
        # Ends as Ctrl-C does, so that the terminal gets its cursor back.
        loop.add_signal_handler(signal.SIGTERM, os.kill, os.getpid(), signal.SIGINT)
        shown = RunDisplay(lookout, display)
        tasks = [asyncio.create_task(_harmless(work)) for work in (lookout.run, shown.draw)]
        try:
            yield shown
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            loop.remove_signal_handler(signal.SIGTSTP)
            loop.remove_signal_handler(signal.SIGTERM)


async def _harmless(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await work()
    except Exception:
        log.exception("the display failed")


class RunDisplay:
    """The steps that have ended are printed and stay; the rest is drawn below them."""

    def __init__(self, lookout: Lookout, display: Display) -> None:
        self._lookout = lookout
        self._display = display
        self._done: set[datetime] = set()

    def say(self, text: str) -> None:
        self._display.say(text)

    def step(self, step: StepRecord) -> None:
        if step.ended is not None:
            self._done.add(step.started)
            self._draw()  # first: else it would be there twice for a moment
            self._display.print(self._rows([step_printed(step)]))

    def end(self, run: Run) -> None:
        self._display.print(self._rows([end_printed(run)]))

    async def draw(self) -> None:
        """Draws until it is cancelled."""
        while True:
            self._draw()
            await asyncio.sleep(REDRAWN)

    def _draw(self) -> None:
        sight = self._lookout.sight
        sections = left_to_do(sight, self._done)
        stop = Line(_STOP.format(sight.known.foundation.name), tone="faint")
        self._display.show(lambda width, height: rows(sections, width=width, height=height - 1, footer=stop))

    def _rows(self, sections: Sequence[Section]) -> list[Row]:
        return rows(sections, width=self._display.size[0], height=1000)
