"""One TCP probe: look the name up, connect, close; and how it ended, as one word of a closed set.

A probe says what it saw, no more. What that proves is decided in `exporter.foundation.assess`. A bare connect and
close leaves one line in the log of a BBS (`TLS handshake error … EOF`), so whoever probes on a schedule keeps the
probes spaced.
"""

import asyncio
import errno
import ipaddress
import logging
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple, Protocol

from exporter.clock import Clock
from exporter.foundation.view import Probe, ProbeResult

STALL = 1.0
"""Seconds by which a deadline may be noticed late; beyond that this process slept, and the probe says nothing."""

_BY_ERRNO = {
    errno.ECONNREFUSED: ProbeResult.REFUSED,
    errno.ETIMEDOUT: ProbeResult.TIMEOUT,
    errno.EHOSTUNREACH: ProbeResult.UNREACHABLE,
    errno.ENETUNREACH: ProbeResult.UNREACHABLE,
    errno.ECONNRESET: ProbeResult.RESET,
    errno.EPIPE: ProbeResult.RESET,
}
# getaddrinfo(3): the name is not there, or has no address. EAI_AGAIN and the rest say that the resolver has trouble.
_NO_SUCH_NAME = {socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY}
# Where the addresses of a name disagree: a success counts, then whatever leaves the question open, then the firmest no.
_TELLING = (
    ProbeResult.SUCCESS,
    ProbeResult.RESET,
    ProbeResult.ERROR,
    ProbeResult.REFUSED,
    ProbeResult.TIMEOUT,
    ProbeResult.UNREACHABLE,
    ProbeResult.DNS,
)

log = logging.getLogger(__name__)


class DialResult(NamedTuple):
    """How a dial ended, and in whose words."""

    result: ProbeResult
    detail: str


class Dialer(Protocol):
    """The seam for TCP. `timeout` is the deadline of the whole, in seconds; a dialer answers and does not raise."""

    async def __call__(self, host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]: ...


class _Address(NamedTuple):
    family: int
    sockaddr: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.sockaddr[0])


async def dial_tcp(host: str, port: int, *, timeout: float) -> DialResult:
    """Connects and closes, as `connect_tcp` does it."""
    result, connection = await connect_tcp(host, port, timeout=timeout)
    if connection is not None:
        connection.close()
    return result


async def connect_tcp(host: str, port: int, *, timeout: float) -> tuple[DialResult, socket.socket | None]:
    """Connects; success if any of the name's addresses accepts, and then with the connection, which is the caller's.

    Looking the name up may take half of the time: the rest belongs to the connect, so that a slow resolver never looks
    like a silent BBS. A look-up that does not end is `error` and not `dns`, which means that there is no such name.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    try:
        async with asyncio.timeout(timeout / 2):
            addresses = await _look_up(host, port)
    except TimeoutError:
        return DialResult(ProbeResult.ERROR, f"looking {host} up took longer than {timeout / 2:g} s"), None
    except socket.gaierror as error:
        missing = error.errno in _NO_SUCH_NAME
        return DialResult(ProbeResult.DNS if missing else ProbeResult.ERROR, f"{host}: {error.strerror}"), None
    except (OSError, UnicodeError) as error:
        return DialResult(ProbeResult.ERROR, f"{host}: {error}"), None
    return await _connect_to_any(addresses, deadline)


async def probe(host: str, port: int, *, timeout: float, clock: Clock, dial: Dialer = dial_tcp) -> Probe:
    """One probe, within `timeout` seconds whatever the dialer does. Raises nothing but CancelledError."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(timeout + STALL):
            result, detail = await dial(host, port, timeout=timeout)
    except TimeoutError:
        result, detail = ProbeResult.ERROR, f"no answer within {timeout:g} s, nor a reason"
    except Exception as error:  # a dialer's own defect proves nothing about a BBS, and must not end the probing
        log.exception("a probe failed", extra={"host": host, "port": port})
        result, detail = ProbeResult.ERROR, f"{type(error).__name__}: {error}"
    return Probe(result, at=clock.now(), duration=loop.time() - started, detail=detail)


async def _look_up(host: str, port: int) -> list[_Address]:
    with suppress(ValueError):
        # An address needs no resolver, and no thread of the pool that the resolver blocks.
        version = ipaddress.ip_address(host).version
        return [_Address(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(_Address(family, sockaddr) for family, _, _, _, sockaddr in found))


async def _connect_to_any(addresses: Iterable[_Address], deadline: float) -> tuple[DialResult, socket.socket | None]:
    pending = {asyncio.ensure_future(_connect(address, deadline)) for address in addresses}
    failed = [DialResult(ProbeResult.DNS, "the name has no address")] if not pending else []
    try:
        while pending:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for attempt in [each for each in pending if each.done()]:
                pending.remove(attempt)
                result, connection = attempt.result()
                if connection is not None:
                    return result, connection
                failed.append(result)
    finally:
        for each in pending:
            each.cancel()
            each.add_done_callback(_close)
    return min(failed, key=lambda found: _TELLING.index(found.result)), None


def _close(attempt: "asyncio.Future[tuple[DialResult, socket.socket | None]]") -> None:
    """An attempt that nobody waits for any more may have succeeded."""
    connection = None if attempt.cancelled() or attempt.exception() else attempt.result()[1]
    if connection is not None:
        connection.close()


async def _connect(address: _Address, deadline: float) -> tuple[DialResult, socket.socket | None]:
    loop = asyncio.get_running_loop()
    try:
        with ExitStack() as unless_connected:
            connection = unless_connected.enter_context(socket.socket(address.family, socket.SOCK_STREAM))
            connection.setblocking(False)
            async with asyncio.timeout_at(deadline):
                await loop.sock_connect(connection, address.sockaddr)
            unless_connected.pop_all()
    except OSError as error:
        return _failed(address, error, late=loop.time() - deadline), None
    return DialResult(ProbeResult.SUCCESS, f"{address}: connected"), connection


def _failed(address: _Address, error: OSError, *, late: float) -> DialResult:
    if isinstance(error, TimeoutError):
        if late > STALL:
            return DialResult(ProbeResult.ERROR, f"this process stood still for {late:.1f} s")
        return DialResult(ProbeResult.TIMEOUT, f"{address}: {os.strerror(errno.ETIMEDOUT)}")
    # asyncio puts words of its own into `strerror`; the system's are those that people know from nc.
    words = os.strerror(error.errno) if error.errno else str(error)
    return DialResult(_BY_ERRNO.get(error.errno or 0, ProbeResult.ERROR), f"{address}: {words}")
