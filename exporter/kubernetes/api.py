"""What the project asks of Kubernetes, without how it is asked: the errors, the resources, the protocol, the decoding.

KubernetesError
├── ApiError(status, reason)       the API server answered, and not with success
│   ├── NotFoundError              404
│   ├── ConflictError              409
│   └── GoneError                  410: the resourceVersion is too old, list again
└── ApiUnreachableError            no answer: refused, timed out, cut off, or not an answer of Kubernetes
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from exporter.kubernetes.objects import Endpoints, Object, Pod, Service, StatefulSet, Stored

T = TypeVar("T", bound=Stored)
Decoded = TypeVar("Decoded", bound=Object)

_UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises for a body that is not ours: wrong JSON, bytes that are not UTF-8, nesting without end."""


class KubernetesError(Exception):
    """The API server could not be asked, or said no."""


class ApiError(KubernetesError):
    """The API server answered with something else than success."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}" if message else f"{status} {reason}")
        self.status = status
        self.reason = reason


class NotFoundError(ApiError):
    """There is no such object."""


class ConflictError(ApiError):
    """The object is another than the request thinks: its resourceVersion, its UID, or it exists already."""


class GoneError(ApiError):
    """The resourceVersion is older than the server's memory."""


class ApiUnreachableError(KubernetesError):
    """There was no answer, so whether the request took effect is not known."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """A kind of object in the API: where it is found, and what is decoded of it."""

    prefix: str
    plural: str
    type: type[T]

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        return _path(self.prefix, "namespaces", namespace, self.plural, name, subresource)


@lru_cache(maxsize=1024)  # the same few paths are asked for again and again
def _path(*parts: str) -> str:
    return "/".join(quote(part, safe="/") for part in parts if part)


PODS = Resource("/api/v1", "pods", Pod)
SERVICES = Resource("/api/v1", "services", Service)
ENDPOINTS = Resource("/api/v1", "endpoints", Endpoints)
STATEFULSETS = Resource("/apis/apps/v1", "statefulsets", StatefulSet)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    items: tuple[T, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[T]):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; a bookmark has only its resourceVersion to say."""

    type: str
    resource_version: str
    object: T | None


class Kubernetes(Protocol):
    """What the project reads of one namespace. Every call raises KubernetesError, and returns within its deadline."""

    async def list(self, resource: Resource[T], *, labels: str = "", fields: str = "") -> Listing[T]: ...

    async def get(self, resource: Resource[T], name: str) -> T: ...

    def watch(
        self, resource: Resource[T], *, labels: str = "", fields: str = "", since: str, window: float, silence: float
    ) -> AsyncGenerator[WatchEvent[T], None]: ...

    async def log(self, pod: str, container: str, *, previous: bool, tail_lines: int, limit_bytes: int) -> str: ...


class _ListMetadata(Object, frozen=True):
    resource_version: str = ""


class _Items(Object, Generic[T], frozen=True):
    items: list[T] | None = None
    metadata: _ListMetadata = _ListMetadata()


class _Event(Object, frozen=True):
    type: str
    object: msgspec.Raw


class _Bookmark(Object, frozen=True):
    metadata: _ListMetadata = _ListMetadata()


class Status(Object, frozen=True):
    """`kind: Status`, the body of an error."""

    kind: str = ""
    code: int = 0
    reason: str = ""
    message: str = ""


_KINDS: dict[int, type[ApiError]] = {404: NotFoundError, 409: ConflictError, 410: GoneError}


def error_of(code: int, body: bytes) -> KubernetesError:
    """The error for an HTTP status and a body, which may be a Status, or whatever a proxy says.

    404, 409 and 410 are statements about an object: a proxy or a load balancer cannot make them, so without a Status
    they are no answer.
    """
    try:
        status = msgspec.json.decode(body, type=Status)
        reason, message = status.reason, status.message
    except _UNDECODABLE:
        status, reason, message = Status(), "", body[:200].decode(errors="replace").strip()
    if code in _KINDS and status.kind != "Status":
        return ApiUnreachableError(f"not an answer of Kubernetes: {code} {message}".strip())
    return error_of_status(code, reason, message)


def error_of_status(code: int, reason: str = "", message: str = "") -> ApiError:
    """The error for an HTTP status that the API server itself gave."""
    return _KINDS.get(code, ApiError)(code, reason or _phrase(code), message)


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "HTTP"


def decode(body: bytes | msgspec.Raw, kind: type[Decoded]) -> Decoded:
    """Decodes an answer; what is not an answer of Kubernetes is as good as none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except _UNDECODABLE as error:
        raise ApiUnreachableError(f"not an answer of Kubernetes: {error}") from error


def decode_list(body: bytes, resource: Resource[T]) -> Listing[T]:
    listing = decode(body, _Items[resource.type])  # type: ignore[name-defined] # msgspec builds the type
    return Listing(tuple(listing.items or ()), listing.metadata.resource_version)


def decode_event(line: bytes, resource: Resource[T]) -> WatchEvent[T]:
    event = decode(line, _Event)
    if event.type == "ERROR":
        status = decode(event.object, Status)
        raise error_of_status(status.code, status.reason, status.message)
    if event.type == "BOOKMARK":
        return WatchEvent(event.type, decode(event.object, _Bookmark).metadata.resource_version, None)
    found = decode(event.object, resource.type)
    return WatchEvent(event.type, found.metadata.resource_version, found)
