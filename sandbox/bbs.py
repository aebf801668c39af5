"""The API of the stand-in BBS, as far as diego-medic asks it: mutual TLS, and two calls.

As in cloudfoundry/bbs (`routes.go`, `handlers/`): `/v1/ping` answers by itself, and `/v1/domains/list` after a read of
the database. While that is silent, the first answers and the second hangs.
"""

import asyncio
import socket
import ssl
from contextlib import suppress

_CALLS = {
    b"/v1/ping": b"\x08\x01",  # PingResponse{available: true}
    b"/v1/domains/list": b"\x12\x07cf-apps\x12\x08cf-tasks",  # DomainsResponse{domains: …}
}
_NEEDS_NO_DATABASE = {b"/v1/ping"}
_PATIENCE = 60.0
"""Seconds for which a connection is kept."""


class BbsApi:
    """Speaks on connections that were accepted."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.log: list[str] = []
        """What a BBS logs of connections that are none, in the words of Go's HTTP server."""
        self.calls: list[str] = []
        """The paths that were called, oldest first."""

    async def serve(self, connection: socket.socket, *, mute: bool) -> None:
        """One connection, to its end; `mute`: the BBS's database is silent."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            peer = "{}:{}".format(*connection.getpeername()[:2])
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._context)
        except OSError as error:
            reason = "EOF" if isinstance(error, ConnectionError) else f"tls: {error}"
            self.log.append(f"http: TLS handshake error from {peer}: {reason}")
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._answer(reader, writer, mute=mute)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, mute: bool) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1]
        self.calls.append(path.decode("latin-1"))
        if mute and path not in _NEEDS_NO_DATABASE:
            await reader.read()
            return
        body = _CALLS.get(path)
        status = b"200 OK" if body is not None else b"404 Not Found"
        lines = (b"HTTP/1.1 " + status, b"Content-Type: application/x-protobuf", b"Connection: close")
        length = f"Content-Length: {len(body or b'')}".encode()
        writer.write(b"\r\n".join((*lines, length, b"", body or b"")))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
