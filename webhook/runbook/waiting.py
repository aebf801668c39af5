"""Waiting for restarted pods, by watch events and not by polling: several StatefulSets, followed at once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import TracebackType
from typing import Self

from exporter.clock import Clock
from exporter.foundation.component import ComponentWatch
from exporter.foundation.pulse import Pulse
from exporter.foundation.view import Component
from exporter.kubernetes.api import Kubernetes
from exporter.kubernetes.reflector import Pace


class ComponentsWatch:
    """Follows StatefulSets and their pods while it is entered."""

    def __init__(
        self, kubernetes: Kubernetes, names: Sequence[str], *, staleness: float, clock: Clock, random: Random
    ) -> None:
        self._pulse = Pulse()
        pace = Pace.for_staleness(staleness)
        self._watches = [
            ComponentWatch(kubernetes, name, pace=pace, clock=clock, random=random, changed=self._pulse)
            for name in dict.fromkeys(names)
        ]
        self._task: asyncio.Task[None] | None = None

    @property
    def components(self) -> Mapping[str, Component] | None:
        """What is there now; None while a watch is lost, since nothing is decided on an old view."""
        known = {watch.name: watch.component for watch in self._watches if watch.synced and watch.component}
        return known if len(known) == len(self._watches) else None

    async def until(self, done: Callable[[Mapping[str, Component]], bool], *, timeout: float) -> None:
        """Waits until a current view satisfies `done`; `timeout` is in seconds, TimeoutError when it is over."""
        async with asyncio.timeout(timeout):
            while True:
                seen = self._pulse.count
                if self._task is not None and self._task.done():
                    self._task.result()  # it never ends but by a defect, and nobody should wait for ever then
                components = self.components
                if components is not None and done(components):
                    return
                await self._pulse.after(seen)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._pulse())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (defect := self._task.exception()) and error is None:
            raise defect
