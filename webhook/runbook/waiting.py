"""Waiting for restarted pods, by watch events and not by polling: several StatefulSets, followed at once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
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
        self._watches = [
            ComponentWatch(
                kubernetes,
                name,
                pace=Pace.for_staleness(staleness),
                clock=clock,
                random=random,
                changed=self._pulse,
            )
            for name in dict.fromkeys(names)
        ]
        self._stack = AsyncExitStack()

    @property
    def components(self) -> Mapping[str, Component] | None:
        """What is there now; None while a watch is lost, since nothing is decided on an old view."""
        seen = {watch.name: watch.component for watch in self._watches if watch.synced}
        known = {name: component for name, component in seen.items() if component is not None}
        return known if len(known) == len(self._watches) else None

    async def until(self, done: Callable[[Mapping[str, Component]], bool], *, timeout: float) -> None:
        """Waits until a current view satisfies `done`; `timeout` is in seconds, TimeoutError when it is over."""
        async with asyncio.timeout(timeout):
            while True:
                seen = self._pulse.count
                components = self.components
                if components is not None and done(components):
                    return
                await self._pulse.after(seen)

    async def __aenter__(self) -> Self:
        for watch in self._watches:
            await self._stack.enter_async_context(watch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
