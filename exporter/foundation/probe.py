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
from contextlib import suppress
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
    """Connects and closes; success if any of the name's addresses accepts.

    Looking the name up may take half of the time: the rest belongs to the connect, so that a slow resolver never looks
    like a silent BBS. A look-up that does not end is `error` and not `dns`, which means that there is no such name.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    try:
        async with asyncio.timeout(timeout / 2):
            addresses = await _look_up(host, port)
    except TimeoutError:
        return DialResult(ProbeResult.ERROR, f"looking {host} up took longer than {timeout / 2:g} s")
    except socket.gaierror as error:
        missing = error.errno in _NO_SUCH_NAME
        return DialResult(ProbeResult.DNS if missing else ProbeResult.ERROR, f"{host}: {error.strerror}")
    except (OSError, UnicodeError) as error:
        return DialResult(ProbeResult.ERROR, f"{host}: {error}")
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


async def _connect_to_any(addresses: Iterable[_Address], deadline: float) -> DialResult:
    attempts = [asyncio.ensure_future(_connect(address, deadline)) for address in addresses]
    results = [DialResult(ProbeResult.DNS, "the name has no address")] if not attempts else []
    try:
        for attempt in asyncio.as_completed(attempts):
            results.append(await attempt)
            if results[-1].result is ProbeResult.SUCCESS:
                break
    finally:
        for each in attempts:
            each.cancel()
    return min(results, key=lambda found: _TELLING.index(found.result))


async def _connect(address: _Address, deadline: float) -> DialResult:
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(address.family, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            async with asyncio.timeout_at(deadline):
                await loop.sock_connect(connection, address.sockaddr)
    except TimeoutError:
        late = loop.time() - deadline
        if late > STALL:
            return DialResult(ProbeResult.ERROR, f"this process stood still for {late:.1f} s")
        return DialResult(ProbeResult.TIMEOUT, f"{address}: {os.strerror(errno.ETIMEDOUT)}")
    except OSError as error:
        # asyncio puts words of its own into `strerror`; the system's are those that people know from nc.
        words = os.strerror(error.errno) if error.errno else str(error)
        return DialResult(_BY_ERRNO.get(error.errno or 0, ProbeResult.ERROR), f"{address}: {words}")
    return DialResult(ProbeResult.SUCCESS, f"{address}: connected")
