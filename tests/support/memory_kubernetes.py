"""A Kubernetes in memory, behind the project's own seam: for tests of what stands above it, in virtual time.

Held against the real thing by way of the sandbox: what is observed over HTTP is tested again in tests/sandbox.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from exporter.kubernetes.api import (
    ENDPOINTS,
    PODS,
    SERVICES,
    STATEFULSETS,
    GoneError,
    KubernetesError,
    Listing,
    NotFoundError,
    Resource,
    T,
    WatchEvent,
)
from exporter.kubernetes.objects import Stored

_BOOKMARK_BEFORE_END = 2.0
_KINDS: dict[str, Resource[Any]] = {each.plural: each for each in (PODS, STATEFULSETS, SERVICES, ENDPOINTS)}


class MemoryKubernetes:
    """Objects by kind and name; what a watch has missed is replayed to it, as the API server does."""

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        self.calls: Counter[tuple[str, str]] = Counter()
        self.watched: list[tuple[str, str, float]] = []  # kind, since, the loop's time
        self.list_error: Callable[[str], KubernetesError | None] = lambda _kind: None
        self.bookmarks = True
        self._objects: dict[str, dict[str, Stored]] = {kind: {} for kind in _KINDS}
        self._history: list[tuple[int, str, str, Stored]] = []
        self._watches: set[tuple[str, asyncio.Queue[WatchEvent[Any] | KubernetesError | None]]] = set()

    def put(self, kind: str, **body: Any) -> Any:
        """Creates or changes an object, given as the API's JSON would have it."""
        self.version += 1
        body["metadata"] = {"uid": body["metadata"]["name"], **body["metadata"], "resourceVersion": str(self.version)}
        stored: Stored = msgspec.convert(body, _KINDS[kind].type)
        known = stored.metadata.name in self._objects[kind]
        self._objects[kind][stored.metadata.name] = stored
        self._tell("MODIFIED" if known else "ADDED", kind, stored)
        return stored

    def delete(self, kind: str, name: str) -> None:
        self.version += 1
        self._tell("DELETED", kind, self._objects[kind].pop(name))

    def bookmark(self) -> None:
        for _, queue in self._watches:
            queue.put_nowait(WatchEvent("BOOKMARK", str(self.version), None))

    def end_watches(self, error: KubernetesError | None = None, *, kind: str = "") -> None:
        """Ends the open watches: cleanly, or with an error."""
        for each, queue in self._watches:
            if kind in ("", each):
                queue.put_nowait(error)

    def forget_history(self) -> None:
        """A resourceVersion from before this moment is gone, as after a compaction."""
        self.oldest = self.version

    async def list(self, resource: Resource[T], *, labels: str = "", fields: str = "") -> Listing[T]:
        self.calls["list", resource.plural] += 1
        await asyncio.sleep(0)
        if error := self.list_error(resource.plural):
            raise error
        fits = _filter(labels, fields)
        items = [each for each in self._objects[resource.plural].values() if fits(each)]
        return Listing(tuple(items), str(self.version))  # type: ignore[arg-type]

    async def get(self, resource: Resource[T], name: str) -> T:
        self.calls["get", resource.plural] += 1
        await asyncio.sleep(0)
        if error := self.list_error(resource.plural):
            raise error
        if name not in self._objects[resource.plural]:
            raise NotFoundError(404, "NotFound", name)
        return self._objects[resource.plural][name]  # type: ignore[return-value]

    async def watch(
        self, resource: Resource[T], *, labels: str = "", fields: str = "", since: str, window: float, silence: float
    ) -> AsyncGenerator[WatchEvent[T], None]:
        loop = asyncio.get_running_loop()
        kind = resource.plural
        self.calls["watch", kind] += 1
        self.watched.append((kind, since, loop.time()))
        if int(since) < self.oldest:
            raise GoneError(410, "Expired", "too old resource version")
        fits = _filter(labels, fields)
        queue: asyncio.Queue[WatchEvent[Any] | KubernetesError | None] = asyncio.Queue()
        for version, event, plural, stored in self._history:
            if version > int(since) and plural == kind:
                queue.put_nowait(WatchEvent(event, str(version), stored))
        timers = [loop.call_later(window, queue.put_nowait, None)]
        if self.bookmarks:
            before = max(0.0, window - _BOOKMARK_BEFORE_END)
            timers.append(
                loop.call_later(before, lambda: queue.put_nowait(WatchEvent("BOOKMARK", str(self.version), None)))
            )
        self._watches.add((kind, queue))
        try:
            while True:
                event_or_end = await queue.get()
                if event_or_end is None:
                    return
                if isinstance(event_or_end, KubernetesError):
                    raise event_or_end
                if event_or_end.object is None or fits(event_or_end.object):
                    yield event_or_end
        finally:
            self._watches.discard((kind, queue))
            for timer in timers:
                timer.cancel()

    async def log(self, pod: str, container: str, *, previous: bool, tail_lines: int, limit_bytes: int) -> str:
        raise NotImplementedError

    async def allowed(self, verb: str, group: str, resource: str, *, subresource: str = "", name: str = "") -> bool:
        raise NotImplementedError

    def _tell(self, event: str, kind: str, stored: Stored) -> None:
        self._history.append((self.version, event, kind, stored))
        for each, queue in self._watches:
            if each == kind:
                queue.put_nowait(WatchEvent(event, str(self.version), stored))


def _filter(labels: str, fields: str) -> Callable[[Stored], bool]:
    wanted = dict(term.split("=") for term in labels.split(",") if term)
    name = fields.removeprefix("metadata.name=")

    def fits(stored: Stored) -> bool:
        return (not name or stored.metadata.name == name) and wanted.items() <= (stored.metadata.labels or {}).items()

    return fits
