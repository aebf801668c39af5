"""What the foundation looked like in the last days, as far as this process has seen it. In memory, and bounded.

What was not seen is not in it: a gap is unknown, and is drawn as unknown.
"""

from collections import deque
from dataclasses import dataclass, replace

MAX_SPANS = 1000
GAP = 60.0
"""Seconds without a sample after which what was between is unknown: the process was stopped or suspended."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end` (Unix time) this was so; None is unknown."""

    start: float
    end: float
    reachable: bool | None
    leaders: int | None


class History:
    """Spans, the oldest first; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._spans: deque[Span] = deque(maxlen=MAX_SPANS)

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(self._spans)

    def record(self, at: float, *, reachable: bool | None, leaders: int | None) -> None:
        """What is so at `at`. A clock that was set back takes what is now in the future along."""
        while self._spans and self._spans[-1].start > at:
            self._spans.pop()
        sample = Span(at, at, reachable, leaders)
        if not self._spans:
            self._spans.append(sample)
            return
        last = self._spans[-1]
        if at - last.end > GAP:
            self._spans.append(sample)
            return
        self._spans[-1] = replace(last, end=at)
        if (last.reachable, last.leaders) != (reachable, leaders):
            self._spans.append(sample)
