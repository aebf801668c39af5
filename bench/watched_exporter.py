"""diego-exporter with a stop-watch on its event loop: how long each callback keeps everything else waiting.

The longest ones are written to the file of `DIEGO_BENCH_STRETCHES` at the end of the process, counted from when that
file was removed, or from the start. The time is that of the thread's processor, so that a busy machine does not count.
"""

import asyncio
import gc
import heapq
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from exporter.main import main

_KEPT = 20
OVER = 0.002
"""Seconds that are worth a note."""


class StopWatch:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._worst: list[tuple[float, float, str]] = []
        self._checked = 0.0
        file.touch()

    def collecting(self, phase: str, info: dict[str, int]) -> None:
        """The garbage collector starts or stops."""
        if phase == "start":
            self._checked = time.thread_time()
        elif (took := time.thread_time() - self._checked) > OVER:
            self.note(took, f"garbage collection of generation {info['generation']}")

    def note(self, took: float, what: str) -> None:
        if not self._file.exists():
            self._worst.clear()
            self._file.touch()
        entry = (took, time.monotonic(), what)
        if len(self._worst) < _KEPT:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)

    def write(self) -> None:
        worst = sorted(self._worst, reverse=True)
        longest = worst[0][0] if worst else 0.0
        self._file.write_text(json.dumps({"longest": longest, "worst": [(took, what) for took, _, what in worst]}))


def _words(handle: asyncio.Handle) -> str:
    callback: Any = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        coroutine: Any = owner.get_coro()
        return str(getattr(coroutine, "__qualname__", coroutine))
    return str(getattr(callback, "__qualname__", callback))


def watch(stop_watch: StopWatch) -> None:
    """Times every callback of asyncio, and the garbage collector within it."""
    gc.callbacks.append(stop_watch.collecting)
    run = asyncio.Handle._run  # noqa: SLF001 - there is no public place to measure at
    clock = time.thread_time

    def timed(handle: asyncio.Handle) -> None:
        began = clock()
        run(handle)
        took = clock() - began
        if took > OVER:
            stop_watch.note(took, _words(handle))

    asyncio.Handle._run = timed  # type: ignore[method-assign] # noqa: SLF001


if __name__ == "__main__":
    stop_watch = StopWatch(Path(os.environ["DIEGO_BENCH_STRETCHES"]))
    watch(stop_watch)
    try:
        code = main()
    finally:
        stop_watch.write()
    sys.exit(code)
