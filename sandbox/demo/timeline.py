"""The time line of an incident: what happened, when, in words for somebody who was woken up by it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exporter.clock import Clock, to_rfc3339


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: seconds since the epoch, and since the beginning."""

    at: float
    seconds: float
    event: str


class Timeline:
    """Collects moments and tells each as it happens."""

    def __init__(self, clock: Clock, *, tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._began = clock.now()
        self.moments: list[Moment] = []

    def begin(self) -> None:
        """Counts from now."""
        self._began = self._clock.now()
        self.moments.clear()

    def now(self) -> float:
        return self._clock.now()

    def add(self, event: str, *, at: float | None = None) -> None:
        """`at`: seconds since the epoch; now, where it is not said."""
        at = self._clock.now() if at is None else at
        moment = Moment(at, at - self._began, event)
        self.moments.append(moment)
        self._tell(f"  {moment.seconds:+6.1f}s  {event}")

    @property
    def report(self) -> list[dict[str, Any]]:
        return [
            {"at": to_rfc3339(moment.at), "seconds": round(moment.seconds, 3), "event": moment.event}
            for moment in sorted(self.moments, key=lambda moment: moment.at)
        ]
