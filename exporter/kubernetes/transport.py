"""The seam for HTTP, as far as it reads: a GET and its whole answer, or a GET and the lines of a watch.

Everything above it (deadlines, decoding, what each status means) is the same whatever the transport is. This type has
no other method than GET; the one that has is `webhook.transport`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

import aiohttp

from exporter.kubernetes.api import ApiUnreachableError
from exporter.kubernetes.connection import Connection, Login, words

R = TypeVar("R", bound=aiohttp.ClientResponse)

CONNECT = 10.0
"""Seconds within which a connection must be made."""
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_connect=CONNECT)
"""The deadline of the whole is the client's, and covers the credentials as well."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. `date` is its Date header: the server's clock, in whole seconds."""

    status: int
    body: bytes
    date: str = ""


class Stream(Protocol):
    """The answer to a watch: its status, and its body as it comes. To be closed, wherever it is left."""

    status: int
    date: str

    async def line(self) -> bytes:
        """The next line; b"" is the end. Raises ApiUnreachableError where it was cut off."""

    async def read(self) -> bytes:
        """All that is left of the body, of an answer that is no watch. Raises ApiUnreachableError."""

    def close(self) -> None: ...


class ReadTransport(Protocol):
    """Both raise ApiUnreachableError or TimeoutError where there is no answer; neither has a deadline of its own."""

    async def get(self, path: str, query: Mapping[str, str]) -> Response: ...

    async def stream(self, path: str, query: Mapping[str, str]) -> Stream: ...


class HttpTransport:
    """`ReadTransport` on a connection to an API server.

    `gate` is what a GET waits for, up to its whole answer, and a watch until it is open.
    """

    def __init__(self, connection: Connection, *, gate: AbstractAsyncContextManager[object] | None = None) -> None:
        self._connection = connection
        self._gate = gate or nullcontext()

    async def get(self, path: str, query: Mapping[str, str]) -> Response:
        with reaching():
            async with self._gate, await self._get(path, query) as response:
                return await whole(response)

    async def stream(self, path: str, query: Mapping[str, str]) -> Stream:
        with reaching():
            async with self._gate:
                return _HttpStream(await self._get(path, query))

    async def _get(self, path: str, query: Mapping[str, str]) -> aiohttp.ClientResponse:
        async def ask(login: Login) -> aiohttp.ClientResponse:
            url = login.url(path, query)
            return await login.session.get(url, headers=login.headers, timeout=TIMEOUT, **login.options)

        return await authorized(self._connection, ask)


async def authorized(
    connection: Connection, ask: Callable[[Login], Awaitable[R]], *, retry_unauthorized: bool = True
) -> R:
    """Asks with credentials and authorities that are read again where they, or the server's, are refused.

    After a 401 it asks once more, unless the caller forbids it. Where the server's certificate was not accepted nothing
    was sent, so it asks once more in any case.
    """
    login = await connection.login()
    try:
        response = await ask(login)
    except aiohttp.ClientConnectorCertificateError:
        if not await connection.renew(login):
            raise
        return await ask(await connection.login())
    if response.status != 401 or not retry_unauthorized or not await connection.renew(login):
        return response
    response.close()
    return await ask(await connection.login())


async def whole(response: aiohttp.ClientResponse) -> Response:
    return Response(response.status, await response.read(), response.headers.get("Date", ""))


@contextmanager
def reaching() -> Iterator[None]:
    """Makes ApiUnreachableError of what aiohttp raises; a TimeoutError stays one, so that it can be counted as such."""
    try:
        yield
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a line beyond aiohttp's limit
        _forget_frames(error)
        raise ApiUnreachableError(words(error)) from error


def _forget_frames(error: BaseException | None) -> None:
    """Breaks the cycles of an exception with the frames of aiohttp that keep it: hundreds of objects each time."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class _HttpStream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.date = response.headers.get("Date", "")

    async def line(self) -> bytes:
        with reaching():
            return await self._response.content.readline()

    async def read(self) -> bytes:
        with reaching():
            return await self._response.read()

    def close(self) -> None:
        """Closes the response. One that is not at its end takes its connection with it.

        At once, that is: the good-byes of TLS would wait half a minute for a server that hangs.
        """
        transport = self._response.connection.transport if self._response.connection else None
        self._response.close()
        if transport is not None:
            transport.abort()
