"""Time as a seam: records and metrics take the time from a `Clock` that is passed in.

Sleeps and time-outs are asyncio's own (the loop's time), so a loop with virtual time and a clock on top of it run a
whole incident in milliseconds.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time by two clocks, both in seconds."""

    def now(self) -> float:
        """Unix time. A person or NTP may set it, so it may jump."""

    def boottime(self) -> float:
        """A clock that nobody sets and that also runs while the machine is suspended; its zero means nothing."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def boottime(self) -> float:
        # Not time.monotonic: on Linux that stands still while the machine is suspended.
        return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment by both clocks of one machine. Safety counts by whichever clock says that more time has passed."""

    wall: float
    boot: float

    @classmethod
    def of(cls, clock: Clock) -> "Instant":
        return cls(wall=clock.now(), boot=clock.boottime())

    def age(self, now: "Instant") -> float:
        """Seconds since this moment, by the clock that has moved further."""
        return max(now.wall - self.wall, now.boot - self.boot)

    def drift(self, now: "Instant") -> float:
        """Seconds by which the two clocks disagree about how long ago this moment was: a clock was set."""
        return abs((now.wall - self.wall) - (now.boot - self.boot))


def utc_now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC)


def to_rfc3339(moment: float) -> str:
    """Seconds since the epoch as Kubernetes and people write them: `2026-01-31T03:04:05.678Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> float:
    """RFC 3339 with any offset and any number of fractional digits, in seconds since the epoch.

    Raises ValueError, also for a time without an offset. Go writes nanoseconds; Python keeps the microseconds of them.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without an offset: {text!r}")
    return (moment - datetime.fromtimestamp(0, UTC)).total_seconds()


def utc(moment: datetime) -> str:
    """A moment in UTC as people read it: `2026-01-31 03:04:05Z`."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def utc_text(moment: float) -> str:
    """As `utc`, of seconds since the epoch."""
    return utc(datetime.fromtimestamp(moment, UTC))


def ago(seconds: float) -> str:
    """How long ago a moment was, as people say it: in the largest unit that is full, and rounded down."""
    seconds = max(0.0, seconds)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
