"""Rows on a terminal, by rich: the whole screen for `watch`, the lines below the cursor for `run`.

Texts are handed to rich as `Text`, in which nothing is markup, whatever a pod or an alert said.
"""

import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from exporter.config.types import printable
from webhook.operator.layout import BAR, Row
from webhook.operator.terminal import in_colour, plain_symbols

_COLOURS: Final = {"good": "green", "bad": "red", "busy": "cyan", "needs": "yellow", "unknown": "magenta"}
_ASCII: Final = str.maketrans({"✓": "+", "✕": "x", "↻": "~", "○": "-", "…": ".", "█": "#", "░": "."})

REDRAWN: Final = 0.25
"""Seconds between two looks at what is known; what is the same is not drawn again."""
_KEPT: Final = 200
_PATIENCE: Final = 0.5  # seconds


class _Later:
    """A stream that keeps the last of what is written, until it may be printed."""

    def __init__(self) -> None:
        self.texts: deque[str] = deque(maxlen=_KEPT)

    def write(self, text: str) -> None:
        self.texts.append(text)

    def flush(self) -> None: ...

    def taken(self) -> str:
        """All of it, once."""
        return "".join(self.texts.popleft() for _ in range(len(self.texts)))


class Display:
    """Shows rows until it is left, and again whenever they change. `full`: on a screen of its own, which goes away."""

    def __init__(self, *, full: bool) -> None:
        self._console = Console(
            file=sys.stdout, force_terminal=True, no_color=not in_colour(), highlight=False, markup=False, emoji=False
        )
        self._full = full
        self._ascii = plain_symbols(sys.stdout)
        self._live: Live | None = None
        self._shown: object = None
        self._writing = Lock()  # `run` draws in a thread
        self._logged = _Later()
        self._streams: list[tuple[logging.StreamHandler[Any], Any]] = []

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows that there are now. The last column stays free: some terminals break the line there."""
        width, height = self._console.size
        return max(1, width - 1), height

    def show(self, make: Callable[[int, int], Sequence[Row]]) -> None:
        """Shows what `make` returns for a width and a height, if that is not what is there already."""
        width, height = self.size
        found = make(width, height)
        if not self._full and self._logged.texts:
            self.print([Row(text=printable(line)) for line in self._logged.taken().splitlines()])
        with self._writing:
            if self._live is not None and (width, height, found) != self._shown:
                self._shown = (width, height, found)
                self._live.update(self._text(found), refresh=True)

    def print(self, rows: Sequence[Row]) -> None:
        """Prints rows that stay."""
        with self._writing:
            self._console.print(self._text(rows), soft_wrap=True)

    def start(self) -> None:
        """Takes the terminal: no cursor, and what is logged to it does not run through the picture."""
        self._shown = None
        beside = sys.stderr.isatty()
        self._live = Live(
            console=self._console,
            screen=self._full,
            auto_refresh=False,
            transient=True,
            redirect_stderr=beside,
        )
        self._live.start()
        for handler in logging.getLogger().handlers if beside else ():
            if isinstance(handler, logging.StreamHandler):
                self._streams.append((handler, handler.stream))
                handler.setStream(self._logged)

    def stop(self) -> None:
        """Gives the terminal back as it was, and prints what was logged meanwhile."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        for handler, stream in self._streams:
            handler.setStream(stream)
        self._streams.clear()
        sys.stderr.write(self._logged.taken())

    def suspend(self) -> None:
        """Ctrl-Z: the shell gets the terminal as it was, and `fg` brings the picture back.

        A thread that writes to a terminal which takes nothing is not waited for.
        """
        free = self._writing.acquire(timeout=_PATIENCE)
        if free:
            self.stop()
        os.kill(os.getpid(), signal.SIGSTOP)
        if free:
            self.start()
            self._writing.release()

    def _text(self, rows: Sequence[Row]) -> Text:
        made = Text(no_wrap=True, overflow="ellipsis")
        for number, row in enumerate(rows):
            if number:
                made.append("\n")
            colour = _COLOURS.get(row.kind, "")
            made.append(self._plain(row.lead), style=colour)
            if row.done is not None:
                made.append(self._plain("█" * row.done), style=colour)
                made.append(self._plain("░" * (BAR - row.done) + " "), style="dim")
            made.append(self._plain(row.text), style={"strong": f"bold {colour}", "faint": "dim"}.get(row.tone, ""))
        return made

    def _plain(self, text: str) -> str:
        return text.translate(_ASCII) if self._ascii else text

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
