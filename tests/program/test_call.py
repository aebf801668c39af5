"""A call of the BBS over TLS: what each end of it says of the BBS, and what it leaves of what the connect proved."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from exporter.foundation.bbs_api import DOMAINS
from exporter.foundation.call import Called, probe_and_call
from exporter.foundation.view import CallResult, ProbeResult
from sandbox.bbs import BbsApi
from tests.support.bbs import LONG, Pki, accepting, called, outcome
from tests.support.clocks import SetClock

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_bbs_answers(pki: Pki, version: ssl.TLSVersion) -> None:
    """And finds nothing to complain of, while a bare connect leaves its line: the control."""
    api = BbsApi(pki.server_context(version=version))
    async with accepting(partial(api.serve, mute=False)) as port:
        assert outcome(await called(pki, port)) == (ProbeResult.SUCCESS, CallResult.ANSWERED)
        assert (api.calls, api.log) == ([DOMAINS], [])

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        await _until(lambda: bool(api.log))
        assert "TLS handshake error" in api.log[0]


@pytest.mark.parametrize("path", [None, DOMAINS])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_begins_and_ends_in_good_order(pki: Pki, version: ssl.TLSVersion, path: str | None) -> None:
    """The server sees the end that TLS has, and not a connection that breaks; also where nothing is called."""
    context, received = pki.server_context(version=version), []

    def serve(connection: socket.socket) -> None:
        connection.setblocking(True)
        with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secured:
            if path is not None:
                received.append(secured.recv(4096).split(b"\r\n")[0])
                secured.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
            received.append(secured.recv(4096))

    served: list[asyncio.Future[None]] = []

    async def accept(connection: socket.socket) -> None:
        served.append(asyncio.ensure_future(asyncio.to_thread(serve, connection)))
        await served[0]

    async with accepting(accept) as port:
        assert outcome(await called(pki, port, path=path)) == (ProbeResult.SUCCESS, CallResult.ANSWERED)
        await asyncio.wait_for(served[0], LONG)
    assert received == ([] if path is None else [b"POST /v1/domains/list HTTP/1.1"]) + [b""]


async def test_a_bbs_whose_database_is_silent_does_not_answer(pki: Pki) -> None:
    """`/v1/ping` does all the same: it says nothing of the database."""
    api = BbsApi(pki.server_context())
    async with accepting(partial(api.serve, mute=True)) as port:
        found = await called(pki, port, timeout=1)
        assert outcome(found) == (ProbeResult.SUCCESS, CallResult.TIMEOUT)
        assert found.detail.startswith("the call was not answered within")
        assert outcome(await called(pki, port, path="/v1/ping")) == (ProbeResult.SUCCESS, CallResult.ANSWERED)


async def _hang(connection: socket.socket) -> None:
    with connection:
        await asyncio.Event().wait()


async def _close(connection: socket.socket) -> None:
    connection.close()


async def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


async def _speak_plainly(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    with connection:
        await loop.sock_recv(connection, 4096)
        await loop.sock_sendall(connection, b"HTTP/1.0 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("serve", "timeout", "expected"),
    [
        (_hang, 0.5, (ProbeResult.SUCCESS, CallResult.TIMEOUT)),
        (_close, LONG, (ProbeResult.RESET, CallResult.CLOSED)),
        (_reset, LONG, (ProbeResult.RESET, CallResult.CLOSED)),
        (_speak_plainly, LONG, (ProbeResult.TLS, CallResult.TLS)),
    ],
    ids=["it says nothing", "it closes", "it resets", "it speaks no TLS"],
)
async def test_who_accepts_and_does_not_begin_tls(
    pki: Pki,
    serve: Callable[[socket.socket], Awaitable[None]],
    timeout: float,
    expected: tuple[ProbeResult, CallResult],
) -> None:
    async with accepting(serve) as port:
        assert outcome(await called(pki, port, timeout=timeout)) == expected


async def test_where_nobody_accepts_nothing_is_said_of_answers(pki: Pki) -> None:
    async with accepting(_hang) as port:
        pass
    assert await called(pki, port) == Called((await called(pki, port)).dial)
    assert outcome(await called(pki, port)) == (ProbeResult.REFUSED, None)


def _answering(pki: Pki, answer: bytes) -> Callable[[socket.socket], Awaitable[None]]:
    context = pki.server_context()

    async def serve(connection: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    return serve


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (HEAD + b"Content-Length: 0\r\n\r\n", CallResult.ANSWERED, ""),
        (HEAD + b"\r\n\x12\x07cf-apps", CallResult.ANSWERED, ""),
        (HEAD + b"Content-Length: 8\r\n\r\n\x0a\x06\x12\x04down", CallResult.FAILED, "down"),
        (HEAD + b"Content-Length: 9\r\n\r\n\x12\x07cf", CallResult.CLOSED, "without an answer"),
        (HEAD + b"Content-Length: 9999999\r\n\r\n", CallResult.ERROR, "9999999 bytes"),
        (HEAD + b"\r\n" + bytes(2_000_000), CallResult.ERROR, "more than 1048576 bytes"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", CallResult.FAILED, "HTTP status 503"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", CallResult.ERROR, "HTTP status 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>", CallResult.ERROR, "not the answer of a BBS"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", CallResult.ERROR, "this is not HTTP"),
        (b"x" * 2_000_000, CallResult.ERROR, "not an answer of a BBS"),
        (b"", CallResult.CLOSED, "without an answer"),
    ],
    ids=[
        "no domains",
        "up to the end of the connection",
        "an error of its database",
        "cut off",
        "a length that no BBS has",
        "a body without end",
        "not ready to serve",
        "another API",
        "another server",
        "another protocol",
        "a head without end",
        "nothing",
    ],
)
async def test_answers(pki: Pki, answer: bytes, expected: CallResult, words: str) -> None:
    async with accepting(_answering(pki, answer)) as port:
        found = await called(pki, port)

    assert outcome(found) == (ProbeResult.SUCCESS, expected)
    assert words in found.detail


async def test_a_call_that_had_too_little_time_proves_nothing(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of the name took more than its half of the time from it. The control is the silent database above."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def slow(sock: socket.socket, address: tuple[str, int]) -> None:
        await asyncio.sleep(0.6)
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", slow)
    async with accepting(_hang) as port:
        found = await called(pki, port, timeout=1)

    assert outcome(found) == (ProbeResult.SUCCESS, CallResult.ERROR)
    assert "were left after the connect" in found.detail


async def test_a_call_is_a_part_of_its_probe(pki: Pki) -> None:
    async with accepting(partial(BbsApi(pki.server_context()).serve, mute=False)) as port:
        ask = partial(probe_and_call, "127.0.0.1", port, timeout=LONG, clock=SetClock(7.0), caller=pki.caller())
        found, greeted = await ask(path=DOMAINS), await ask(path=None)

    assert found.result is ProbeResult.SUCCESS
    assert found.call is not None
    assert (found.call.result, found.call.at) == (CallResult.ANSWERED, 7.0)
    assert (greeted.result, greeted.call) == (ProbeResult.SUCCESS, None)


async def test_a_defect_of_ours_costs_the_call_and_not_the_connect(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("exporter.foundation.bbs_api.request", broken)
    async with accepting(partial(BbsApi(pki.server_context()).serve, mute=False)) as port:
        assert outcome(await called(pki, port)) == (ProbeResult.SUCCESS, CallResult.ERROR)
    assert "a call of the BBS failed" in caplog.text


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.01)
