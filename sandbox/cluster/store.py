"""The objects, one resourceVersion for all of them, and the changes that watches are served from (etcd's place)."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sandbox.cluster.errors import expired
from sandbox.cluster.objects import Obj, name_of, namespace_of
from sandbox.cluster.resources import STORED, Resource

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
FIRST_REVISION = 1000
"""A store does not begin at 1: a watch from an ancient resourceVersion must be answered with 410."""


@dataclass(frozen=True, slots=True)
class Change:
    """One commit. `previous` is what stood there before; selectors need it to tell what entered or left a view."""

    type: ChangeType
    revision: int
    resource: Resource
    object: Obj
    previous: Obj | None


Listener = Callable[[Change], None]


class Store:
    """Commits objects. Nothing here knows what they mean."""

    def __init__(self, *, history: int = 1000) -> None:
        self.revision = FIRST_REVISION
        self._objects: dict[Resource, dict[tuple[str, str], Obj]] = {resource: {} for resource in STORED}
        self._history: dict[Resource, deque[Change]] = {resource: deque() for resource in STORED}
        self._floor = dict.fromkeys(STORED, FIRST_REVISION)
        self._limit = history
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls the listener after each commit, in the order of subscription; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self._objects[resource].get((namespace, name))

    def all(self, resource: Resource, namespace: str | None = None) -> list[Obj]:
        """In the order of namespace and name; of all namespaces for None."""
        objects = self._objects[resource]
        return [objects[key] for key in sorted(objects) if namespace is None or key[0] == namespace]

    def put(self, resource: Resource, obj: Obj) -> Obj:
        """Commits an object, which from now on belongs to the store, and gives it its resourceVersion."""
        key = (namespace_of(obj), name_of(obj))
        previous = self._objects[resource].get(key)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self._objects[resource][key] = obj
        self._commit(Change("MODIFIED" if previous else "ADDED", self.revision, resource, obj, previous))
        return obj

    def remove(self, resource: Resource, namespace: str, name: str) -> Obj:
        """Removes an object that exists; returns it as the DELETED event has it, with the deletion's version."""
        previous = self._objects[resource].pop((namespace, name))
        self.revision += 1
        metadata = previous["metadata"] | {"resourceVersion": str(self.revision)}
        obj = previous | {"metadata": metadata}
        self._commit(Change("DELETED", self.revision, resource, obj, previous))
        return obj

    def changes(self, resource: Resource, since: int) -> list[Change]:
        """The changes after a resourceVersion. Raises a 410 StatusError where they are no longer remembered."""
        if since < self._floor[resource]:
            raise expired(f"too old resource version: {since} ({self._floor[resource]})")
        history = self._history[resource]
        if not history or history[-1].revision <= since:
            return []
        return [change for change in history if change.revision > since]

    def last_revision(self, resource: Resource) -> int:
        """The version of the last change to this resource."""
        history = self._history[resource]
        return history[-1].revision if history else self._floor[resource]

    def compact(self) -> None:
        """Forgets all changes, as etcd's compaction does: watches from an older version get 410."""
        self.revision += 1
        for resource, history in self._history.items():
            history.clear()
            self._floor[resource] = self.revision

    def _commit(self, change: Change) -> None:
        history = self._history[change.resource]
        history.append(change)
        if len(history) > self._limit:
            self._floor[change.resource] = history.popleft().revision
        for listener in tuple(self._listeners):
            listener(change)
