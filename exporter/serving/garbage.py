"""Python's garbage collector, in steps that are short however much the program holds.

Its full collections look at every object that lives: with a thousand foundations that is some tenths of a second in
which nothing else happens. Here it looks at each object once, while that is young, and what lives then is set aside
(`gc.freeze`). A reference count frees it as before; only cycles are left, of which this program makes hardly any. They
are found when more than half as many objects again are set aside as after the last full collection.
"""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

EVERY: Final = 60.0
"""Seconds between two looks at how much is set aside; also the time that a program has to grow to its usual size."""
GROWTH: Final = 1.5


async def collect_in_steps() -> None:
    """Runs until it is cancelled, and leaves the collector as it was."""
    with _setting_aside():
        await asyncio.sleep(EVERY)
        usual = gc.get_freeze_count()
        while True:
            await asyncio.sleep(EVERY)
            if gc.get_freeze_count() > GROWTH * usual:
                gc.unfreeze()
                gc.collect()
                usual = gc.get_freeze_count()


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
