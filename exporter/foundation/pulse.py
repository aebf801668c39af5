"""A counter that can be waited on: how one task tells others that something changed, without saying what."""

import asyncio


class Pulse:
    """Counts changes; a waiter names the count that it has seen, so that no change is missed between two waits."""

    def __init__(self) -> None:
        self.count = 0
        self._next: asyncio.Event | None = None  # made by who waits: most changes are waited for by nobody

    def __call__(self) -> None:
        """Something changed."""
        self.count += 1
        event, self._next = self._next, None
        if event is not None:
            event.set()

    async def after(self, count: int) -> int:
        """Waits until there was a change after `count`, and returns the count as it is then."""
        while self.count <= count:
            self._next = self._next or asyncio.Event()
            await self._next.wait()
        return self.count
