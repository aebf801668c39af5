"""Deadlines for slow clients: aiohttp has one for a connection that is idle, and none for a request that trickles in.

A protocol of our own stands between the transport and aiohttp's, and aborts a connection whose client does not send
the headers of a request, or does not read its response, in time. The body has its deadline where it is read.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take of a server: connections, and seconds."""

    connections: int = 200
    handshake: float = 10.0
    headers: float = 10.0
    response: float = 30.0
    """For the client to take what does not fit the kernel's buffers."""
    linger: float = 2.0
    """For the rest of a body that nobody wants, once the request is answered."""
    keep_alive: float = 75.0
    """Until an idle connection is closed."""


BODY_TIMEOUT = 8.0
"""Seconds that a client has to send the body of a request."""


async def read_body(request: web.Request, *, timeout: float = BODY_TIMEOUT) -> bytes:
    """The body of the request.

    Raises:
        HTTPRequestTimeout: it was not sent in time; the connection is closed.
        HTTPBadRequest: it is not what its headers promise, such as gzip.
        HTTPRequestEntityTooLarge: it is larger than the application takes.

    """
    try:
        async with asyncio.timeout(timeout):
            return await request.read()
    except TimeoutError:
        late = web.HTTPRequestTimeout(text="The body of the request did not arrive in time.\n")
        late.force_close()
        raise late from None
    except web.RequestPayloadError as error:
        raise web.HTTPBadRequest(text=f"The body of the request cannot be decoded: {error}\n") from error


class TimedProtocol(asyncio.Protocol):
    """aiohttp's protocol of one connection, with deadlines."""

    def __init__(self, inner: asyncio.Protocol, limits: Limits, waiting: "Waiting") -> None:
        self._inner = inner
        self._waiting = waiting
        self._transport: asyncio.Transport | None = None
        self._in_request = False
        self._headers = _Deadline(limits.headers, self.abort)
        self._response = _Deadline(limits.response, self.abort)

    def request_starts(self) -> None:
        """The headers of a request are complete."""
        self._in_request = True
        self._headers.stop()
        self._waiting.discard(self)

    def request_ends(self) -> None:
        """The request was handled: what comes next belongs to another one."""
        self._in_request = False
        self._waiting.add(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - as asyncio promises for a stream
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)  # so that `pause_writing` says that something is left
        self._headers.start()
        self._waiting.add(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._in_request:
            self._headers.start()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._response.start()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._response.stop()
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers.stop()
        self._response.stop()
        self._waiting.discard(self)
        self._inner.connection_lost(exc)

    def abort(self) -> None:
        """Close the connection, whatever is left to send."""
        if self._transport is not None:
            log.debug("slow client disconnected", extra={"client": self._transport.get_extra_info("peername")})
            self._transport.abort()


class Waiting:
    """The connections that wait for a request, be it that they are idle or that it trickles in."""

    def __init__(self) -> None:
        self._protocols: dict[TimedProtocol, None] = {}  # in the order in which they began to wait

    def add(self, protocol: TimedProtocol) -> None:
        self._protocols[protocol] = None

    def discard(self, protocol: TimedProtocol) -> None:
        self._protocols.pop(protocol, None)

    def abort_oldest(self) -> bool:
        """Close the connection that waits for longest; false where none waits."""
        oldest = next(iter(self._protocols), None)
        if oldest is None:
            return False
        self.discard(oldest)
        oldest.abort()
        return True


@web.middleware
async def watch_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection when a request starts and ends: the outermost middleware."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(protocol, TimedProtocol):
        return await handler(request)
    protocol.request_starts()
    try:
        return await handler(request)
    finally:
        protocol.request_ends()


class _Deadline:
    """One deadline, set again and again."""

    def __init__(self, seconds: float, missed: Callable[[], None]) -> None:
        self._seconds = seconds
        self._missed = missed
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the time, unless it runs."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._missed)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
