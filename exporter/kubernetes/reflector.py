"""One resource, followed: list, watch, and list again when the watch is lost, so that what is held is what is there.

Three methods, each with one job: `run` starts again with a back-off, `_follow` lists and keeps a watch going, `_watch`
is a single call. A list replaces everything at once; nobody sees half of it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from exporter.clock import Clock
from exporter.kubernetes.api import Kubernetes, KubernetesError, Resource, WatchEvent
from exporter.kubernetes.objects import Stored

K = TypeVar("K", bound=Stored)

log = logging.getLogger(__name__)

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
"""Seconds between two attempts: doubled from the first to the longest, and shortened by up to a half at random."""
STEADY = 10.0
"""Seconds for which a list and its watches must have lasted to start again with the first delay."""
HASTY = 1.0
"""Seconds below which a watch that ends cleanly is an answer gone wrong: an empty page of a proxy, say."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a watch lasts, and how long it may be silent, both in seconds.

    A healthy but idle API server has something to say at least every `window`: a bookmark shortly before the end of the
    watch, and the end. So a longer silence means that it is lost.
    """

    window: float
    silence: float

    @classmethod
    def for_staleness(cls, staleness: float) -> "Pace":
        """A server that hangs is noticed when two thirds of `staleness` are over, within 5 to 40 s.

        The window is a quarter shorter than the silence, and at least 3 s: a slow server is not lost. It is a whole
        number, as Kubernetes' `timeoutSeconds` is.
        """
        silence = min(max(staleness * 2 / 3, 5.0), 40.0)
        return cls(window=float(int(silence - max(silence / 4, 3.0))), silence=silence)


class Reflector(Generic[K]):
    """The objects of one resource that match a selector, by name, as the API server last said.

    `synced` is False until they were listed, and from the loss of the watch until they are listed again. `synced_at` is
    the last moment (seconds since the epoch) at which they were known to be current, None before the first. `error` is
    what went wrong last, while it is not made good. Each change of any of these is told to `changed`.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        resource: Resource[K],
        *,
        labels: str = "",
        fields: str = "",
        pace: Pace,
        clock: Clock,
        random: Random,
        changed: Callable[[], None],
    ) -> None:
        self.items: Mapping[str, K] = {}
        self.synced = False
        self.synced_at: float | None = None
        self.error: KubernetesError | None = None
        self._kubernetes = kubernetes
        self._resource = resource
        self._labels = labels
        self._fields = fields
        self._pace = pace
        self._clock = clock
        self._random = random
        self._changed = changed
        self._heard = 0.0  # the loop's time of the last news

    async def run(self) -> None:
        """Follows the resource until it is cancelled."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            try:
                await self._follow()
            except KubernetesError as error:
                self._lose(error)
            except Exception as error:  # an answer that nobody thought of must not end the watching of everything else
                log.exception("a watch failed", extra={"resource": self._resource.plural})
                self._lose(KubernetesError(f"{type(error).__name__}: {error}"))
            failures = 0 if loop.time() - began > STEADY else failures + 1
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 10))
            await asyncio.sleep(delay * self._random.uniform(0.5, 1.0))

    def _lose(self, error: KubernetesError) -> None:
        self.synced = False
        # Without the frames that it came through: they would live until the next error, and some refer to it.
        error.__cause__ = error.__context__ = None
        self.error = error.with_traceback(None)
        self._changed()

    async def _follow(self) -> None:
        """Lists, then watches, one call after the other. Raises when the watch is lost; returns to be started again."""
        loop = asyncio.get_running_loop()
        began = self._clock.now()  # what is listed is true of this moment at the earliest
        listing = await self._kubernetes.list(self._resource, labels=self._labels, fields=self._fields)
        self.items = {item.metadata.name: item for item in listing.items}
        self.synced = True
        self.error = None
        self._news(began)
        version = listing.resource_version
        del listing  # it would keep what is replaced by now
        while True:
            started = loop.time()
            # Shortened at random, so that watches that began at the same time do not end at the same time for ever.
            window = self._pace.window * self._random.uniform(0.9, 1.0)
            version = await self._watch(version, window)
            lasted = loop.time() - started
            if lasted >= window / 2:
                self._news(self._clock.now())  # it ended because its time was over: until now nothing was missed
            elif lasted < HASTY or loop.time() - self._heard > self._pace.silence:
                return  # such an end says nothing, and to watch again at once would be a hot loop

    async def _watch(self, version: str, window: float) -> str:
        """One watch call of `window` seconds, until the server ends it cleanly; the resourceVersion to go on from."""
        events = self._kubernetes.watch(
            self._resource,
            labels=self._labels,
            fields=self._fields,
            since=version,
            window=window,
            silence=self._pace.silence,
        )
        async with aclosing(events):
            async for event in events:
                self._apply(event)
                version = event.resource_version or version
        return version

    def _apply(self, event: WatchEvent[K]) -> None:
        if event.object is not None:
            name = event.object.metadata.name
            others = {key: item for key, item in self.items.items() if key != name}
            self.items = others if event.type == "DELETED" else others | {name: event.object}
        self._news(self._clock.now())

    def _news(self, moment: float) -> None:
        self.synced_at = moment
        self._heard = asyncio.get_running_loop().time()
        self._changed()
