"""Long work on the event loop, in slices: whatever else waits has its turn in between."""

import asyncio
import time
from typing import Final

SLICE: Final = 0.002
"""Seconds of work after which others have their turn."""


class Turns:
    """Ask for a `turn` between two pieces of work that are small themselves."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def turn(self) -> None:
        """Lets others run, if this has run for longer than a slice."""
        if time.perf_counter() - self._began > SLICE:
            await asyncio.sleep(0)
            self._began = time.perf_counter()
