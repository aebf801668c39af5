"""The seam for HTTP, as far as it writes: every other method than GET, and the WebSocket of an exec.

Only `webhook.writer` sends with it. A request is sent once: whether one that was not answered took effect is for the
caller to find out.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal, Protocol

import aiohttp
import msgspec

from exporter.kubernetes.connection import Login, words
from exporter.kubernetes.transport import TIMEOUT, HttpTransport, ReadTransport, Response, authorized, reaching, whole

Method = Literal["POST", "PUT", "DELETE"]

_GOOD_BYE = aiohttp.ClientWSTimeout(ws_close=1.0)
"""Seconds that a WebSocket that we leave waits for the server's own close; one that hangs never sends it."""


class UpgradeRefusedError(Exception):
    """The server answered an exec with something else than the WebSocket; the body of that answer is lost."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class WriteTransport(ReadTransport, Protocol):
    """Both raise ApiUnreachableError or TimeoutError where there is no answer; neither has a deadline of its own."""

    async def send(self, method: Method, path: str, body: object, *, retry_unauthorized: bool = True) -> Response:
        """One request with a JSON body. After a 401 it is sent again with new credentials, or not at all."""

    def exec(self, path: str, query: list[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
        """The frames of v4.channel.k8s.io, channel byte first. Raises UpgradeRefusedError as well."""


class HttpWriteTransport(HttpTransport):
    """`WriteTransport` on a connection to an API server."""

    async def send(self, method: Method, path: str, body: object, *, retry_unauthorized: bool = True) -> Response:
        data = msgspec.json.encode(body)

        async def ask(login: Login) -> aiohttp.ClientResponse:
            return await login.session.request(
                method,
                login.url(path, {}),
                data=data,
                headers={**login.headers, "Content-Type": "application/json"},
                timeout=TIMEOUT,
                allow_redirects=False,  # a 307 would send it again
                middlewares=(_once,),
                **login.options,
            )

        with reaching():
            async with await authorized(self._connection, ask, retry_unauthorized=retry_unauthorized) as response:
                return await whole(response)

    async def exec(self, path: str, query: list[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
        login = await self._connection.login()
        headers: Mapping[str, str] = {**login.headers, "Accept": "*/*"}  # kube-apiserver refuses JSON alone: 406
        url = "ws" + login.url(path, query).removeprefix("http")
        options: dict[str, Any] = {**login.options} | {"protocols": ("v4.channel.k8s.io",), "timeout": _GOOD_BYE}
        with reaching():
            try:
                socket = await login.session.ws_connect(url, headers=headers, **options)
            except aiohttp.WSServerHandshakeError as error:
                raise UpgradeRefusedError(error.status) from error
        async with socket:
            with reaching():
                message = await socket.receive()
            while message.type is aiohttp.WSMsgType.BINARY:
                yield message.data
                with reaching():
                    message = await socket.receive()


class _LostError(aiohttp.ClientError):
    """The connection ended before there was an answer."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending a request a second time.

    `ClientSession._request` (aiohttp 3.14, client.py) sends a GET, PUT or DELETE again after ServerDisconnectedError or
    ClientOSError, once, whether or not the connection was an old one: `retry_persistent_connection`. There is no option
    for that, and a fresh connection changes nothing. But it looks at the type of the error alone, and middlewares are
    inside of its loop, so an error of another type ends it. A connection that the server closed while it was idle
    hardly costs us a request by this: aiohttp itself drops it after 15 s, and kube-apiserver after 90 s.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # no connection was made, so nothing was sent; aiohttp does not try again
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _LostError(words(error)) from error
