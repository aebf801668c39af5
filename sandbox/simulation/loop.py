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
NEVER = -1
KEPT = 64
"""Tasks after which those that are done are forgotten."""


class StuckError(Exception):
    """Nothing is left to run, and the awaited thing has not happened."""


@dataclass(eq=False, slots=True)
class Process:
    """One simulated operating system process. Times are the loop's, in seconds."""

    name: str
    alive: bool = True
    stopped_until: float = 0.0
    wall_offset: float = 0.0
    """How far its wall clock is from the truth."""
    suspended: float = 0.0
    """How long its machine was suspended: its loop's clock stood still for so long."""
    ready: deque["_Handle"] = field(default_factory=deque)


class _Handle(asyncio.TimerHandle):
    """A callback of a process, now or later: asyncio's own without what a debugger needs, as there are millions."""

    __slots__ = ("process",)

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, process: Process, when: float
    ) -> None:
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False
        self._when = when
        self.process = process

    def cancel(self) -> None:
        self._cancelled = True


class _Task(asyncio.Task[T]):
    """A task whose hash is a number of its loop: asyncio keeps tasks in sets, and cancels them in the order of a set.

    An object's own hash is its address, by which an incident would go as the process's memory happens to be.
    """

    __slots__ = ("_number",)

    def __init__(self, coro: Coroutine[Any, Any, T], *, number: int, **options: Any) -> None:
        self._number = number  # first: asyncio adds the task to a set at once
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs until `main` is done. Callbacks of processes are numbered; `on_step` is called before number `alarm`."""

    def __init__(self, random: Random) -> None:  # the base has sockets and threads: nothing of it is used
        self._random = random
        self._now = 0.0
        self._timers: list[tuple[float, int, _Handle]] = []
        self._sequence = 0
        self._world = Process("world")
        self._current = self._world
        self._runnable: list[Process] = []  # those that have something ready and are not stopped
        self._unfinished: list[asyncio.Task[Any]] = []
        self._most_unfinished = KEPT
        self._tasks = 0
        self._running = False
        self.steps = 0
        """Callbacks of processes so far, the world's not counted."""
        self.alarm = NEVER
        self.on_step: Callable[[Process], None] = lambda _process: None
        """It may stop or kill the process, and sets the next alarm."""
        self.failures: list[dict[str, Any]] = []

    # ---- processes

    def spawn(self, name: str, main: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Process, "asyncio.Task[Any]"]:
        """Starts a process that runs `main`."""
        process = Process(name)
        context = copy_context()
        context.run(current_process.set, process)
        return process, context.run(lambda: self.create_task(main(), context=context))

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        """Keeps a task: a killed process's code must never run, not even when it is collected."""
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - it may be killed on purpose
        if len(self._unfinished) >= self._most_unfinished:
            self._unfinished = [each for each in self._unfinished if not each.done()]
            self._most_unfinished = 2 * len(self._unfinished) + KEPT
        self._unfinished.append(task)

    def create_task_in(self, process: Process, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Runs a coroutine in a process, for somebody outside of it."""
        context = copy_context()
        context.run(current_process.set, process)
        return self.create_task(work, context=context)

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        process.alive = False
        process.ready.clear()
        self._rest(process)

    def stop_process(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        until = self._now + seconds
        if until > process.stopped_until:
            process.stopped_until = until
            self._rest(process)
            self._sequence += 1
            handle = _Handle(self._continue, (process,), copy_context(), self._world, until)
            heapq.heappush(self._timers, (until, self._sequence, handle))

    def suspend(self, process: Process, seconds: float) -> None:
        """The machine of a process sleeps: as `stop_process`, and the loop's clock of the process stands still."""
        self._timers = [
            (when + seconds if handle.process is process else when, order, handle)
            for when, order, handle in self._timers
        ]
        heapq.heapify(self._timers)
        process.suspended += seconds
        self.stop_process(process, seconds)

    def _rest(self, process: Process) -> None:
        if process in self._runnable:
            self._runnable.remove(process)

    def _continue(self, process: Process) -> None:
        if process.ready and process.stopped_until <= self._now and process not in self._runnable:
            self._runnable.append(process)

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
            task = self.create_task(future, context=context)
            self._run(task)
            return task.result()
        finally:
            self._running = False
            asyncio._set_running_loop(None)  # noqa: SLF001

    def _run(self, task: "asyncio.Task[Any]") -> None:
        runnable, world, chance = self._runnable, self._world, self._random.random
        while not task.done():
            if not runnable:
                self._advance()
                continue
            process = runnable[0] if len(runnable) == 1 else runnable[int(chance() * len(runnable))]
            if process is not world:
                number = self.steps
                self.steps = number + 1
                if number == self.alarm:
                    self.on_step(process)
                    if process not in runnable:
                        continue
            handle = process.ready.popleft()
            if not process.ready:
                runnable.remove(process)
            if not handle._cancelled:  # noqa: SLF001 - as every loop does
                self._current = process
                try:
                    handle._context.run(handle._callback, *handle._args)  # noqa: SLF001
                except Exception as error:  # noqa: BLE001 - a callback's error is told at the end
                    self.call_exception_handler({"message": "a callback failed", "exception": error})
        self._current = world

    def _advance(self) -> None:
        """Goes to the next moment at which something is due, and moves all that is due then to its process."""
        timers, runnable = self._timers, self._runnable
        while not runnable:
            if not timers:
                raise StuckError("nothing is left to run")
            when = timers[0][0]
            self._now = now = max(self._now, when)
            while timers and timers[0][0] <= when:
                handle = heapq.heappop(timers)[2]
                process = handle.process
                if handle._cancelled or not process.alive:  # noqa: SLF001 - as every loop does
                    continue
                if not process.ready and process.stopped_until <= now:
                    runnable.append(process)
                process.ready.append(handle)

    # ---- what asyncio asks of a loop

    def time(self) -> float:
        """As the running process sees it: CLOCK_MONOTONIC stands still while its machine is suspended."""
        return self._now - self._current.suspended

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if context is None:
            context = copy_context()
        process = context.get(current_process, self._world)
        handle = _Handle(callback, args, context, process, 0.0)
        if process.alive:
            ready = process.ready
            if not ready and process.stopped_until <= self._now:
                self._runnable.append(process)
            ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._call_in(delay, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._call_in(when - self.time(), callback, args, context)  # it was reckoned by the clock of who calls

    def _call_in(
        self, delay: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        if context is None:
            context = copy_context()
        process = context.get(current_process, self._world)
        when = self._now + delay
        handle = _Handle(callback, args, context, process, when - process.suspended)
        self._sequence += 1
        heapq.heappush(self._timers, (when, self._sequence, handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        self._tasks += 1
        task = _Task(coro, number=self._tasks, loop=self, name=name, context=context)
        self._keep(task)
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
