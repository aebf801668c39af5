"""What `diego-runbook run` draws in a terminal: steps that are ticked off, and below them what is awaited.

It only shows. A terminal that takes nothing any more (Ctrl-S, a connection that hangs) must not hold up the run, which
the same event loop executes: so a thread writes, and whoever has something to show only leaves it here.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

from webhook.operator.command_context import say
from webhook.operator.display import REDRAWN, Display
from webhook.operator.layout import rows
from webhook.operator.lines import Line, Section
from webhook.operator.lookout import Lookout
from webhook.operator.screen import end_printed, left_to_do, step_printed
from webhook.operator.sight import Sight
from webhook.record.journal import Run, StepRecord

log = logging.getLogger(__name__)

_STOP = "Ctrl-C leaves the run in the journal, for the webhook or the next `run`. To stop it: diego-runbook pause {}"


@asynccontextmanager
async def displayed(lookout: Lookout) -> AsyncIterator["RunDisplay"]:
    """Draws while the block runs; what could not be drawn is said in the end."""
    loop = asyncio.get_running_loop()
    with Display(full=False) as display:
        loop.add_signal_handler(signal.SIGTSTP, display.suspend)
        # Ends as Ctrl-C does, so that the terminal gets its cursor back.
        loop.add_signal_handler(signal.SIGTERM, os.kill, os.getpid(), signal.SIGINT)
        shown = RunDisplay(lookout, display)
        looking, drawing = (asyncio.create_task(_harmless(work)) for work in (lookout.run, shown.draw))
        try:
            yield shown
        finally:
            looking.cancel()
            shown.over.set()
            await asyncio.gather(looking, drawing, return_exceptions=True)
            loop.remove_signal_handler(signal.SIGTSTP)
            loop.remove_signal_handler(signal.SIGTERM)
    for section in shown.undrawn:
        say("\n".join(line.lead + line.text for line in section.lines))


async def _harmless(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await work()
    except Exception:
        log.exception("the display failed")


class RunDisplay:
    """The steps that have ended are printed and stay; the rest is drawn below them."""

    def __init__(self, lookout: Lookout, display: Display) -> None:
        self.over = asyncio.Event()
        self.undrawn: list[Section] = []
        self._lookout = lookout
        self._display = display
        self._done: set[datetime] = set()

    def say(self, text: str) -> None:
        self.undrawn.append(Section(0, (Line(text, most=10),)))

    def step(self, step: StepRecord) -> None:
        if step.ended is not None:
            self._done.add(step.started)
            self.undrawn.append(step_printed(step))

    def end(self, run: Run) -> None:
        self.undrawn.append(end_printed(run))

    async def draw(self) -> None:
        """Draws until it is over, and once more."""
        while not self.over.is_set():
            await self._draw()
            with suppress(TimeoutError):
                async with asyncio.timeout(REDRAWN):
                    await self.over.wait()
        await self._draw()

    async def _draw(self) -> None:
        new = tuple(self.undrawn)
        await asyncio.to_thread(self._write, new, self._lookout.sight, frozenset(self._done))
        del self.undrawn[: len(new)]

    def _write(self, new: Sequence[Section], sight: Sight, done: Collection[datetime]) -> None:
        sections = left_to_do(sight, done)
        stop = Line(_STOP.format(sight.known.foundation.name), tone="faint")
        # What is printed leaves the picture first: else it would be there twice for a moment.
        self._display.show(lambda width, height: rows(sections, width=width, height=height - 1, footer=stop))
        for section in new:
            self._display.print(rows([section], width=self._display.size[0], height=1000))
