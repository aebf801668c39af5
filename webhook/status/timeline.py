"""The time line: spans and runs as bars of an SVG. Pure; positions are percents, so that it fits any screen.

The window is cut into slots, and the worst within a slot is what is drawn: an outage of seconds stays visible in a
window of days, and what is unknown is never drawn as good.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from webhook.record.journal import Run
from webhook.status.history import Span
from webhook.status.progress import run_kind, run_word

GOOD, UNKNOWN, TWO, BAD = "good", "unknown", "two", "bad"
_WORST_LAST = (GOOD, UNKNOWN, TWO, BAD)


@dataclass(frozen=True, slots=True)
class Zoom:
    """A window: its length, that of a slot, and between two ticks, in seconds; how a tick's time is written."""

    key: str
    words: str
    length: float
    slot: float
    tick: float
    format: str


ZOOMS = {
    "1h": Zoom("1h", "last hour", 3600, 15, 900, "%H:%M"),
    "1d": Zoom("1d", "last day", 86_400, 300, 21_600, "%H:%M"),
    "3d": Zoom("3d", "last 3 days", 259_200, 900, 86_400, "%a %d"),
}
DEFAULT_ZOOM = "1d"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a line, in percents of the window."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A run: where it starts, how long it took, how it ended."""

    x: float
    width: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    zoom: Zoom
    reachable: tuple[Bar, ...]
    leaders: tuple[Bar, ...]
    runs: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    said: str


def timeline(spans: Sequence[Span], runs: Iterable[Run], *, now: float, zoom: Zoom) -> Timeline:
    """`now` is Unix time. The window ends with the slot that `now` is in, so that it moves in steps."""
    end = (now // zoom.slot + 1) * zoom.slot
    start = end - zoom.length

    def percent(moment: float) -> float:
        return round(max(0.0, min(100.0, (moment - start) / zoom.length * 100)), 2)

    reachable = _slots(spans, start=start, now=now, zoom=zoom, kind=_reachable)
    seen = [run for run in runs if (run.ended or run.started).timestamp() >= start or run.ended is None]
    return Timeline(
        zoom=zoom,
        reachable=_bars(reachable),
        leaders=_bars(_slots(spans, start=start, now=now, zoom=zoom, kind=_leaders)),
        runs=tuple(_mark(run, percent, now) for run in seen),
        ticks=tuple(_ticks(start, end, zoom, percent)),
        said=_said(reachable, len(seen), zoom),
    )


def _reachable(span: Span) -> str:
    return {True: GOOD, False: BAD, None: UNKNOWN}[span.reachable]


def _leaders(span: Span) -> str:
    if span.leaders is None:
        return UNKNOWN
    return GOOD if span.leaders == 1 else TWO if span.leaders else BAD


def _slots(spans: Sequence[Span], *, start: float, now: float, zoom: Zoom, kind: Callable[[Span], str]) -> list[str]:
    """The worst in each slot. A slot that was not seen from its start to its end, or to now, is not good."""
    count = round(zoom.length / zoom.slot)
    worst = [GOOD] * count
    seen = [0.0] * count
    for span in spans:
        first = max(0, int((span.start - start) // zoom.slot))
        last = min(count - 1, int((min(span.end, now) - start) // zoom.slot))
        found = kind(span)
        for slot in range(first, last + 1):
            left, right = start + slot * zoom.slot, start + (slot + 1) * zoom.slot
            seen[slot] += max(0.0, min(span.end, right) - max(span.start, left))
            worst[slot] = max(worst[slot], found, key=_WORST_LAST.index)
    for slot in range(count):
        length = min(zoom.slot, now - (start + slot * zoom.slot))
        if seen[slot] < length - max(GRACE, zoom.slot * 0.01) and worst[slot] == GOOD:
            worst[slot] = UNKNOWN
    return worst


GRACE = 6.0
"""Seconds of a slot that may be without a sample: the last sample is not of this very moment."""


def _bars(slots: Sequence[str]) -> tuple[Bar, ...]:
    """Equal neighbours are one bar."""
    bars: list[Bar] = []
    first = 0
    for slot in range(1, len(slots) + 1):
        if slot == len(slots) or slots[slot] != slots[first]:
            share = 100 / len(slots)
            bars.append(Bar(round(first * share, 2), round((slot - first) * share, 2), slots[first]))
            first = slot
    return tuple(bars)


def _mark(run: Run, percent: Callable[[float], float], now: float) -> Mark:
    x = percent(run.started.timestamp())
    end = percent(run.ended.timestamp() if run.ended is not None else now)
    return Mark(x=x, width=round(end - x, 2), kind=run_kind(run), text=f"{run.id}: {run_word(run)}")


def _ticks(start: float, end: float, zoom: Zoom, percent: Callable[[float], float]) -> Iterable[Tick]:
    moment = (start // zoom.tick + 1) * zoom.tick
    while moment < end:
        yield Tick(percent(moment), f"{datetime.fromtimestamp(moment, UTC):{zoom.format}}")
        moment += zoom.tick


def _said(slots: Sequence[str], runs: int, zoom: Zoom) -> str:
    """The line in words, for who does not see it."""
    share = {kind: 100 * slots.count(kind) / len(slots) for kind in (GOOD, BAD, UNKNOWN)}
    parts = [
        f"{word} {_percent(share[kind])}"
        for kind, word in ((GOOD, "reachable"), (BAD, "unreachable"), (UNKNOWN, "not known"))
        if share[kind]
    ]
    return f"BBS, {zoom.words}: {', '.join(parts)} of the time. {runs} {'run' if runs == 1 else 'runs'}."


def _percent(share: float) -> str:
    return "less than 1 %" if share < 1 else f"{share:.0f} %"
