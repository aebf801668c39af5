"""A StatefulSet and its pods, followed by watch events: what the gauges show, and what the runbook waits on."""

import asyncio
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Self

from exporter.clock import Clock
from exporter.foundation.pulse import Pulse
from exporter.foundation.view import Component
from exporter.kubernetes.api import PODS, STATEFULSETS, Kubernetes, KubernetesError
from exporter.kubernetes.objects import Pod, StatefulSet
from exporter.kubernetes.reflector import Pace, Reflector


class ComponentWatch:
    """Follows one StatefulSet by its name, and its pods by the selector that it has.

    As a context manager it runs in the background; else `run` is awaited by whoever made it. `component` is None until
    both were read; a component whose StatefulSet is None is known not to exist.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        name: str,
        *,
        pace: Pace,
        clock: Clock,
        random: Random,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._kubernetes = kubernetes
        self._pace = pace
        self._clock = clock
        self._random = random
        self._tell = changed
        self._pulse = Pulse()
        self._statefulsets = Reflector(
            kubernetes,
            STATEFULSETS,
            fields=f"metadata.name={name}",
            pace=pace,
            clock=clock,
            random=random,
            changed=self._changed,
        )
        self._pods: Reflector[Pod] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def component(self) -> Component | None:
        if not all(reflector.synced_at is not None for reflector in self.reflectors):
            return None
        if self.statefulset is None:
            return Component(self.name, None)
        if self._pods is None:
            return None
        return Component.of(self.name, self.statefulset, self._pods.items.values())

    @property
    def statefulset(self) -> StatefulSet | None:
        return self._statefulsets.items.get(self.name)

    @property
    def reflectors(self) -> tuple[Reflector[StatefulSet] | Reflector[Pod], ...]:
        return (self._statefulsets,) if self._pods is None else (self._statefulsets, self._pods)

    @property
    def synced(self) -> bool:
        """Whether what is known is what is there now, as far as the watches tell."""
        return self.component is not None and all(reflector.synced for reflector in self.reflectors)

    @property
    def synced_at(self) -> float | None:
        """The moment up to which all of it is known to be true, in seconds since the epoch."""
        moments = [reflector.synced_at for reflector in self.reflectors]
        known = [moment for moment in moments if moment is not None]
        return min(known) if self.component is not None and len(known) == len(moments) else None

    @property
    def error(self) -> KubernetesError | None:
        return next((reflector.error for reflector in self.reflectors if reflector.error), None)

    async def run(self) -> None:
        """Follows both until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._statefulsets.run())
            group.create_task(self._follow_pods())

    async def wait_for(self, predicate: Callable[[Component], bool], *, timeout: float | None = None) -> Component:
        """Waits until a current view of the component satisfies the predicate, and returns that.

        `timeout` is in seconds; TimeoutError when it is over. While the watch is lost nothing is decided.
        """
        async with asyncio.timeout(timeout):
            while True:
                seen = self._pulse.count
                if self._task is not None and self._task.done():
                    self._task.result()  # it never ends but by a defect, and the waiter should not wait for ever
                component = self.component
                if self.synced and component is not None and predicate(component):
                    return component
                await self._pulse.after(seen)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run())
        self._task.add_done_callback(lambda _: self._pulse())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (defect := self._task.exception()) and error is None:
                raise defect

    def _changed(self) -> None:
        self._pulse()
        self._tell()

    def _selector(self) -> str | None:
        return None if self.statefulset is None else str(self.statefulset.spec.selector)

    async def _follow_pods(self) -> None:
        while True:
            selector = self._selector()
            if selector is None:
                self._pods = None
                await self._until_selector_is_not(None)
                continue
            self._pods = Reflector(
                self._kubernetes,
                PODS,
                labels=selector,
                pace=self._pace,
                clock=self._clock,
                random=self._random,
                changed=self._changed,
            )
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._pods.run())
                await self._until_selector_is_not(selector)
                following.cancel()

    async def _until_selector_is_not(self, selector: str | None) -> None:
        while self._selector() == selector:
            await self._pulse.after(self._pulse.count)
