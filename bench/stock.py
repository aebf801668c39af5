"""The objects of the API server: for each foundation two StatefulSets of two pods, as large as real ones."""

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

Send = Callable[[bytes], None]
Obj = dict[str, Any]
ACTIVE = "skiff-role-active"
RECORDS = ("configmaps", "leases")
"""What webhooks read and write by name."""


def name_of(foundation: int) -> str:
    return f"foundation-{foundation:04}"


def address(foundation: int, host: int) -> str:
    """A loopback address of a foundation: 1 is the Service, from 2 on its pods."""
    return f"127.{10 + foundation // 200}.{1 + foundation % 200}.{host}"


class Stock:
    """Objects by namespace and resource, the watches on them, and one resourceVersion for all."""

    def __init__(self, foundations: int, *, others: int) -> None:
        self._version = 1000
        self._objects: dict[tuple[str, str], dict[str, Obj]] = {}
        self._watches: dict[tuple[str, str], dict[Send, Obj]] = {}
        self._churning: asyncio.Task[None] | None = None
        self.recorded = 0  # requests for records
        for number in range(foundations):
            namespace = name_of(number)
            for owner, first in (("diego-api", 2), ("api", 4)):
                self._put(namespace, "statefulsets", _statefulset(namespace, owner))
                for ordinal in range(2):
                    labels = {ACTIVE: "false" if ordinal else "true"} if owner == "diego-api" else {}
                    self._put(
                        namespace, "pods", _pod(namespace, owner, ordinal, address(number, first + ordinal), labels)
                    )
        for number in range(others):
            self._put(name_of(0), "pods", _pod(name_of(0), "other", number, f"10.{number >> 8}.{number & 255}.1", {}))

    def list(self, namespace: str, plural: str, query: dict[str, str]) -> bytes:
        found = [obj for obj in self._objects.get((namespace, plural), {}).values() if _selected(obj, query)]
        return json.dumps({"metadata": {"resourceVersion": str(self._version)}, "items": found}).encode()

    def record(self, method: str, parts: Sequence[str], body: bytes) -> tuple[bytes, int]:
        """GET, POST or PUT of a record, with its resourceVersion as the condition: the answer and its status."""
        self.recorded += 1
        namespace, plural, *name = parts
        there = self._objects.setdefault((namespace, plural), {})
        if method == "GET":
            found = there.get(name[0])
            return (json.dumps(found).encode(), 200) if found else _status(404, "NotFound")
        written: Obj = json.loads(body)
        metadata = written["metadata"]
        known = there.get(metadata["name"])
        if metadata.get("resourceVersion", "") != (known["metadata"]["resourceVersion"] if known else ""):
            return _status(409, "Conflict")
        metadata["uid"] = f"{namespace}-{metadata['name']}"
        self._put(namespace, plural, written)
        return json.dumps(written).encode(), 200 if known else 201

    def watch(self, namespace: str, plural: str, query: dict[str, str], send: Send) -> tuple[tuple[str, str], Send]:
        """Changes from now on go to `send`; to be given to `unwatch`."""
        key = (namespace, plural)
        self._watches.setdefault(key, {})[send] = query
        return key, send

    def unwatch(self, key: tuple[str, str], send: Send) -> None:
        self._watches[key].pop(send, None)

    def bookmark(self) -> bytes:
        return _line("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}})

    def label(self, foundation: int, value: str) -> None:
        """Gives the second diego-api pod of a foundation the active label, with this value."""
        self._change(name_of(foundation), "diego-api-1", {ACTIVE: value})

    def churn(self, rate: float) -> None:
        """From now on changes this many of the other pods a second; 0 ends it."""
        if self._churning is not None:
            self._churning.cancel()
        self._churning = asyncio.get_running_loop().create_task(self._churn(rate)) if rate else None

    async def _churn(self, rate: float) -> None:
        names = [name for name in self._objects[name_of(0), "pods"] if name.startswith("other-")] or ["api-0"]
        for number, name in enumerate(itertools.cycle(names)):
            self._change(name_of(0), name, {"changed": str(number)})
            await asyncio.sleep(1 / rate)

    def _change(self, namespace: str, name: str, labels: dict[str, str]) -> None:
        pod = self._objects[namespace, "pods"][name]
        pod["metadata"]["labels"].update(labels)
        self._put(namespace, "pods", pod)

    def _put(self, namespace: str, plural: str, obj: Obj) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        objects = self._objects.setdefault((namespace, plural), {})
        kind = "MODIFIED" if obj["metadata"]["name"] in objects else "ADDED"
        objects[obj["metadata"]["name"]] = obj
        interested = [
            send for send, query in self._watches.get((namespace, plural), {}).items() if _selected(obj, query)
        ]
        if interested:
            line = _line(kind, obj)
            for send in interested:
                send(line)


def _status(code: int, reason: str) -> tuple[bytes, int]:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}
    return json.dumps(body).encode(), code


def _line(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def _selected(obj: Obj, query: dict[str, str]) -> bool:
    """Label selectors with `=`, and the field selector `metadata.name=`: what the exporter sends."""
    labels = [term.split("=") for term in query.get("labelSelector", "").split(",") if term]
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    metadata = obj["metadata"]
    return (not name or metadata["name"] == name) and all(metadata["labels"].get(key) == value for key, value in labels)


def _statefulset(namespace: str, name: str) -> Obj:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}", "labels": {"app": name}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [_container(name, each) for each in range(2)]}},
        },
        "status": {"replicas": 2, "currentRevision": f"{name}-1", "updateRevision": f"{name}-1"},
    }


def _pod(namespace: str, owner: str, ordinal: int, ip: str, labels: dict[str, str]) -> Obj:
    name = f"{owner}-{ordinal}"
    own = {"uid": f"{namespace}-{owner}", "kind": "StatefulSet", "name": owner, "controller": True}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{namespace}-{name}",
            "labels": {"app": owner, "controller-revision-hash": f"{owner}-1"} | labels,
            "ownerReferences": [own],
        },
        "spec": {"nodeName": "node-1", "containers": [_container(name, each) for each in range(2)]},
        "status": {
            "phase": "Running",
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": f"{name}-{each}", "ready": True, "restartCount": 0, "imageID": "sha256:" + "0" * 64}
                for each in range(2)
            ],
        },
    }


def _container(owner: str, number: int) -> Obj:
    """With as many environment variables as make a pod about 4 kB, which is usual."""
    variables = [{"name": f"SOME_SETTING_{each:02}", "value": "as long as a usual value"} for each in range(24)]
    return {"name": f"{owner}-{number}", "image": "registry.example.org/some/image:1.2.3", "env": variables}
