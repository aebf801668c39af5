"""A probe says how it ended, in one word of a closed set; loopback and a resolver of our own stand in for the world."""

import asyncio
import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from exporter.foundation.probe import dial_tcp, probe
from exporter.foundation.view import ProbeResult
from tests.support.clocks import SetClock


@contextmanager
def listener(*, backlog: int = 8) -> Iterator[int]:
    """Yields the port of a socket that listens on loopback."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(backlog)
        yield listening.getsockname()[1]


@contextmanager
def silent() -> Iterator[int]:
    """A port that neither accepts nor refuses: the queue of its listener is full, so the kernel drops each SYN."""
    with listener(backlog=0) as port, socket.socket() as first, socket.socket() as second:
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        time.sleep(0.05)
        yield port


def closed_port() -> int:
    with listener() as port:
        return port


def resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    async def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


def resolve_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_a_listener_is_success() -> None:
    with listener() as port:
        result, detail = await dial_tcp("127.0.0.1", port, timeout=1)

    assert (result, detail) == (ProbeResult.SUCCESS, "127.0.0.1: connected")


async def test_a_closed_port_is_refused() -> None:
    result, detail = await dial_tcp("127.0.0.1", closed_port(), timeout=1)

    assert (result, detail) == (ProbeResult.REFUSED, "127.0.0.1: Connection refused")


async def test_silence_is_timeout() -> None:
    with silent() as port:
        result, detail = await dial_tcp("127.0.0.1", port, timeout=0.2)

    assert (result, detail) == (ProbeResult.TIMEOUT, "127.0.0.1: Connection timed out")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ECONNREFUSED, ProbeResult.REFUSED),
        (errno.ETIMEDOUT, ProbeResult.TIMEOUT),
        (errno.EHOSTUNREACH, ProbeResult.UNREACHABLE),
        (errno.ENETUNREACH, ProbeResult.UNREACHABLE),
        (errno.ECONNRESET, ProbeResult.RESET),
        (errno.EMFILE, ProbeResult.ERROR),
        (errno.ENETDOWN, ProbeResult.ERROR),
        (errno.EADDRNOTAVAIL, ProbeResult.ERROR),
        (errno.EPERM, ProbeResult.ERROR),
    ],
)
async def test_each_error_of_the_system_has_its_word(
    monkeypatch: pytest.MonkeyPatch, number: int, expected: ProbeResult
) -> None:
    """What says something of our own machine and not of the BBS is `error`, which proves nothing."""

    async def sock_connect(*_: Any) -> None:
        raise OSError(number, "as it is")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)

    result, _ = await dial_tcp("127.0.0.1", 1, timeout=1)

    assert expected == result


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (socket.EAI_NONAME, ProbeResult.DNS),
        (socket.EAI_NODATA, ProbeResult.DNS),
        (socket.EAI_AGAIN, ProbeResult.ERROR),
        (socket.EAI_FAIL, ProbeResult.ERROR),
        (socket.EAI_SYSTEM, ProbeResult.ERROR),
    ],
)
async def test_only_a_missing_name_is_dns(monkeypatch: pytest.MonkeyPatch, number: int, expected: ProbeResult) -> None:
    """A resolver that fails has not said that there is no such name."""
    resolve_with(monkeypatch, socket.gaierror(number, "as it is"))

    result, detail = await dial_tcp("diego-api.cf.svc", 8889, timeout=1)

    assert (expected, "diego-api.cf.svc: as it is") == (result, detail)


async def test_a_name_that_no_dns_could_have_is_error() -> None:
    result, _ = await dial_tcp("a" * 64 + ".example", 8889, timeout=1)

    assert result == ProbeResult.ERROR


@pytest.mark.looptime
async def test_a_slow_resolver_does_not_look_like_a_silent_bbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up gets half of the time at most, and what is said then is not `timeout`, nor `dns`."""

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        await asyncio.sleep(60)
        raise AssertionError

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)

    result, detail = await dial_tcp("diego-api.cf.svc", 8889, timeout=4)

    assert (result, loop.time()) == (ProbeResult.ERROR, 2.0)
    assert "longer than 2 s" in detail


async def test_of_several_addresses_one_that_accepts_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not even wait for the silent one before it."""
    with silent() as port, socket.socket() as other:
        other.bind(("127.0.0.3", port))
        other.listen()
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.3")

        async with asyncio.timeout(15):
            result, detail = await dial_tcp("diego-api.cf.svc", port, timeout=60)

    assert (result, detail) == (ProbeResult.SUCCESS, "127.0.0.3: connected")


async def test_of_several_addresses_that_accept_none_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that nobody needed is closed as well, and not left to the garbage collection, which would warn."""

    async def at_once(connection: socket.socket, address: tuple[str, int]) -> None:
        connection.setblocking(True)
        connection.connect(address)

    with listener() as port, socket.socket() as other:
        other.bind(("127.0.0.2", port))
        other.listen()
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", at_once)

        result, _ = await dial_tcp("diego-api.cf.svc", port, timeout=1)
        await asyncio.sleep(0)

        assert result == ProbeResult.SUCCESS
        other.settimeout(15)
        with other.accept()[0] as accepted:
            assert accepted.recv(1) == b""


async def test_of_several_addresses_that_do_not_accept_the_most_telling_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with silent() as port:
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")

        result, detail = await dial_tcp("diego-api.cf.svc", port, timeout=0.2)

    assert (result, detail) == (ProbeResult.REFUSED, "127.0.0.2: Connection refused")


async def test_one_address_that_proves_nothing_leaves_the_whole_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sock_connect(_: socket.socket, address: tuple[str, int]) -> None:
        raise OSError(errno.EMFILE if address[0] == "127.0.0.2" else errno.ECONNREFUSED, "as it is")

    resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)

    result, _ = await dial_tcp("diego-api.cf.svc", 8889, timeout=1)

    assert result == ProbeResult.ERROR


async def test_a_name_without_an_address_is_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)

    result, _ = await dial_tcp("diego-api.cf.svc", 8889, timeout=1)

    assert result == ProbeResult.DNS


@pytest.mark.looptime
async def test_a_process_that_stood_still_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped virtual machine finds each of its deadlines over, whatever the network had to say meanwhile."""
    loop = asyncio.get_running_loop()

    async def sock_connect(*_: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            monkeypatch.setattr(loop, "time", lambda: 8.0)  # three seconds late
            raise

    monkeypatch.setattr(loop, "sock_connect", sock_connect)

    result, detail = await dial_tcp("127.0.0.1", 8889, timeout=5)

    assert (result, detail) == (ProbeResult.ERROR, "this process stood still for 3.0 s")


@pytest.mark.looptime
async def test_a_probe_says_when_it_ended_and_how_long_it_took() -> None:
    async def dial(host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
        await asyncio.sleep(0.25)
        return ProbeResult.REFUSED, f"{host}:{port} within {timeout:g} s"

    found = await probe("bbs", 8889, timeout=5, clock=SetClock(1234.5), dial=dial)

    assert (
        found.result,
        found.at,
        found.duration,
        found.detail,
    ) == (ProbeResult.REFUSED, 1234.5, 0.25, "bbs:8889 within 5 s")


@pytest.mark.looptime
async def test_a_probe_ends_even_if_its_dialer_does_not() -> None:
    async def dial(*_: Any, **__: Any) -> tuple[ProbeResult, str]:
        await asyncio.sleep(3600)
        raise AssertionError

    found = await probe("bbs", 8889, timeout=5, clock=SetClock(), dial=dial)

    assert (found.result, found.duration) == (ProbeResult.ERROR, 6.0)


async def test_a_dialer_with_a_defect_proves_nothing() -> None:
    async def dial(*_: Any, **__: Any) -> tuple[ProbeResult, str]:
        raise ZeroDivisionError("oops")

    found = await probe("bbs", 8889, timeout=5, clock=SetClock(), dial=dial)

    assert (found.result, found.detail) == (ProbeResult.ERROR, "ZeroDivisionError: oops")


@pytest.mark.looptime
async def test_cancelling_a_probe_cancels_it() -> None:
    async def dial(*_: Any, **__: Any) -> tuple[ProbeResult, str]:
        await asyncio.sleep(3600)
        raise AssertionError

    task = asyncio.create_task(probe("bbs", 8889, timeout=5, clock=SetClock(), dial=dial))
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
