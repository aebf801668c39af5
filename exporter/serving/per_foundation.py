"""One task for each foundation of a config: started, stopped and replaced as the config changes."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from exporter.config.model import Foundation

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_DELAY: Final = 1.0
"""Seconds between a crash and the restart; twice as long after each further one."""
LONGEST_DELAY: Final = 30.0
SETTLED: Final = 60.0
"""Seconds for which a task must run to count as recovered, and for which it may crash before that is reported."""

OnCrash = Callable[[str, Exception], None]
"""Takes the name of the foundation, and what its task raised."""


@dataclass(eq=False, slots=True)
class _Member(Generic[T]):
    foundation: Foundation
    work: T
    task: asyncio.Task[None] | None = None
    dropped: bool = False
    running_since: float | None = None
    crashing_since: float | None = None


class PerFoundation(Generic[T]):
    """What works on each foundation, in the order of the config, while `run` runs.

    A task that crashes is restarted, with a delay that grows; what happens to one foundation's task ends no other.
    """

    def __init__(
        self,
        *,
        build: Callable[[Foundation], T],
        run: Callable[[T], Coroutine[Any, Any, None]],
        on_crash: OnCrash | None = None,
        on_drop: Callable[[T], None] = lambda _work: None,
    ) -> None:
        """`on_drop` is called, before `apply` returns, with what a new config has removed or replaced."""
        self._build = build
        self._run = run
        self._on_crash = on_crash
        self._on_drop = on_drop
        self._members: dict[str, _Member[T]] = {}
        self._works: dict[str, T] = {}
        self.works: Mapping[str, T] = MappingProxyType(self._works)
        """What works on each foundation of the config in force, by its name."""
        self._group: asyncio.TaskGroup | None = None

    def apply(self, foundations: Iterable[Foundation]) -> None:
        """Continue with these: what works on a foundation that is the same as before stays as it is."""
        old, new = self._members, dict[str, _Member[T]]()
        for foundation in foundations:
            member = old.get(foundation.name)
            if member is None or member.foundation != foundation:
                member = _Member(foundation, self._build(foundation))
            new[foundation.name] = member
        for name, member in old.items():
            if new.get(name) is not member:
                self._drop(member)
        self._members = new
        self._works.clear()
        self._works.update((name, member.work) for name, member in new.items())
        self._start()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start()
                try:
                    await asyncio.Event().wait()
                finally:
                    for member in self._members.values():
                        member.dropped = True
        finally:
            self._group = None

    def crashing(self) -> list[str]:
        """The foundations whose task has crashed again and again for longer than `SETTLED`."""
        now = asyncio.get_running_loop().time()
        return [name for name, member in self._members.items() if _is_crashing(member, now)]

    def _start(self) -> None:
        if self._group is None:
            return
        for member in self._members.values():
            if member.task is None:
                member.task = self._group.create_task(self._keep_running(member))

    def _drop(self, member: _Member[T]) -> None:
        member.dropped = True  # a task that fails in the moment of its cancellation must not be restarted
        self._on_drop(member.work)
        if member.task is not None:
            member.task.cancel()

    async def _keep_running(self, member: _Member[T]) -> None:
        clock = asyncio.get_running_loop().time
        name, delay = member.foundation.name, FIRST_DELAY
        while not member.dropped:
            member.running_since = started = clock()
            try:
                await self._run(member.work)
            except Exception as error:
                log.exception("task of a foundation crashed", extra={"foundation": name})
                if self._on_crash is not None:
                    self._on_crash(name, error)
            member.running_since = None
            if member.crashing_since is None or clock() - started >= SETTLED:
                member.crashing_since, delay = clock(), FIRST_DELAY
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)


def _is_crashing(member: _Member[Any], now: float) -> bool:
    if member.crashing_since is None or now - member.crashing_since <= SETTLED:
        return False
    return member.running_since is None or now - member.running_since < SETTLED
