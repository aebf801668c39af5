"""Repeating a call to the API server: one loop for all of them but the watch, the lease and the journal's conflicts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from exporter.kubernetes.api import ApiError, KubernetesError
from webhook.timings import Timings

T = TypeVar("T")


def is_final(error: KubernetesError) -> bool:
    """Whether the API server has answered and will not answer otherwise: 4xx, but 409 (conflict) and 429 (later)."""
    return isinstance(error, ApiError) and 400 <= error.status < 500 and error.status not in {409, 429}


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    timings: Timings,
    deadline: float | None,
    final: Callable[[KubernetesError], bool] = is_final,
    failed: Callable[[KubernetesError], None] = lambda _error: None,
) -> T:
    """Calls until there is an answer, with a back-off.

    `deadline` is the loop's time after which it gives up; None: never. `failed` is called for each failure. Raises
    TimeoutError after the deadline, and the KubernetesError that is final, or the last one before the deadline.
    """
    loop = asyncio.get_running_loop()
    wait = timings.retry_first
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                return await call()
        except KubernetesError as error:
            failed(error)
            if final(error) or (deadline is not None and loop.time() + wait >= deadline):
                raise
        await asyncio.sleep(wait)
        wait = min(wait * 2, timings.retry_longest)
