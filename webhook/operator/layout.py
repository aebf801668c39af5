"""Lines for a terminal of some size: what is too long is wrapped, what has no room is left out, which is said. Pure."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.config.types import printable
from webhook.operator.lines import Line, Section

BAR = 20
"""Characters of a bar."""
_NARROWEST = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the terminal: a lead in the colour of its kind, a bar (of which `done` characters are full), a text."""

    lead: str = ""
    text: str = ""
    kind: str = ""
    tone: str = ""
    done: int | None = None


def rows(
    sections: Sequence[Section], *, width: int, height: int, footer: Line | None = None, several: bool = False
) -> list[Row]:
    """At most `height` rows, each of at most `width` characters. What comes from a cluster has no escapes any more.

    `several`: they are of more than one foundation.
    """
    last = _wrapped(footer, width) if footer is not None else []
    height -= len(last)
    kept = [_Kept(section.rank, _of(section.lines, width), _of(section.short, width)) for section in sections]
    kept = [each for each in kept if each.rows]
    left_out = 0
    while True:
        for blanks in (True, False):
            shown = _joined([each.rows for each in kept], blanks=blanks)
            if len(shown) + bool(left_out) <= height:
                return [*shown, *_said(left_out, width, several), *last]
        # Of the same rank the last goes first: trouble stands before it.
        worst = max(reversed(kept), key=lambda each: each.rank)
        if not worst.rank:
            cut = max(1, height - 1)
            return [*shown[:cut], *_said(left_out + len(shown) - cut, width, several), *last]
        left_out += len(worst.rows) - len(worst.short)
        worst.rank, worst.rows = 0, worst.short


@dataclass(slots=True)
class _Kept:
    rank: int
    rows: list[Row]
    short: list[Row]


def _said(left_out: int, width: int, several: bool) -> list[Row]:
    text = f"… {left_out} more lines: make the terminal larger" + (", or watch one foundation" if several else "")
    return [Row(text=text[:width], tone="faint")] if left_out else []


def _joined(parts: Sequence[list[Row]], *, blanks: bool) -> list[Row]:
    """One after the other; with `blanks` a row is left free around each that has several."""
    shown: list[Row] = []
    before: list[Row] = []
    for part in filter(None, parts):
        if blanks and (len(before) > 1 or (before and len(part) > 1)):
            shown.append(Row())
        shown += part
        before = part
    return shown


def _of(lines: Iterable[Line], width: int) -> list[Row]:
    return [row for line in lines for row in _wrapped(line, width)]


def _wrapped(line: Line, width: int) -> list[Row]:
    lead = printable(line.lead)
    beside = len(lead) + (BAR + 1 if line.share is not None else 0)
    text = printable(line.text.replace("\t", " ").replace("\n", " "))
    # Not at hyphens: a name or a path that is copied must be whole.
    room = max(_NARROWEST, width - beside)
    found = textwrap.wrap(text, room, max_lines=line.most, placeholder=" …", break_on_hyphens=False) or [""]
    done = None if line.share is None else round(line.share * BAR)
    first = Row(lead, found[0], line.kind, line.tone, done)
    return [first, *(Row(" " * beside, more, line.kind, line.tone) for more in found[1:])]
