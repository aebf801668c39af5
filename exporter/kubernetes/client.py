"""Kubernetes, for reading: what is asked, how long an answer may take, and what each answer means.

What can be asked and what can go wrong is in `exporter.kubernetes.api`, how a request gets there in
`exporter.kubernetes.transport`, which can only GET.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

from exporter.kubernetes.api import (
    PODS,
    ApiUnreachableError,
    Listing,
    Resource,
    T,
    WatchEvent,
    decode,
    decode_event,
    decode_list,
    error_of,
)
from exporter.kubernetes.transport import ReadTransport, Response

R = TypeVar("R")

TIMEOUT = 10.0
"""Seconds within which a request must be answered, credentials included, unless the caller says otherwise."""

OnRequest = Callable[[str, str], None]
"""Called with (verb, code) of every request; the code is `timeout` or `error` where there was no answer."""


class ApiReader:
    """`Kubernetes` for one namespace of one cluster."""

    def __init__(
        self, transport: ReadTransport, *, namespace: str, observe: OnRequest = lambda _verb, _code: None
    ) -> None:
        self.namespace = namespace
        self._transport = transport
        self._observe = observe
        self._date = ""

    @property
    def server_time(self) -> float | None:
        """The API server's clock at its latest answer, as Unix time in whole seconds; None where it has not said."""
        try:
            return parsedate_to_datetime(self._date).timestamp()
        except ValueError:
            return None

    async def read(
        self, verb: str, path: str, *, query: Mapping[str, str] | None = None, timeout: float = TIMEOUT
    ) -> bytes:
        """One GET, whole. `verb` is Kubernetes's word for it, `timeout` in seconds. Raises KubernetesError."""
        return await self._answer(verb, self._transport.get(path, query or {}), timeout=timeout)

    async def list(self, resource: Resource[T], *, labels: str = "", fields: str = "") -> Listing[T]:
        content = await self.read("list", resource.path(self.namespace), query=_selectors(labels, fields))
        return decode_list(content, resource)

    async def get(self, resource: Resource[T], name: str) -> T:
        return decode(await self.read("get", resource.path(self.namespace, name)), resource.type)

    async def watch(
        self, resource: Resource[T], *, labels: str = "", fields: str = "", since: str, window: float, silence: float
    ) -> AsyncGenerator[WatchEvent[T], None]:
        """One watch call: from the resourceVersion `since`, for `window` seconds, then the server ends it cleanly.

        The server sends a bookmark about two seconds before it ends a watch (kube-apiserver's cacher does so for
        `allowWatchBookmarks`), so with `silence` (seconds) longer than `window` a server that says nothing for that
        long is lost: ApiUnreachableError. GoneError means: list again.
        """
        query = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(max(1, round(window))),
        }
        silent = ApiUnreachableError(f"silent for {silence:.0f} s")
        opening = self._transport.stream(resource.path(self.namespace), query)
        stream = await self._reached("watch", opening, timeout=silence)
        self._note("watch", stream.status, stream.date)
        try:
            if not _is_success(stream.status):
                raise error_of(stream.status, await _within(silence, stream.read(), silent))
            while line := await _within(silence, stream.line(), silent):
                if line.strip():
                    yield decode_event(line, resource)
        finally:
            stream.close()

    async def log(self, pod: str, container: str, *, previous: bool, tail_lines: int, limit_bytes: int) -> str:
        query = {
            "container": container,
            "previous": str(previous).lower(),
            "tailLines": str(tail_lines),
            "limitBytes": str(limit_bytes),
        }
        content = await self.read("get", PODS.path(self.namespace, pod, "log"), query=query)
        return content.decode(errors="replace")

    async def _answer(self, verb: str, sending: Awaitable[Response], *, timeout: float) -> bytes:
        """The body of a success, within `timeout` seconds. Raises KubernetesError."""
        response = await self._reached(verb, sending, timeout=timeout)
        self._note(verb, response.status, response.date)
        if not _is_success(response.status):
            raise error_of(response.status, response.body)
        return response.body

    async def _reached(self, verb: str, sending: Awaitable[R], *, timeout: float) -> R:
        try:
            return await _within(timeout, sending, ApiUnreachableError("timed out"))
        except ApiUnreachableError as error:
            self._observe(verb, "timeout" if isinstance(error.__cause__, TimeoutError) else "error")
            raise

    def _note(self, verb: str, status: int, date: str) -> None:
        self._observe(verb, str(status))
        self._date = date or self._date


async def _within(timeout: float, answer: Awaitable[R], late: ApiUnreachableError) -> R:
    try:
        async with asyncio.timeout(timeout):
            return await answer
    except TimeoutError as error:
        raise late from error


def _is_success(status: int) -> bool:
    return 200 <= status < 300


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})
