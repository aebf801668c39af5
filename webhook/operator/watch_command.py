"""`diego-runbook watch`: the state of foundations as it changes, in a terminal or as a log. It only reads."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from exporter.clock import utc
from exporter.config.model import Foundation
from exporter.foundation.probe import dial_tcp
from webhook.medic.wiring import store_for, writer_for
from webhook.operator.command_context import CommandContext, ExitCode, mute, say
from webhook.operator.layout import Row, rows
from webhook.operator.lines import Line, Section
from webhook.operator.lookout import Lookout
from webhook.operator.news import News
from webhook.operator.screen import screen
from webhook.operator.sight import Sight
from webhook.operator.structured import TEXT, in_stream, public_sight
from webhook.operator.terminal import draws_on

LOOKED = 0.25
"""Seconds between two looks at what is known."""
_ENDS = (signal.SIGINT, signal.SIGTERM)
_END = "Ctrl-C ends it. To watch changes nothing."


async def watch(command: CommandContext, foundations: Sequence[Foundation], *, output: str) -> ExitCode:
    """Shows until Ctrl-C or SIGTERM, which are its normal end. Whatever cannot be read is said, and tried again."""
    lookouts = [_lookout(command, foundation) for foundation in foundations]
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _ENDS:
        loop.add_signal_handler(number, ended.set)
    async with asyncio.TaskGroup() as group:
        looking = [group.create_task(lookout.run()) for lookout in lookouts]
        try:
            show = _draw if output == TEXT and draws_on(sys.stdout) else partial(_log, output=output)
            await show(lambda: [lookout.sight for lookout in lookouts], ended)
        finally:
            for task in looking:
                task.cancel()
            for number in _ENDS:  # whoever is impatient now gets what Ctrl-C does everywhere
                loop.remove_signal_handler(number)
    return ExitCode.OK


def _lookout(command: CommandContext, foundation: Foundation) -> Lookout:
    writer = writer_for(foundation, command.connections)
    store = store_for(foundation, writer)
    return Lookout(foundation, writer, store, clock=command.clock, random=command.random, dial=dial_tcp)


async def _log(look: Callable[[], Sequence[Sight]], ended: asyncio.Event, *, output: str) -> None:
    news: dict[str, News] = {}
    try:
        while not ended.is_set():
            for sight in look():
                if sight.tried:
                    _say_new(news.setdefault(sight.known.foundation.name, News()), sight, output)
            await _pause(ended)
    except BrokenPipeError:  # as `grep -m 1` goes when it has found what it waited for
        mute()


def _say_new(news: News, sight: Sight, output: str) -> None:
    lines = news.lines(sight)
    if output == TEXT:
        for line in lines:
            say(line)
    elif lines:
        say(in_stream(public_sight(sight), output))


async def _draw(look: Callable[[], Sequence[Sight]], ended: asyncio.Event) -> None:
    from webhook.operator.display import Display  # noqa: PLC0415 - rich is imported where something is drawn

    def picture(width: int, height: int) -> list[Row]:
        sights = look()
        several, footer = len(sights) > 1, Line(_END, tone="faint")
        return rows([_title(sights), *screen(sights)], width=width, height=height, footer=footer, several=several)

    with Display(full=True) as display:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, display.suspend)
        while not ended.is_set():
            display.show(picture)
            await _pause(ended)
    # What was seen last stays in the scrollback, however long it was.
    sights = look()
    display.print(rows([_title(sights), *screen(sights)], width=display.size[0], height=10_000))


def _title(sights: Sequence[Sight]) -> Section:
    moment = max(sight.known.now for sight in sights)
    said = "live" if all(sight.live for sight in sights) else "NOT LIVE, see below"
    return Section(0, (Line(f"diego-runbook watch, {utc(moment)}, {said}", tone="faint"),))


async def _pause(ended: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOKED):
            await ended.wait()
