"""Several calls at once: the first failure is raised itself, nothing is left behind, and no cancellation is lost."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from exporter.tasks import together

Call = Callable[[], Coroutine[None, None, None]]


class AwayError(Exception):
    """What a call says whose server is away."""


async def fails() -> None:
    raise AwayError


async def lasts() -> None:
    await asyncio.sleep(3600)


async def by_a_task_group(*calls: Call) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


async def by_together(*calls: Call) -> None:
    async with together() as start:
        for call in calls:
            start(call())


async def cancelled_in_the_moment_of_a_failure(look: Callable[..., Coroutine[None, None, None]]) -> asyncio.Task[None]:
    """Looks again and again, as long as the server is away; cancelled when a call has failed and nobody has seen it."""

    async def again() -> None:
        while True:
            try:
                await look(fails, lasts)
            except AwayError:
                await asyncio.sleep(1)

    working = asyncio.create_task(again())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working], timeout=0.1)
    return working


async def test_who_is_cancelled_while_a_call_fails_ends() -> None:
    working = await cancelled_in_the_moment_of_a_failure(by_together)
    assert working.cancelled()


async def test_the_moment_is_the_one_in_which_a_task_group_forgets() -> None:
    """The control case, for Pythons where it does. Cancelled once more, it ends."""
    working = await cancelled_in_the_moment_of_a_failure(by_a_task_group)
    forgotten = not working.done()
    working.cancel()
    await asyncio.wait([working])
    assert forgotten or FIXED


FIXED = hasattr(asyncio, "QueueShutDown")
"""New in Python 3.13, as is the TaskGroup that remembers."""


async def test_the_results_are_there_afterwards() -> None:
    async def two() -> int:
        await asyncio.sleep(0)
        return 2

    async with together() as start:
        found = [start(two()), start(two())]
    assert [task.result() for task in found] == [2, 2]


async def test_the_first_failure_is_raised_itself_and_the_others_are_ended() -> None:
    left: list[asyncio.Task[None]] = []

    async def both() -> None:
        async with together() as start:
            left.append(start(lasts()))
            start(fails())

    with pytest.raises(AwayError):
        await both()
    assert [task.cancelled() for task in left] == [True]


async def test_a_failure_of_the_caller_ends_what_it_has_started() -> None:
    left: list[asyncio.Task[None]] = []

    async def one() -> None:
        async with together() as start:
            left.append(start(lasts()))
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await one()
    assert [task.cancelled() for task in left] == [True]


async def test_nothing_to_do_is_done_at_once() -> None:
    async with together():
        pass
