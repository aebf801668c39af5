"""Wall time as a seam: what a record or a metric says about *when* comes from a `Clock` that is handed in.

Durations, sleeps and deadlines are asyncio's own (the loop's time), so a loop with virtual time and a clock on top of
it run a whole incident in no time at all.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time, in seconds since the epoch."""

    def now(self) -> float: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()


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
