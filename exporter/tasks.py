"""Several calls at the same time."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Start(Protocol):
    """Starts a call as a task."""

    def __call__(self, call: Coroutine[Any, Any, T], /) -> asyncio.Task[T]: ...


@asynccontextmanager
async def together() -> AsyncIterator[Start]:
    """What is started inside has ended after it: all of it well, or the first failure is raised itself.

    Who is cancelled meanwhile learns of that and of nothing else. With asyncio's TaskGroup and gather it is not so:
    where a task of theirs fails in the same moment, the caller sees that failure alone (TaskGroup before Python 3.13:
    https://github.com/python/cpython/issues/116720), takes it for one that passes, and goes on for ever. A process that
    was stopped for a minute meets just that: all its calls have timed out when it learns that it is to end.
    """
    tasks: list[asyncio.Task[Any]] = []

    def start(call: Coroutine[Any, Any, T], /) -> asyncio.Task[T]:
        tasks.append(task := asyncio.create_task(call))
        return task

    try:
        yield start
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
