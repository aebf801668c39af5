"""A probe that does not stop at the connect: TLS with a client's certificate, and a call of the BBS's API.

All of it on one connection, which also spares the BBS the line in its log that a bare connect leaves. What the connect
proves stays as it is (`exporter.foundation.probe`); what the call proves is decided in `exporter.foundation.assess`.
"""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from exporter.clock import Clock
from exporter.config.model import Bbs, BbsTls, Foundation
from exporter.foundation import bbs_api
from exporter.foundation.followed_context import FollowedContext
from exporter.foundation.probe import STALL, DialResult, connect_tcp, probe
from exporter.foundation.view import Call, CallResult, Probe, ProbeResult

MOST: Final = 1024 * 1024
"""Bytes of an answer; those of a BBS have a few dozen."""
_CLOSING: Final = 0.5
"""Seconds for the end of TLS, after which the connection is cut."""

log = logging.getLogger(__name__)


class Called(NamedTuple):
    """What the connect came to and, where something was asked after it, what that did."""

    dial: DialResult
    result: CallResult | None = None
    detail: str = ""


class Caller(Protocol):
    """The seam for calls. `timeout` is the deadline of the whole, in seconds; a caller answers and does not raise.

    `path` is what is called; None: nothing is, but TLS is begun and ended in good order.
    """

    async def __call__(self, host: str, port: int, *, path: str | None, timeout: float) -> Called: ...


async def probe_and_call(
    host: str, port: int, *, path: str | None, timeout: float, clock: Clock, caller: Caller
) -> Probe:
    """One probe with what was asked on its connection, within `timeout` seconds. Raises nothing but CancelledError."""
    calls: list[Called] = []

    async def dial(host: str, port: int, *, timeout: float) -> DialResult:
        calls.append(await caller(host, port, path=path, timeout=timeout))
        return calls[-1].dial

    found = await probe(host, port, timeout=timeout, clock=clock, dial=dial)
    for called in calls:
        if path is not None and called.result is not None:
            return replace(found, call=Call(called.result, at=found.at, detail=called.detail))
    return found


class BbsClient:
    """Calls the BBS of one foundation, with the certificates as they are now.

    The BBS's certificate must have the name `server_name`, or that of `bbs.host`, whichever address is connected to: a
    pod answers at its own address with the certificate that it has for its Service.
    """

    def __init__(self, bbs: Bbs, tls: BbsTls, *, foundation: str) -> None:
        self._name = (tls.server_name or bbs.host).rstrip(".")  # in a certificate no name ends with a dot
        self._context = FollowedContext(tls, foundation=foundation)

    async def __call__(self, host: str, port: int, *, path: str | None, timeout: float) -> Called:
        """Connects, and calls if the certificates permit it; else the probe is a connect alone."""
        deadline = asyncio.get_running_loop().time() + timeout
        context = await self._context.current()
        dialled, connection = await connect_tcp(host, port, timeout=timeout)
        if connection is None:
            return Called(dialled)
        if context is None:
            connection.close()
            return Called(dialled)
        exchange = _Exchange(connection, context, name=self._name, port=port, path=path)
        result, detail = await exchange.run(deadline, patience=timeout / 2)
        return Called(_seen(dialled, result, detail, secured=exchange.secured), result, detail)


def bbs_client(foundation: Foundation) -> BbsClient | None:
    """What calls the BBS of a foundation; None where its config has no certificates for that."""
    bbs = foundation.bbs
    return None if bbs.tls is None else BbsClient(bbs, bbs.tls, foundation=foundation.name)


def _seen(dialled: DialResult, result: CallResult, detail: str, *, secured: bool) -> DialResult:
    """The result of the probe: TLS that fails is a result of its own, and so is who closes before TLS is up."""
    if result is CallResult.TLS:
        return DialResult(ProbeResult.TLS, detail)
    if result is CallResult.CLOSED and not secured:
        return DialResult(ProbeResult.RESET, detail)
    return dialled


class _Exchange:
    """TLS and one call on a connection, which it closes."""

    def __init__(
        self, connection: socket.socket, context: ssl.SSLContext, *, name: str, port: int, path: str | None
    ) -> None:
        self._connection = connection
        self._context = context
        self._name = name
        self._port = port
        self._path = path
        self._writer: asyncio.StreamWriter | None = None

    @property
    def secured(self) -> bool:
        """Whether TLS came up."""
        return self._writer is not None

    async def run(self, deadline: float, *, patience: float) -> tuple[CallResult, str]:
        """What it came to. Silence until the deadline proves something if it lasted for `patience` seconds or more."""
        loop = asyncio.get_running_loop()
        left = deadline - loop.time()
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._talk()
        except TimeoutError:
            return self._silence(left, late=loop.time() - deadline, patience=patience)
        except Exception as error:  # noqa: BLE001 - whatever it is must not cost what the connect has proved
            return _broken(error, secured=self.secured)
        else:
            await self._close()
            return answer
        finally:
            if self._writer is not None:
                self._writer.transport.abort()

    def _silence(self, seconds: float, *, late: float, patience: float) -> tuple[CallResult, str]:
        if late > STALL:
            return CallResult.ERROR, f"this process stood still for {late:.1f} s"
        if seconds < patience:
            return CallResult.ERROR, f"only {max(seconds, 0.0):.1f} s were left after the connect"
        asked = "the call" if self.secured else "TLS"
        return CallResult.TIMEOUT, f"{asked} was not answered within {seconds:.1f} s"

    async def _talk(self) -> tuple[CallResult, str]:
        reader, writer = await asyncio.open_connection(
            sock=self._connection, ssl=self._context, server_hostname=self._name, limit=MOST
        )
        self._writer = writer
        if self._path is None:
            return CallResult.ANSWERED, ""
        host = f"[{self._name}]" if ":" in self._name else self._name
        writer.write(bbs_api.request(self._path, host=f"{host}:{self._port}"))
        head = bbs_api.Head(await reader.readuntil(b"\r\n\r\n"))
        return bbs_api.judge(head, await _body(reader, head.length))

    async def _close(self) -> None:
        """Ends TLS in good order, so that the server logs no error; the answer is there, whatever this comes to."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CLOSING):
                    await self._writer.wait_closed()


def _broken(error: Exception, *, secured: bool) -> tuple[CallResult, str]:
    """What an error says: TLS does not fit, nobody answers, this is no BBS, or (a defect of ours) nothing.

    In TLS 1.3 a server reads the client's certificate after the handshake (RFC 8446, section 4.4). One that refuses it
    and leaves the request unread resets the connection, and the reset can overtake the alert that says why. So a reset
    after the handshake proves nothing.
    """
    match error:
        case ssl.SSLCertVerificationError():
            return CallResult.TLS, f"the BBS's certificate: {error.verify_message}"
        case ssl.SSLEOFError() | asyncio.IncompleteReadError():
            return CallResult.CLOSED, "the connection was closed without an answer"
        case ssl.SSLError():
            return CallResult.TLS, f"TLS failed: {error.reason or error}"
        case ConnectionResetError() | BrokenPipeError() if secured:
            return CallResult.ERROR, "the connection was reset after TLS: the BBS may refuse the certificate"
        case OSError():
            return CallResult.CLOSED, f"the connection broke: {error.strerror or error}"
        case ValueError() | asyncio.LimitOverrunError():
            return CallResult.ERROR, f"not an answer of a BBS: {error}"
    log.error("a call of the BBS failed", exc_info=error)
    return CallResult.ERROR, f"{type(error).__name__}: {error}"


async def _body(reader: asyncio.StreamReader, length: int | None) -> bytes:
    """The body, up to its length or up to the end of the connection. Raises ValueError for one that is too long."""
    if length is not None:
        if length > MOST:
            raise ValueError(f"{length} bytes")
        return await reader.readexactly(length)
    body = bytearray()
    while more := await reader.read(MOST):
        body += more
        if len(body) > MOST:
            raise ValueError(f"more than {MOST} bytes")
    return bytes(body)
