"""Kubernetes, for acting: every write of the project, and the exec that proves.

Deleting a pod, asking from inside a pod, the journal (ConfigMap), the lease (Lease) and events: nothing else.
Errors are those of `exporter.kubernetes.api`.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from exporter.kubernetes.api import (
    PODS,
    ApiUnreachableError,
    ConflictError,
    Kubernetes,
    NotFoundError,
    Resource,
    T,
    decode,
    error_of_status,
)
from exporter.kubernetes.client import TIMEOUT, ApiReader, OnRequest
from exporter.kubernetes.objects import Metadata, Object, Stored
from webhook.transport import Method, UpgradeRefusedError, WriteTransport

_LABELS = {"app.kubernetes.io/part-of": "diego-medic"}

MAX_STDERR = 64 * 1024
"""Bytes that are kept of what a command prints: a pod may print what it likes."""

_STDERR, _STATUS = b"\2", b"\3"  # channels of v4.channel.k8s.io
_EXIT_CODE = re.compile(r"[1-9][0-9]{0,2}")  # of a command that failed, so not 0


class ConfigMap(Stored, frozen=True):
    data: dict[str, str] | None = None


class LeaseSpec(Object, frozen=True):
    """`coordination.k8s.io/v1`: who holds it, since when, for how long without renewal (seconds)."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: datetime | None = None
    renew_time: datetime | None = None
    lease_transitions: int | None = None


class Lease(Stored, frozen=True):
    spec: LeaseSpec = LeaseSpec()


CONFIGMAPS = Resource("/api/v1", "configmaps", ConfigMap)
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases", Lease)


class Deleted(StrEnum):
    """The answer to a request to delete a pod."""

    ACCEPTED = "accepted"
    GONE = "gone"
    CONFLICT = "conflict"
    """Refused with 409: the UID or the resourceVersion is another, or somebody else objects. Read the pod."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command inside a container ended. `exit_code` is None where that is not known, and `error` says why."""

    exit_code: int | None
    stderr: str = ""
    error: str = ""


class Writer(Kubernetes, Protocol):
    """What the runbook does to one namespace. Every call raises KubernetesError, and returns within its deadline."""

    @property
    def server_time(self) -> float | None:
        """As `ApiReader.server_time`."""

    async def allowed(self, verb: str, group: str, resource: str, *, subresource: str = "", name: str = "") -> bool: ...

    async def delete_pod(
        self, name: str, *, uid: str, resource_version: str | None = None, timeout: float = TIMEOUT
    ) -> Deleted: ...

    async def exec(self, pod: str, container: str, argv: Sequence[str], *, timeout: float) -> ExecResult: ...

    async def read_config_map(self, name: str) -> ConfigMap: ...

    async def create_config_map(self, name: str, data: dict[str, str]) -> ConfigMap: ...

    async def update_config_map(self, name: str, data: dict[str, str], *, read: Metadata) -> ConfigMap: ...

    async def read_lease(self, name: str) -> Lease: ...

    async def create_lease(self, name: str, spec: LeaseSpec, *, annotations: Mapping[str, str]) -> Lease: ...

    async def update_lease(self, name: str, spec: LeaseSpec, *, read: Metadata) -> Lease: ...

    async def create_event(self, event: dict[str, object]) -> None: ...


class _DeleteAnswer(Object, frozen=True):
    """The pod as it terminates, or a Status. A pod's `status` is an object."""

    class Metadata(Object, frozen=True):
        uid: str = ""

    kind: str = ""
    metadata: Metadata = Metadata()
    status: object = None


class _Review(Object, frozen=True):
    class Status(Object, frozen=True):
        allowed: bool = False

    status: Status = Status()


class _ExecStatus(Object, frozen=True):
    class Details(Object, frozen=True):
        class Cause(Object, frozen=True):
            reason: str = ""
            message: str = ""

        causes: list[Cause] | None = None

    status: str = ""
    message: str = ""
    details: Details | None = None


class ApiWriter(ApiReader):
    """`Writer` for one namespace of one cluster."""

    def __init__(
        self, transport: WriteTransport, *, namespace: str, observe: OnRequest = lambda _verb, _code: None
    ) -> None:
        super().__init__(transport, namespace=namespace, observe=observe)
        self._writing = transport

    async def allowed(self, verb: str, group: str, resource: str, *, subresource: str = "", name: str = "") -> bool:
        """Whether the API server would allow it, by a SelfSubjectAccessReview (which everybody may ask)."""
        attributes = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        attributes |= {"subresource": subresource} if subresource else {}
        attributes |= {"name": name} if name else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return decode(await self._send("create", "POST", path, body), _Review).status.allowed

    async def delete_pod(
        self, name: str, *, uid: str, resource_version: str | None = None, timeout: float = TIMEOUT
    ) -> Deleted:
        """Deletes this very pod, as `kubectl delete pod` does: its own grace period, no force.

        The request is sent once, and only within `timeout` seconds from now. The UID precondition makes it safe to ask
        twice: a pod of the same name with another UID is not touched. With `resource_version` neither is one that has
        changed since it was read.
        """
        preconditions = {"uid": uid} | ({} if resource_version is None else {"resourceVersion": resource_version})
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        path = PODS.path(self.namespace, name)
        sending = self._writing.send("DELETE", path, options, retry_unauthorized=False)
        try:
            content = await self._answer("delete", sending, timeout=timeout)
        except NotFoundError:
            return Deleted.GONE
        except ConflictError:
            return Deleted.CONFLICT
        answer = decode(content, _DeleteAnswer)
        if answer.metadata.uid != uid and (answer.kind, answer.status) != ("Status", "Success"):
            # a proxy's page, or a body that is damaged, with a 200: perhaps nothing was deleted
            raise ApiUnreachableError("the answer to the delete is not one of Kubernetes")
        return Deleted.ACCEPTED

    async def exec(self, pod: str, container: str, argv: Sequence[str], *, timeout: float) -> ExecResult:
        """Runs `argv` in a container, without a shell or a terminal, for at most `timeout` seconds."""
        query = [("container", container), ("stdout", "true"), ("stderr", "true"), ("stdin", "false"), ("tty", "false")]
        query += [("command", word) for word in argv]
        stderr = bytearray()
        try:
            async with (
                asyncio.timeout(timeout),
                aclosing(self._writing.exec(PODS.path(self.namespace, pod, "exec"), query)) as frames,
            ):
                async for frame in frames:
                    if frame[:1] == _STDERR:
                        stderr += frame[1 : MAX_STDERR - len(stderr) + 1]
                    elif frame[:1] == _STATUS:
                        return _exec_result(frame[1:], stderr.decode(errors="replace"))
        except TimeoutError:
            return ExecResult(None, stderr.decode(errors="replace"), f"no answer within {timeout:g} s")
        except UpgradeRefusedError as refused:
            raise error_of_status(refused.status) from refused
        return ExecResult(None, stderr.decode(errors="replace"), "the connection ended without an exit code")

    async def read_config_map(self, name: str) -> ConfigMap:
        return await self.get(CONFIGMAPS, name)

    async def create_config_map(self, name: str, data: dict[str, str]) -> ConfigMap:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._named(name), "data": data}
        return await self._create(CONFIGMAPS, body)

    async def update_config_map(self, name: str, data: dict[str, str], *, read: Metadata) -> ConfigMap:
        """Replaces it where it is still the one that was read; what others wrote into its metadata stays."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._kept(name, read), "data": data}
        return await self._update(CONFIGMAPS, name, body)

    async def read_lease(self, name: str) -> Lease:
        return await self.get(LEASES, name)

    async def create_lease(self, name: str, spec: LeaseSpec, *, annotations: Mapping[str, str]) -> Lease:
        metadata = self._named(name) | ({"annotations": dict(annotations)} if annotations else {})
        return await self._create(LEASES, self._lease(metadata, spec))

    async def update_lease(self, name: str, spec: LeaseSpec, *, read: Metadata) -> Lease:
        """As `update_config_map`."""
        return await self._update(LEASES, name, self._lease(self._kept(name, read), spec))

    async def create_event(self, event: dict[str, object]) -> None:
        await self._send("create", "POST", f"/api/v1/namespaces/{self.namespace}/events", event)

    def _named(self, name: str) -> dict[str, object]:
        return {"name": name, "namespace": self.namespace, "labels": dict(_LABELS)}

    def _kept(self, name: str, read: Metadata) -> dict[str, object]:
        """The metadata for a PUT, which replaces all of it: what is left out would be removed.

        Without a resourceVersion nothing would be compared, so what was read without one is not replaced.
        """
        if not read.resource_version:
            raise ApiUnreachableError(f"not an answer of Kubernetes: {name} was read without a resourceVersion")
        others = {
            "annotations": read.annotations,
            "ownerReferences": msgspec.to_builtins(read.owner_references),
            "finalizers": read.finalizers,
        }
        labels = (read.labels or {}) | _LABELS
        kept = {key: value for key, value in others.items() if value}
        return self._named(name) | {"labels": labels, "resourceVersion": read.resource_version} | kept

    @staticmethod
    def _lease(metadata: dict[str, object], spec: LeaseSpec) -> dict[str, object]:
        times = {"acquireTime": spec.acquire_time, "renewTime": spec.renew_time}
        # MicroTime: exactly six digits, as Go's client writes it
        micro = {key: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for key, moment in times.items() if moment is not None}
        body = msgspec.to_builtins(spec) | micro
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": body}

    async def _create(self, resource: Resource[T], body: object) -> T:
        return decode(await self._send("create", "POST", resource.path(self.namespace), body), resource.type)

    async def _update(self, resource: Resource[T], name: str, body: object) -> T:
        return decode(await self._send("update", "PUT", resource.path(self.namespace, name), body), resource.type)

    async def _send(self, verb: str, method: Method, path: str, body: object) -> bytes:
        return await self._answer(verb, self._writing.send(method, path, body), timeout=TIMEOUT)


def _exec_result(status: bytes, stderr: str) -> ExecResult:
    """Reads the Status that ends an exec: the exit code of a failure is among its causes (`NonZeroExitCode`)."""
    try:
        verdict = msgspec.json.decode(status, type=_ExecStatus)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return ExecResult(None, stderr, f"not a status: {error}")
    if verdict.status == "Success":
        return ExecResult(0, stderr)
    causes = verdict.details.causes or [] if verdict.details else []
    codes = [cause.message for cause in causes if cause.reason == "ExitCode" and _EXIT_CODE.fullmatch(cause.message)]
    known = verdict.status == "Failure" and bool(codes)
    return ExecResult(int(codes[0]) if known else None, stderr, verdict.message)
