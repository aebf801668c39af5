"""Lines for a terminal of some size: what is too long is wrapped, what has no room is left out, which is said. Pure."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.config.types import printable
from webhook.operator.screen import Line, Section

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


def rows(sections: Sequence[Section], *, width: int, height: int) -> list[Row]:
    """At most `height` rows, each of at most `width` characters. What comes from a cluster has no escapes any more."""
    kept = [(section.rank, _section(section, width)) for section in sections if section.lines]
    left_out = 0
    while (shown := _joined([made for _, made in kept], blanks=True)) and len(shown) + bool(left_out) > height:
        close = _joined([made for _, made in kept], blanks=False)
        if len(close) + bool(left_out) <= height:
            shown = close
            break
        worst = max(rank for rank, _ in kept)
        if worst == 0:
            left_out += len(close) - height + 1
            shown = close[: height - 1]
            break
        index = max(index for index, (rank, _) in enumerate(kept) if rank == worst)
        left_out += len(kept.pop(index)[1])
    if left_out:
        text = f"… {left_out} more lines: make the terminal larger, or watch one foundation"
        shown.append(Row(text=text[:width], tone="faint"))
    return shown


def _joined(parts: Sequence[list[Row]], *, blanks: bool) -> list[Row]:
    """One after the other; with `blanks` a row is left free around each that has several."""
    shown: list[Row] = []
    for before, part in zip(([], *parts), parts, strict=False):
        if blanks and shown and (len(before) > 1 or len(part) > 1):
            shown.append(Row())
        shown += part
    return shown


def _section(section: Section, width: int) -> list[Row]:
    return [row for line in section.lines for row in _wrapped(line, width)]


def _wrapped(line: Line, width: int) -> list[Row]:
    lead = printable(line.lead)
    beside = len(lead) + (BAR + 1 if line.share is not None else 0)
    text = printable(line.text.expandtabs().replace("\n", " "))
    found = textwrap.wrap(text, max(_NARROWEST, width - beside), max_lines=line.most, placeholder=" …") or [""]
    done = None if line.share is None else round(line.share * BAR)
    first = Row(lead, found[0], line.kind, line.tone, done)
    return [first, *(Row(" " * beside, more, line.kind, line.tone) for more in found[1:])]
