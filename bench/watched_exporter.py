"""diego-exporter with a stop-watch on its event loop: how long each callback keeps everything else waiting.

After SIGUSR1 the longest ones since the start, or since the last such signal, are in the file of
`DIEGO_BENCH_STRETCHES`. The time is that of the thread's processor, so that a busy machine does not count.
"""

import asyncio
import gc
import heapq
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from exporter.main import main

_KEPT = 20
OVER = 0.001
"""Seconds that are worth a note."""


class StopWatch:
    """The longest callbacks, and the longest collections of garbage within them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._longest: list[tuple[float, str]] = []
        self._collecting_since = 0.0

    def collecting(self, phase: str, info: dict[str, int]) -> None:
        """The garbage collector starts or stops."""
        if phase == "start":
            self._collecting_since = time.thread_time()
        elif (took := time.thread_time() - self._collecting_since) > OVER:
            self.note(took, f"(garbage collector, generation {info['generation']})")

    def note(self, took: float, what: str) -> None:
        """Something took this many seconds."""
        add = heapq.heappush if len(self._longest) < _KEPT else heapq.heappushpop
        add(self._longest, (took, what))

    def write(self, *_: object) -> None:
        """Writes what was noted, and forgets it."""
        noted, self._longest = sorted(self._longest, reverse=True), []
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(noted))
        new.rename(self._file)


def watch(stop_watch: StopWatch) -> None:
    """Times every callback of asyncio."""
    run = asyncio.Handle._run  # noqa: SLF001 - there is no public place to measure at
    clock = time.thread_time

    def timed(handle: asyncio.Handle) -> None:
        began = clock()
        run(handle)
        took = clock() - began
        if took > OVER:
            stop_watch.note(took, _words(handle))

    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment] # noqa: SLF001
    gc.callbacks.append(stop_watch.collecting)
    signal.signal(signal.SIGUSR1, stop_watch.write)


def _words(handle: asyncio.Handle) -> str:
    callback: Any = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        coroutine: Any = owner.get_coro()
        return str(getattr(coroutine, "__qualname__", coroutine))
    return str(getattr(callback, "__qualname__", callback))


if __name__ == "__main__":
    watch(StopWatch(Path(os.environ["DIEGO_BENCH_STRETCHES"])))
    sys.exit(main())
