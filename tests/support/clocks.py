"""Clocks for tests."""

import asyncio


class LoopClock:
    """Wall time that runs with the loop's, so that a virtual loop moves both; it can be set apart.

    Where no loop runs, as in a fixture that is not async, it is the moment at which a virtual loop starts.
    """

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.start = start

    def now(self) -> float:
        try:
            return self.start + asyncio.get_running_loop().time()
        except RuntimeError:
            return self.start

    def boottime(self) -> float:
        return asyncio.get_running_loop().time()


class SetClock:
    """Stands still unless it is set."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def boottime(self) -> float:
        return self.time


class SteadyClock:
    """Runs with the loop's time, and continues where that is set back: looptime does so between fixture and test."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._offset = start
        self._last = asyncio.get_running_loop().time()

    def now(self) -> float:
        now = asyncio.get_running_loop().time()
        self._offset += max(0.0, self._last - now)
        self._last = now
        return self._offset + now

    def boottime(self) -> float:
        return self.now()
