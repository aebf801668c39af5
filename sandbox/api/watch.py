"""A watch, without its transport: whoever has it asks it for what is new."""

import msgspec

from sandbox.cluster import errors
from sandbox.cluster.errors import StatusError
from sandbox.cluster.objects import Obj, namespace_of
from sandbox.cluster.resources import Resource
from sandbox.cluster.selectors import Predicate
from sandbox.cluster.store import Change, Store

_encode = msgspec.json.encode


class Watch:
    """A position in the store's changes, and the view that the client asked for.

    An object that a change takes out of the selectors' view is DELETED for this client, in its former state; one that
    comes in is ADDED. A client that asks from no version or from 0 is first told of everything there is.
    """

    def __init__(
        self,
        store: Store,
        resource: Resource,
        *,
        namespace: str,
        selected: Predicate,
        since: int | None,
        timeout: float,
    ) -> None:
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._selected = selected
        self._first = since is None
        self._cursor = store.revision if since is None else since
        self.timeout = timeout
        """Seconds after which the server ends it."""
        self.ended = False

    def poll(self) -> list[bytes]:
        """The events since the last call, a line each. After an ERROR event the watch has ended."""
        if self.ended:
            return []
        lines: list[bytes] = []
        if self._first:
            self._first = False
            found = self._store.all(self._resource, self._namespace or None)
            lines = [_line("ADDED", obj) for obj in found if self._selected(obj)]
        try:
            changes = self._store.changes(self._resource, self._cursor)
        except StatusError as error:
            self.ended = True
            return [_line("ERROR", error.body)]
        self._cursor = max(self._cursor, self._store.revision)
        lines += filter(None, map(self._event, changes))
        return lines

    def _event(self, change: Change) -> bytes | None:
        if self._namespace and namespace_of(change.object) != self._namespace:
            return None
        before = change.previous is not None and self._selected(change.previous)
        now = change.type != "DELETED" and self._selected(change.object)
        if now:
            return _line("MODIFIED" if before else "ADDED", change.object)
        if not before or change.previous is None:
            return None
        version = {"resourceVersion": str(change.revision)}
        return _line("DELETED", change.previous | {"metadata": change.previous["metadata"] | version})

    def bookmark(self) -> bytes:
        """A BOOKMARK: everything up to this version has been sent."""
        obj: Obj = {"kind": self._resource.kind, "apiVersion": self._resource.api_version}
        return _line("BOOKMARK", obj | {"metadata": {"resourceVersion": str(self._cursor), "creationTimestamp": None}})


def parse_version(text: str) -> int | None:
    """A resourceVersion of a request; None for none and for 0. Raises a 500 StatusError, as kube-apiserver does."""
    if text in ("", "0"):
        return None
    if not text.isdigit():
        message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise errors.StatusError(500, "", message)
    return int(text)


def _line(kind: str, obj: Obj) -> bytes:
    return _encode({"type": kind, "object": obj}) + b"\n"
