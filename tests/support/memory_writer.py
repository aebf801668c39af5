"""A cluster in memory that can be written to, as `webhook.writer.Writer` sees it, with everything that can go wrong.

`MemoryCluster` is what stands in the cluster. A `MemoryWriter` is one program's connection to it: each may be slow, cut
off, refused, or not told of what took effect.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec

from exporter.kubernetes.api import (
    ApiUnreachableError,
    ConflictError,
    KubernetesError,
    Listing,
    NotFoundError,
    Resource,
    T,
)
from exporter.kubernetes.api import WatchEvent as Event
from exporter.kubernetes.objects import Metadata, Pod
from tests.support.memory_kubernetes import MemoryKubernetes
from webhook.record.encoding import decode, encode
from webhook.record.journal import Journal
from webhook.writer import ConfigMap, Deleted, ExecResult, Lease, LeaseSpec

R = TypeVar("R")

JOURNAL = "diego-medic-diego-api"
TIMED_OUT = ApiUnreachableError("timed out")


class MemoryCluster(MemoryKubernetes):
    """What stands in the cluster; every method takes effect at once."""

    def __init__(self) -> None:
        super().__init__()
        self.config_maps: dict[str, ConfigMap] = {}
        self.leases: dict[str, Lease] = {}
        self.logs: dict[str, str] = {}  # by pod/container
        self.events: list[dict[str, object]] = []
        self.deletes: list[tuple[str, str]] = []  # the pods that were deleted: name and UID
        self.on_delete: Callable[[Pod], None] = self.terminate

    def pod(self, name: str) -> Pod:
        found = self._objects["pods"][name]
        assert isinstance(found, Pod)
        return found

    def terminate(self, pod: Pod) -> None:
        """As a kubelet that takes its time."""
        self._change(pod, deletion_timestamp="2026-01-31T03:04:05Z")

    def replace_pod(self, name: str, *, uid: str) -> None:
        """As a StatefulSet's controller that has created the pod anew."""
        self._change(self.pod(name), uid=uid, deletion_timestamp=None)

    def _change(self, pod: Pod, **metadata: str | None) -> None:
        self.version += 1
        changed = msgspec.structs.replace(pod.metadata, resource_version=str(self.version), **metadata)
        self._objects["pods"][pod.name] = msgspec.structs.replace(pod, metadata=changed)
        self._tell("MODIFIED", "pods", self._objects["pods"][pod.name])

    def delete_pod(self, name: str, uid: str) -> Deleted:
        if name not in self._objects["pods"]:
            return Deleted.GONE
        pod = self.pod(name)
        if pod.uid != uid:
            return Deleted.REPLACED
        self.deletes.append((name, uid))
        self.on_delete(pod)
        return Deleted.ACCEPTED

    def read_config_map(self, name: str) -> ConfigMap:
        if name not in self.config_maps:
            raise NotFoundError(404, "NotFound", f'configmaps "{name}" not found')
        return self.config_maps[name]

    def write_config_map(self, name: str, data: dict[str, str] | None, *, version: str | None = None) -> ConfigMap:
        """Creates it where `version` is None, as anybody; else only if that is the version that stands there."""
        if version is not None and self.read_config_map(name).metadata.resource_version != version:
            raise ConflictError(409, "Conflict", f"configmaps {name}: the object has been modified")
        self.config_maps[name] = ConfigMap(metadata=self._next(name), data=data)
        return self.config_maps[name]

    def read_lease(self, name: str) -> Lease:
        if name not in self.leases:
            raise NotFoundError(404, "NotFound", f'leases "{name}" not found')
        return self.leases[name]

    def write_lease(self, name: str, spec: LeaseSpec, *, version: str | None = None) -> Lease:
        if version is not None and self.read_lease(name).metadata.resource_version != version:
            raise ConflictError(409, "Conflict", f"leases {name}: the object has been modified")
        self.leases[name] = Lease(metadata=self._next(name), spec=spec)
        return self.leases[name]

    def journal(self, name: str = JOURNAL) -> Journal:
        """What is on record."""
        return decode((self.read_config_map(name).data or {})["journal.json"])

    def put_journal(self, journal: Journal, *, name: str = JOURNAL) -> None:
        """As another program, or a person, writes it."""
        self.write_config_map(name, {"foundation": journal.foundation, "journal.json": encode(journal)})

    def _next(self, name: str) -> Metadata:
        self.version += 1
        return Metadata(name=name, resource_version=str(self.version))


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong with a call. `effective`: it takes effect all the same, and only the answer is lost."""

    error: Exception
    effective: bool = False


class MemoryWriter:
    """One program's connection."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self.calls: Counter[str] = Counter()  # by "verb kind"
        self.latency: Callable[[], float] = lambda: 0.0  # seconds, there and back again
        self.mishap: Callable[[str], Mishap | None] = lambda _call: None  # of "verb kind"
        self.before: Callable[[str], None] = lambda _call: None  # told of each call that takes effect
        self.answers: Callable[[str, str, tuple[str, ...]], ExecResult] = lambda *_: ExecResult(0, "succeeded!")
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []  # pod, container, argv of each exec

    def fail(self, call: str, error: Exception = TIMED_OUT, *, times: int = 1, effective: bool = False) -> None:
        """The next `times` of these calls ("verb kind") fail; -1: from now on all."""
        before = self.mishap
        left = times

        def mishap(asked: str) -> Mishap | None:
            nonlocal left
            if asked != call or left == 0:
                return before(asked)
            left -= 1
            return Mishap(error, effective)

        self.mishap = mishap

    def heal(self) -> None:
        self.mishap = lambda _call: None

    async def delete_pod(
        self, name: str, *, uid: str, resource_version: str | None = None, timeout: float = 10.0
    ) -> Deleted:
        return await self._call("delete pods", lambda: self.cluster.delete_pod(name, uid))

    async def exec(self, pod: str, container: str, argv: Sequence[str], *, timeout: float) -> ExecResult:
        self.asked.append((pod, container, tuple(argv)))
        return await self._call("create pods/exec", lambda: self.answers(pod, container, tuple(argv)))

    async def read_config_map(self, name: str) -> ConfigMap:
        return await self._call("get configmaps", lambda: self.cluster.read_config_map(name))

    async def create_config_map(self, name: str, data: dict[str, str]) -> ConfigMap:
        def create() -> ConfigMap:
            if name in self.cluster.config_maps:
                raise ConflictError(409, "AlreadyExists", name)
            return self.cluster.write_config_map(name, data)

        return await self._call("create configmaps", create)

    async def update_config_map(self, name: str, data: dict[str, str], *, version: str) -> ConfigMap:
        return await self._call("update configmaps", lambda: self.cluster.write_config_map(name, data, version=version))

    async def read_lease(self, name: str) -> Lease:
        return await self._call("get leases", lambda: self.cluster.read_lease(name))

    async def create_lease(self, name: str, spec: LeaseSpec) -> Lease:
        def create() -> Lease:
            if name in self.cluster.leases:
                raise ConflictError(409, "AlreadyExists", name)
            return self.cluster.write_lease(name, spec)

        return await self._call("create leases", create)

    async def update_lease(self, name: str, spec: LeaseSpec, *, version: str) -> Lease:
        return await self._call("update leases", lambda: self.cluster.write_lease(name, spec, version=version))

    async def create_event(self, event: dict[str, object]) -> None:
        await self._call("create events", lambda: self.cluster.events.append(event))

    async def list(self, resource: Resource[T], *, labels: str = "", fields: str = "") -> Listing[T]:
        await self._call(f"list {resource.plural}", lambda: None)
        return await self.cluster.list(resource, labels=labels, fields=fields)

    async def get(self, resource: Resource[T], name: str) -> T:
        await self._call(f"get {resource.plural}", lambda: None)
        return await self.cluster.get(resource, name)

    def watch(
        self, resource: Resource[T], *, labels: str = "", fields: str = "", since: str, window: float, silence: float
    ) -> AsyncGenerator[Event[T], None]:
        return self.cluster.watch(resource, labels=labels, fields=fields, since=since, window=window, silence=silence)

    async def log(self, pod: str, container: str, *, previous: bool, tail_lines: int, limit_bytes: int) -> str:
        source = f"{pod}/{container}" + (" (previous)" if previous else "")

        def read() -> str:
            if source not in self.cluster.logs:
                raise NotFoundError(404, "NotFound", source)
            return self.cluster.logs[source]

        return await self._call("get pods/log", read)

    async def allowed(self, verb: str, group: str, resource: str, *, subresource: str = "", name: str = "") -> bool:
        return True

    async def _call(self, call: str, effect: Callable[[], R]) -> R:
        self.calls[call] += 1
        await asyncio.sleep(self.latency())
        found = self.mishap(call)
        if found is not None and not found.effective:
            raise found.error
        self.before(call)
        answer, refusal = None, None
        try:
            answer = effect()
        except KubernetesError as error:
            refusal = error
        await asyncio.sleep(self.latency())
        if found is not None:
            raise found.error
        if refusal is not None:
            raise refusal
        return cast("R", answer)
