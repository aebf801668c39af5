"""A StatefulSet and its pods, followed by watch events: what the gauges show, and what the runbook waits on."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random

from exporter.clock import Clock
from exporter.foundation.pulse import Pulse
from exporter.foundation.view import Component
from exporter.kubernetes.api import PODS, STATEFULSETS, Kubernetes, KubernetesError
from exporter.kubernetes.objects import Pod, StatefulSet
from exporter.kubernetes.reflector import Pace, Reflector


class ComponentWatch:
    """Follows one StatefulSet by its name, and its pods by the selector that it has, while `run` runs.

    `component` is None until both were read; a component whose StatefulSet is None is known not to exist. `synced` is
    whether that is what is there now, as far as the watches know. `synced_at` is the moment up to which all of it is
    known to be true, in seconds since the epoch. `error` is why it is not in sync. `changed` is called after each
    change of any of these.
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
        self.component: Component | None = None
        self.synced = False
        self.synced_at: float | None = None
        self.error: KubernetesError | None = None
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
        # What `component` was made of: a reflector replaces its items, and never changes them.
        self._made_of: tuple[Mapping[str, StatefulSet], Mapping[str, Pod] | None] | None = None

    async def run(self) -> None:
        """Follows both until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._statefulsets.run())
            group.create_task(self._follow_pods())

    def _changed(self) -> None:
        self._take()
        self._pulse()
        self._tell()

    def _take(self) -> None:
        """Takes over what the reflectors know."""
        pods = self._pods
        self.error = self._statefulsets.error or (pods.error if pods else None)
        moments = [self._statefulsets.synced_at] + ([pods.synced_at] if pods else [])
        known = [moment for moment in moments if moment is not None]
        statefulset = self._statefulsets.items.get(self.name)
        if len(known) < len(moments) or (statefulset is not None and pods is None):
            self.component, self.synced, self.synced_at, self._made_of = None, False, None, None
            return
        self.synced = self._statefulsets.synced and (pods is None or pods.synced)
        self.synced_at = min(known)
        made_of = (self._statefulsets.items, pods.items if pods else None)
        if self._made_of is None or any(new is not old for new, old in zip(made_of, self._made_of, strict=True)):
            self.component = Component.of(self.name, statefulset, pods.items.values() if pods else ())
            self._made_of = made_of

    def _selector(self) -> str | None:
        statefulset = self._statefulsets.items.get(self.name)
        return None if statefulset is None else str(statefulset.spec.selector)

    async def _follow_pods(self) -> None:
        while True:
            selector = self._selector()
            if selector is None:
                self._follow(None)
                await self._until_selector_is_not(None)
                continue
            pods = Reflector(
                self._kubernetes,
                PODS,
                labels=selector,
                pace=self._pace,
                clock=self._clock,
                random=self._random,
                changed=self._changed,
            )
            self._follow(pods)
            async with asyncio.TaskGroup() as group:
                following = group.create_task(pods.run())
                await self._until_selector_is_not(selector)
                following.cancel()

    def _follow(self, pods: Reflector[Pod] | None) -> None:
        self._pods = pods
        self._take()

    async def _until_selector_is_not(self, selector: str | None) -> None:
        while self._selector() == selector:
            await self._pulse.after(self._pulse.count)
