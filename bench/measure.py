"""What a measure reports, and the statistics that it is made of."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


class MissingToolError(Exception):
    """A measure cannot be taken here; the text says what it needs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, the peer's in the same run, and the goal. `ratio` is ours by theirs where both have the same unit."""

    measure: str
    figure: str
    ours: str
    peer: str = "–"
    ratio: float | None = None
    goal: str = ""
    reached: bool | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Durations in seconds."""

    values: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        return percentile(self.values, 0.99)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"


def against(measure: str, figure: str, ours: float, peer: float, *, at_most: float) -> Row:
    """A row for two durations in seconds, whose ratio must not exceed `at_most`."""
    ratio = ours / peer
    goal = f"≤ {at_most:g} ×"
    return Row(measure, figure, milliseconds(ours), milliseconds(peer), ratio, goal, reached=ratio <= at_most)


def below(measure: str, figure: str, value: float, limit: float, *, unit: str, peer: str = "–") -> Row:
    """A row for a value that has a limit and no ratio."""
    return Row(measure, figure, f"{value:.3g} {unit}", peer, None, f"≤ {limit:g} {unit}", reached=value <= limit)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| measure | figure | diego-medic | beside it | ratio | goal | |", "|" + " --- |" * 7]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} ×"
        mark = {True: "reached", False: "missed", None: ""}[row.reached]
        cells = (row.measure, row.figure, row.ours, row.peer, ratio, row.goal, mark)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
