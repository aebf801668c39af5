"""Clients that hold a connection and do not finish what they began: each is disconnected, and others are served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from exporter.serving.access import Access
from exporter.serving.deadlines import Limits, read_body
from tests.support.certificates import Authority
from tests.support.daemons import FakeDaemon, listening
from tests.support.sites import TLS, trusting

LONG = 30.0
"""Seconds that a test waits before it fails, far beyond every deadline that it sets."""
GET = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> bytes:
        """The head of the next response; empty where the server closed the connection."""
        async with asyncio.timeout(LONG):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await self.reader.readexactly(length)
            return head

    async def ask(self, request: bytes = GET) -> bytes:
        self.writer.write(request)
        return (await self.answer())[:12]


@asynccontextmanager
async def connected(port: int, **options: object) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)  # type: ignore[arg-type]
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_headers_that_trickle_in_are_waited_for_no_longer_than_the_deadline() -> None:
    async with listening(FakeDaemon(), limits=Limits(headers=0.5)) as port, connected(port) as slow:

        async def trickle() -> None:
            slow.writer.write(GET[:-2] + b"X-Slow: ")
            while True:
                slow.writer.write(b"x")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        try:
            assert await slow.answer() == b""
        finally:
            trickling.cancel()
        async with connected(port) as other:
            assert await other.ask() == b"HTTP/1.1 200"


async def test_a_connection_that_sends_nothing_is_closed() -> None:
    async with listening(FakeDaemon(), limits=Limits(headers=0.2)) as port, connected(port) as silent:
        assert await silent.answer() == b""


async def test_a_second_request_has_the_same_deadline() -> None:
    async with listening(FakeDaemon(), limits=Limits(headers=1.0)) as port, connected(port) as slow:
        assert await slow.ask() == b"HTTP/1.1 200"
        slow.writer.write(GET[:20])
        assert await slow.answer() == b""


async def test_an_idle_connection_lives_longer_than_the_deadline_for_headers() -> None:
    """The control: it has the keep-alive's time, and the request that comes then is answered."""
    async with listening(FakeDaemon(), limits=Limits(headers=1.0)) as port, connected(port) as idle:
        assert await idle.ask() == b"HTTP/1.1 200"
        await asyncio.sleep(1.5)
        assert await idle.ask() == b"HTTP/1.1 200"


async def test_an_idle_connection_is_closed_after_the_keep_alive() -> None:
    async with listening(FakeDaemon(), limits=Limits(keep_alive=0.2)) as port, connected(port) as idle:
        assert await idle.ask() == b"HTTP/1.1 200"
        assert await idle.answer() == b""


async def test_a_handler_may_take_longer_than_the_deadline_for_headers() -> None:
    """The control: the deadline is the client's, not ours."""

    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(1.5)
        return web.Response()

    daemon = FakeDaemon(routes=[web.get("/slow", slow)])
    async with listening(daemon, limits=Limits(headers=1.0)) as port, connected(port) as client:
        assert await client.ask(GET.replace(b"/-/ready", b"/slow")) == b"HTTP/1.1 200"


async def body(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await read_body(request, timeout=0.3))))


async def test_a_body_that_does_not_arrive_is_answered_408_and_the_connection_closed() -> None:
    head = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    daemon = FakeDaemon(routes=[web.post("/body", body)])
    async with listening(daemon, limits=Limits(linger=0.1)) as port, connected(port) as client:
        assert await client.ask(head + b"123456789") == b"HTTP/1.1 200"
        client.writer.write(head + b"1234")
        answer = await client.answer()
        assert (answer[:12], b"connection: close" in answer.lower()) == (b"HTTP/1.1 408", True)
        assert await client.answer() == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_cannot_be_decoded_is_answered_400(encoding: str) -> None:
    head = f"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {encoding}\r\nContent-Length: 9\r\n\r\n"
    async with listening(FakeDaemon(routes=[web.post("/body", body)])) as port, connected(port) as client:
        assert await client.ask(head.encode() + b"123456789") == b"HTTP/1.1 400"


async def test_a_client_that_does_not_read_its_response_is_disconnected() -> None:
    finished = asyncio.Event()

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 1024 * 1024)
        finally:
            finished.set()

    daemon = FakeDaemon(routes=[web.get("/large", large)])
    async with listening(daemon, limits=Limits(response=0.3)) as port, connected(port) as client:
        client.writer.write(GET.replace(b"/-/ready", b"/large"))
        async with asyncio.timeout(LONG):
            await finished.wait()


async def test_beyond_the_limit_the_connection_that_waits_for_longest_makes_room() -> None:
    async with (
        listening(FakeDaemon(), limits=Limits(connections=2)) as port,
        connected(port) as first,
        connected(port) as second,
    ):
        assert (await first.ask(), await second.ask(), await first.ask()) == (b"HTTP/1.1 200",) * 3
        async with connected(port) as third:
            assert await third.ask() == b"HTTP/1.1 200"
            assert await second.answer() == b""
            assert await first.ask() == b"HTTP/1.1 200"


async def test_beyond_the_limit_no_request_under_way_makes_room() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        asked.set()
        await answer.wait()
        return web.Response()

    daemon = FakeDaemon(routes=[web.get("/slow", slow)])
    async with listening(daemon, limits=Limits(connections=1)) as port, connected(port) as busy:
        asking = asyncio.create_task(busy.ask(GET.replace(b"/-/ready", b"/slow")))
        await asked.wait()
        for _ in range(5):
            async with connected(port) as refused:
                assert await refused.ask() == b""
        answer.set()
        assert await asking == b"HTTP/1.1 200"
        async with connected(port) as served:
            assert await served.ask() == b"HTTP/1.1 200"


async def test_a_handshake_that_is_never_finished_counts_as_a_connection_and_has_a_deadline(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    (tmp_path / "web.yaml").write_text(TLS)
    context = Access(str(tmp_path / "web.yaml")).ssl_context()
    async with listening(FakeDaemon(), ssl_context=context, limits=Limits(connections=1, handshake=1.0)) as port:
        async with connected(port) as silent:
            with pytest.raises(OSError):  # noqa: PT011 - of TLS or of TCP, as it happens
                async with connected(port, ssl=trusting(authority)):
                    pass
            assert await silent.answer() == b""  # by the deadline
        async with connected(port, ssl=trusting(authority)) as client:
            assert await client.ask() == b"HTTP/1.1 200"
