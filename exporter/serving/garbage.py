"""Python's garbage collector, in steps that are short however much the program holds.

Its full collections look at every object that lives: with a thousand foundations that is some tenths of a second in
which nothing else happens. Here each object is looked at once, while it is young, and set aside if it lives then
(`gc.freeze`). A reference count frees it later, as before. What is left are cycles that lived that long, mostly
of connections that failed; they are found when the memory has grown by a quarter since the last full collection.
"""

import asyncio
import gc
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

EVERY: Final = 60.0
"""Seconds between two looks at the memory; also the time that a program has to grow to its usual size."""
GROWTH: Final = 1.25


def resident() -> int:
    """Pages of memory in use; where the system does not say, the most that were ever in use, in its own unit."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def collect_in_steps(memory: Callable[[], int] = resident) -> None:
    """Runs until it is cancelled, and leaves the collector as it was."""
    with _setting_aside():
        await asyncio.sleep(EVERY)
        usual = memory()
        while True:
            await asyncio.sleep(EVERY)
            if memory() > GROWTH * usual:
                gc.unfreeze()
                gc.collect()
                usual = memory()


@contextmanager
def _setting_aside() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.callbacks.append(_set_aside)
    try:
        yield
    finally:
        gc.callbacks.remove(_set_aside)
        gc.unfreeze()


def _set_aside(phase: str, _info: dict[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()
