"""An event loop without time, sockets or threads of its own: a seeded scheduler of simulated processes.

Every callback belongs to a simulated process (a replica, a command line, the world). The loop decides which process
runs next, and may stop a process (SIGSTOP: its callbacks wait, time passes) or kill it (SIGKILL: nothing of it runs
again, no `finally` either). Within a process the order is asyncio's own.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

current_process: ContextVar["Process"] = ContextVar("current_process")


class StuckError(Exception):
    """Nothing is left to run, and the awaited thing has not happened."""


@dataclass(eq=False)
class Process:
    """One simulated operating system process. Times are the loop's, in seconds."""

    name: str
    alive: bool = True
    stopped_until: float = 0.0
    wall_offset: float = 0.0
    """How far its wall clock is from the truth."""
    suspended: float = 0.0
    """How long its machine was suspended: its loop's clock stood still for so long."""
    steps: int = 0
    """Callbacks that ran."""
    ready: deque[asyncio.Handle] = field(default_factory=deque)


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs until `main` is done. `before_step` is called before each callback of a process and may stop or kill it."""

    def __init__(self, random: Random) -> None:  # the base has sockets and threads: nothing of it is used
        self._random = random
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Process]] = []
        self._sequence = 0
        self._world = Process("world")
        self._processes: list[Process] = [self._world]
        self._dead: list[asyncio.Task[Any]] = []
        self._running = False
        self.before_step: Callable[[Process], None] = lambda _process: None
        self.failures: list[dict[str, Any]] = []

    # ---- processes

    def spawn(self, name: str, main: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Process, "asyncio.Task[Any]"]:
        """Starts a process that runs `main`."""
        process = Process(name)
        self._processes.append(process)
        context = copy_context()
        context.run(current_process.set, process)
        task: asyncio.Task[Any] = context.run(lambda: asyncio.Task(main(), loop=self, context=context))
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - it may be killed on purpose
        self._dead.append(task)  # kept, so that a killed process's code never runs, not even when it is collected
        return process, task

    def create_task_in(self, process: Process, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Runs a coroutine in a process, for somebody outside of it."""
        context = copy_context()
        context.run(current_process.set, process)
        return self.create_task(work, context=context)

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        process.alive = False
        process.ready.clear()

    def stop_process(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        process.stopped_until = max(process.stopped_until, self._now + seconds)

    def suspend(self, process: Process, seconds: float) -> None:
        """The machine of a process sleeps: as `stop_process`, and the loop's clock of the process stands still."""
        self.stop_process(process, seconds)
        process.suspended += seconds
        self._timers = [
            (when + seconds if owner is process else when, order, timer, owner)
            for when, order, timer, owner in self._timers
        ]
        heapq.heapify(self._timers)

    @property
    def now(self) -> float:
        """The true time."""
        return self._now

    def call_soon_world(self, callback: Callable[..., object], *args: Any) -> None:
        """Runs a callback that belongs to no process."""
        context = copy_context()
        context.run(current_process.set, self._world)
        self.call_soon(callback, *args, context=context)

    # ---- running

    def run_until_complete(self, future: "Coroutine[Any, Any, T]") -> T:  # type: ignore[override]
        """Runs `future` as the world, until it is done. Raises StuckError where nothing can make it so."""
        asyncio._set_running_loop(self)  # noqa: SLF001 - as every loop does
        self._running = True
        context = copy_context()
        context.run(current_process.set, self._world)
        try:
            task = asyncio.Task(future, loop=self, context=context)
            while not task.done():
                self._step()
            return task.result()
        finally:
            self._running = False
            asyncio._set_running_loop(None)  # noqa: SLF001

    def _step(self) -> None:
        self._wake()
        runnable = [each for each in self._processes if each.ready and each.stopped_until <= self._now]
        if not runnable:
            self._advance()
            return
        process = runnable[0] if len(runnable) == 1 else runnable[self._random.randrange(len(runnable))]
        if process is not self._world:
            process.steps += 1
            self.before_step(process)
            if not process.alive or process.stopped_until > self._now or not process.ready:
                return
        handle = process.ready.popleft()
        if not handle._cancelled:  # noqa: SLF001 - as every loop does
            handle._run()  # noqa: SLF001

    def _wake(self) -> None:
        """Moves what is due to its process."""
        while self._timers and self._timers[0][0] <= self._now:
            _, _, timer, process = heapq.heappop(self._timers)
            if process.alive and not timer.cancelled():
                process.ready.append(timer)

    def _advance(self) -> None:
        while self._timers and (self._timers[0][2].cancelled() or not self._timers[0][3].alive):
            heapq.heappop(self._timers)
        stopped = [each.stopped_until for each in self._processes if each.ready and each.stopped_until > self._now]
        moments = stopped + ([self._timers[0][0]] if self._timers else [])
        if not moments:
            raise StuckError("nothing is left to run")
        self._now = max(self._now, min(moments))

    # ---- what asyncio asks of a loop

    def time(self) -> float:
        """As the running process sees it: CLOCK_MONOTONIC stands still while its machine is suspended."""
        process = current_process.get(None)
        return self._now if process is None else self._now - process.suspended

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = context if context is not None else copy_context()
        process = context.get(current_process, self._world)
        handle = asyncio.Handle(callback, args, self, context)
        if process is not None and process.alive:
            process.ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = context if context is not None else copy_context()
        process = context.get(current_process, self._world)
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._sequence += 1
        heapq.heappush(self._timers, (when + process.suspended, self._sequence, timer, process))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when they are due."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - its process may be killed
        self._dead.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return True  # there is nothing to close

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)

    async def shutdown_asyncgens(self) -> None:
        """Nothing of a killed process is run again."""
