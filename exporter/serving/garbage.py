"""Python's garbage collector, kept from looking at everything that lives.

Its full collections do that: with a thousand foundations, some tenths of a second in which nothing else happens. But
reference counts free nearly all that these programs make. So what lives is set aside every second (`gc.freeze`), and
only cycles are left: those of a storm of requests are found at once, while they are young, all others when the memory
has grown by a quarter since the last full collection.
"""

import asyncio
import gc
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

EVERY: Final = 1.0
"""Seconds after which what lives is set aside."""
STORM: Final = 50_000
"""New objects, less those that were freed, at which young ones are looked at: a matter of milliseconds."""
CHECK: Final = 60
"""Every how many times the memory is looked at; the first is when a program has grown to its usual size."""
GROWTH: Final = 1.25


def resident() -> int:
    """Pages of memory in use; where the system does not say, the most that were ever in use, in its own unit."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def collect_rarely(memory: Callable[[], int] = resident) -> None:
    """Runs until it is cancelled, and leaves the collector as it was."""
    usual = None
    with _setting_aside():
        while True:
            for _ in range(CHECK):
                await asyncio.sleep(EVERY)
                gc.freeze()
            used = memory()
            if usual is not None and used > GROWTH * usual:
                gc.unfreeze()
                gc.collect()
                used = memory()
                usual = None
            usual = usual or used


@contextmanager
def _setting_aside() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(STORM)
    gc.callbacks.append(_set_aside)
    try:
        yield
    finally:
        gc.callbacks.remove(_set_aside)
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _set_aside(phase: str, _info: dict[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()
