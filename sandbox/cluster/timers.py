"""Time inside the cluster: a heap of due events that somebody else's clock drives."""

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

Action = Callable[[], None]


@dataclass(slots=True, order=True)
class Timer:
    due: float
    order: int
    action: Action = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class Timers:
    """Events in the order of their due times, and of their making where those are equal: a run can be repeated."""

    def __init__(self, now: float) -> None:
        self.now = now
        """Seconds since the epoch; during an event, the moment at which it was due."""
        self._heap: list[Timer] = []
        self._order = itertools.count()

    def after(self, delay: float, action: Action) -> Timer:
        """Schedules an action `delay` seconds from now; one that is infinite is never over."""
        timer = Timer(self.now + delay, next(self._order), action)
        if timer.due < math.inf:
            heapq.heappush(self._heap, timer)
        return timer

    @property
    def next_due(self) -> float | None:
        while self._heap and self._heap[0].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0].due if self._heap else None

    def advance_to(self, now: float) -> None:
        """Runs what is due until `now`, seconds since the epoch. A clock that was set back does not turn time back."""
        while (due := self.next_due) is not None and due <= now:
            timer = heapq.heappop(self._heap)
            self.now = max(self.now, timer.due)
            timer.action()
        self.now = max(self.now, now)
