"""Kubernetes, for acting: every write of the project stands here, and the exec that proves.

Deleting a pod, asking from inside a pod, the journal (ConfigMap), the lease (Lease) and events: nothing else.
Errors are those of `exporter.kubernetes.client`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

import aiohttp
import msgspec

from exporter.kubernetes.api import (
    PODS,
    ApiUnreachableError,
    ConflictError,
    Kubernetes,
    NotFoundError,
    Resource,
    decode,
)
from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.objects import Metadata, Object

T = TypeVar("T", bound=Object)

MAX_STDERR = 64 * 1024
"""Bytes that are kept of what a command prints: a pod may print what it likes."""

_STDERR, _STATUS = 2, 3  # channels of v4.channel.k8s.io


class ConfigMap(Object, frozen=True):
    metadata: Metadata
    data: dict[str, str] | None = None


class LeaseSpec(Object, frozen=True):
    """`coordination.k8s.io/v1`: who holds it, since when, for how long without renewal (seconds)."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: datetime | None = None
    renew_time: datetime | None = None
    lease_transitions: int | None = None


class Lease(Object, frozen=True):
    metadata: Metadata
    spec: LeaseSpec = LeaseSpec()


CONFIGMAPS = Resource("/api/v1", "configmaps", ConfigMap)
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases", Lease)


class Deleted(StrEnum):
    """How a pod was dealt with: each of the three is final."""

    ACCEPTED = "deleted"
    GONE = "gone already"
    REPLACED = "replaced already"


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command inside a container ended. `exit_code` is None where that is not known, and `error` says why."""

    exit_code: int | None
    stderr: str = ""
    error: str = ""


class Writer(Kubernetes, Protocol):
    """What the runbook does to one namespace. Every call raises KubernetesError, and returns within its deadline."""

    async def delete_pod(self, name: str, *, uid: str) -> Deleted: ...

    async def exec(self, pod: str, container: str, argv: Sequence[str], *, timeout: float) -> ExecResult: ...

    async def read_config_map(self, name: str) -> ConfigMap: ...

    async def create_config_map(self, name: str, data: dict[str, str]) -> ConfigMap: ...

    async def update_config_map(self, name: str, data: dict[str, str], *, version: str) -> ConfigMap: ...

    async def read_lease(self, name: str) -> Lease: ...

    async def create_lease(self, name: str, spec: LeaseSpec) -> Lease: ...

    async def update_lease(self, name: str, spec: LeaseSpec, *, version: str) -> Lease: ...

    async def create_event(self, event: dict[str, object]) -> None: ...


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
    """`Writer` over HTTP, for one namespace of one cluster."""

    async def delete_pod(self, name: str, *, uid: str) -> Deleted:
        """Deletes this very pod, as `kubectl delete pod` does: its own grace period, no force.

        The UID precondition makes it safe to ask twice: a pod of the same name with another UID is not touched.
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            await self.request("delete", "DELETE", PODS.path(self.namespace, name), body=options)
        except NotFoundError:
            return Deleted.GONE
        except ConflictError:
            return Deleted.REPLACED
        return Deleted.ACCEPTED

    async def exec(self, pod: str, container: str, argv: Sequence[str], *, timeout: float) -> ExecResult:
        """Runs `argv` in a container, without a shell or a terminal, for at most `timeout` seconds."""
        query = [("container", container), ("stdout", "true"), ("stderr", "true"), ("stdin", "false"), ("tty", "false")]
        query += [("command", word) for word in argv]
        stderr = bytearray()
        try:
            async with asyncio.timeout(timeout):
                socket = await self.connection.websocket(PODS.path(self.namespace, pod, "exec"), query, timeout=timeout)
                async with socket:
                    async for message in socket:
                        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                            continue
                        if message.data[0] == _STDERR:
                            stderr += message.data[1 : MAX_STDERR - len(stderr) + 1]
                        elif message.data[0] == _STATUS:
                            return _exec_result(message.data[1:], stderr.decode(errors="replace"))
        except TimeoutError:
            return ExecResult(None, stderr.decode(errors="replace"), f"no answer within {timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            raise ApiUnreachableError(str(error) or type(error).__name__) from error
        return ExecResult(None, stderr.decode(errors="replace"), "the connection ended without an exit code")

    async def read_config_map(self, name: str) -> ConfigMap:
        return await self.get(CONFIGMAPS, name)

    async def create_config_map(self, name: str, data: dict[str, str]) -> ConfigMap:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._named(name), "data": data}
        return await self._create(CONFIGMAPS, body)

    async def update_config_map(self, name: str, data: dict[str, str], *, version: str) -> ConfigMap:
        metadata = self._named(name) | {"resourceVersion": version}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        return await self._update(CONFIGMAPS, name, body)

    async def read_lease(self, name: str) -> Lease:
        return await self.get(LEASES, name)

    async def create_lease(self, name: str, spec: LeaseSpec) -> Lease:
        return await self._create(LEASES, self._lease(self._named(name), spec))

    async def update_lease(self, name: str, spec: LeaseSpec, *, version: str) -> Lease:
        return await self._update(LEASES, name, self._lease(self._named(name) | {"resourceVersion": version}, spec))

    async def create_event(self, event: dict[str, object]) -> None:
        await self.request("create", "POST", f"/api/v1/namespaces/{self.namespace}/events", body=event)

    def _named(self, name: str) -> dict[str, object]:
        return {"name": name, "namespace": self.namespace, "labels": {"app.kubernetes.io/part-of": "diego-medic"}}

    @staticmethod
    def _lease(metadata: dict[str, object], spec: LeaseSpec) -> dict[str, object]:
        times = {"acquireTime": spec.acquire_time, "renewTime": spec.renew_time}
        # MicroTime: exactly six digits, as Go's client writes it
        micro = {key: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for key, moment in times.items() if moment is not None}
        body = msgspec.to_builtins(spec) | micro
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": body}

    async def _create(self, resource: Resource[T], body: object) -> T:
        return decode(await self.request("create", "POST", resource.path(self.namespace), body=body), resource.type)

    async def _update(self, resource: Resource[T], name: str, body: object) -> T:
        return decode(
            await self.request("update", "PUT", resource.path(self.namespace, name), body=body), resource.type
        )


def _exec_result(status: bytes, stderr: str) -> ExecResult:
    """Reads the Status that ends an exec: the exit code stands among its causes (`NonZeroExitCode`)."""
    try:
        verdict = msgspec.json.decode(status, type=_ExecStatus)
    except msgspec.MsgspecError as error:
        return ExecResult(None, stderr, f"not a status: {error}")
    if verdict.status == "Success":
        return ExecResult(0, stderr)
    causes = verdict.details.causes or [] if verdict.details else []
    codes = [cause.message for cause in causes if cause.reason == "ExitCode" and cause.message.isdecimal()]
    return ExecResult(int(codes[0]) if codes else None, stderr, verdict.message)
