"""`diego-runbook check`: all foundations at once; in a terminal with what is waited for, and in colour."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol

from exporter.config.model import Foundation
from exporter.config.types import printable
from webhook.operator import checkup
from webhook.operator.checkup import Checkup
from webhook.operator.command_context import CommandContext, ExitCode, hint, say
from webhook.operator.layout import Row, rows
from webhook.operator.lines import Line, Section
from webhook.operator.report import attempted, checkup_lines, checkup_summary, drawn, examined, in_progress
from webhook.operator.structured import TEXT, public_checkup, structured
from webhook.operator.terminal import draws_on

_WORST_FIRST = (ExitCode.FAILED, ExitCode.UNKNOWN, ExitCode.DEGRADED, ExitCode.OK)


async def check(command: CommandContext, foundations: Sequence[Foundation], *, output: str) -> ExitCode:
    """Diagnoses without changing anything, all foundations at once. The exit code is the worst of theirs.

    Where nothing is drawn, a report is printed as soon as it is there: an API server that hangs withholds no other.
    """
    plain = output == TEXT and not draws_on(sys.stdout)
    printed = 0
    async with _showing(command, foundations) as progress:

        async def examine(foundation: Foundation) -> Checkup:
            nonlocal printed
            context, store = command.run_context(foundation), command.store(foundation)
            found = await checkup.check(context, store=store, progress=lambda: progress.unreachable(foundation))
            progress.done(found)
            if plain:
                say("\n".join([""] * (printed > 0) + checkup_lines(found)))
                printed += 1
            return found

        found = await asyncio.gather(*map(examine, foundations))
    if output != TEXT:
        say(structured({"foundations": [public_checkup(each) for each in found]}, output))
    elif not plain:
        _print(drawn(found))
    elif len(found) > 1:
        say("\n" + "\n".join(checkup_summary(found)))
    return min((each.exit_code for each in found), key=_WORST_FIRST.index)


class Progress(Protocol):
    """Is told of an attempt that found the BBS unreachable, and of each foundation that is done."""

    def unreachable(self, foundation: Foundation) -> None: ...

    def done(self, found: Checkup) -> None: ...


class Hints:
    """A line on standard error for each attempt."""

    def __init__(self, *, several: bool) -> None:
        self._several = several
        self._attempts: dict[str, int] = {}

    def unreachable(self, foundation: Foundation) -> None:
        number = self._attempts[foundation.name] = self._attempts.get(foundation.name, 0) + 1
        text = attempted(foundation, number)
        hint(f"{foundation.name}: {text}" if self._several else text)

    def done(self, found: Checkup) -> None: ...


class Waits:
    """What is known of each foundation until all are done."""

    def __init__(self, command: CommandContext, foundations: Sequence[Foundation]) -> None:
        self._command = command
        self._unreachable: dict[str, list[datetime]] = {each.name: [] for each in foundations}
        self._foundations = foundations
        self._done: dict[str, Checkup] = {}

    def unreachable(self, foundation: Foundation) -> None:
        self._unreachable[foundation.name].append(self._command.now())

    def done(self, found: Checkup) -> None:
        self._done[found.foundation.name] = found

    def rows(self, width: int, height: int) -> list[Row]:
        """What is drawn now."""
        lines = [self._line(each) for each in self._foundations]
        return rows([Section(0, tuple(lines))], width=width, height=height - 1)

    def _line(self, foundation: Foundation) -> Line:
        done = self._done.get(foundation.name)
        if done is not None:
            return examined(done)
        return in_progress(foundation, self._unreachable[foundation.name], self._command.now())


@asynccontextmanager
async def _showing(command: CommandContext, foundations: Sequence[Foundation]) -> AsyncIterator[Progress]:
    if not draws_on(sys.stdout):
        yield Hints(several=len(foundations) > 1)
        return
    from webhook.operator.display import REDRAWN, Display  # noqa: PLC0415 - rich is imported where something is drawn

    waits = Waits(command, foundations)
    with Display(full=False) as display:

        async def draw() -> None:
            while True:
                display.show(waits.rows)
                await asyncio.sleep(REDRAWN)

        drawing = asyncio.create_task(draw())
        try:
            yield waits
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])


def _print(lines: Sequence[Line]) -> None:
    """The lines in colour, each whole: the terminal itself breaks what is too long."""
    from webhook.operator.display import Display  # noqa: PLC0415 - as above

    made = [Row(printable(line.lead), printable(line.text.expandtabs()), line.kind, line.tone) for line in lines]
    Display(full=False).print(made)
