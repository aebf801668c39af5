"""Traps in the sandbox's API server: something happens at a certain request, and not at a certain time."""

import asyncio
from collections.abc import Callable

from sandbox.api.calls import Target
from sandbox.api.mishaps import Failure
from sandbox.sandbox import Sandbox


class Trap(Failure):
    """Springs once, at the `number`-th request of its kind: before it takes effect, or (`effective`) after.

    `spring` is called there. Then the request fails, or its answer is lost; without `fails` it continues.
    """

    def __init__(
        self,
        verb: str,
        resource: str,
        spring: Callable[[], object],
        *,
        number: int = 1,
        effective: bool = False,
        fails: bool = True,
    ) -> None:
        super().__init__(verb=verb, resource=resource, effective=effective)
        self.sprung = asyncio.Event()
        self._spring = spring
        self._left = number
        self._fails = fails

    def hits(self, about: Target) -> bool:
        if self._left == 0 or not super().hits(about):
            return False
        self._left -= 1
        if self._left:
            return False
        self.sprung.set()
        self._spring()
        return self._fails


def at_delete(box: Sandbox, number: int, spring: Callable[[], object]) -> Trap:
    """Lets something happen when the delete of this number (from 1) arrives; the delete itself continues."""
    trap = Trap("delete", "pods", spring, number=number, fails=False)
    box.mishaps.failures.append(trap)
    return trap
