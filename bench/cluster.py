"""An API server with many foundations on it, for the measures: lists, watches, Leases and ConfigMaps, and nothing else.

`python -m bench.cluster --foundations N --others M` runs one until it is ended; `cluster()` runs it as a process. The
sandbox's models one foundation with all that can happen to it; this one has a thousand, to which little happens.
"""

import argparse
import asyncio
import json
import re
import resource
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from bench.http import get
from bench.programs import Program, free_port, running, until
from bench.stock import RECORDS, Send, Stock, address, name_of

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_BOOKMARK = 2.0
"""Seconds before the end of a watch at which kube-apiserver sends a bookmark."""


class Server(asyncio.Protocol):
    """One connection: requests, one after the other."""

    def __init__(self, stock: Stock, dials: "Dials") -> None:
        self._stock = stock
        self._dials = dials
        self._received = b""
        self._timers: list[asyncio.TimerHandle] = []
        self._watching: tuple[tuple[str, str], Send] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - as asyncio promises for a stream
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._end_watch()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            length = int(found[1]) if (found := _LENGTH.search(head)) else 0
            if len(rest) < length:
                return
            body, self._received = rest[:length], rest[length:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            url = urlsplit(target)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            parts = [unquote(part) for part in url.path.strip("/").split("/")]
            if parts[0] == "bench":
                self._control(parts[1], query)
            elif method == "GET" and "watch" in query:
                self._watch(parts, query)
            elif parts[-2] in RECORDS or parts[-1] in RECORDS:
                self._answer(*self._stock.record(method, parts[parts.index("namespaces") + 1 :], body))
            else:
                self._list(parts, query)

    def _control(self, what: str, query: dict[str, str]) -> None:
        if what == "label":
            self._stock.label(int(query["foundation"]), query["value"])
        elif what == "churn":
            self._stock.churn(float(query["rate"]))
        report = {"dials": self._dials.report(reset=what == "reset"), "records": self._stock.recorded}
        self._answer(json.dumps(report).encode())

    def _list(self, parts: list[str], query: dict[str, str]) -> None:
        namespace, plural = parts[-2], parts[-1]
        self._answer(self._stock.list(namespace, plural, query))

    def _answer(self, body: bytes, status: int = 200) -> None:
        assert self._transport is not None  # noqa: S101 - a request came
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _watch(self, parts: list[str], query: dict[str, str]) -> None:
        assert self._transport is not None  # noqa: S101 - a request came
        namespace, plural = parts[-2], parts[-1]
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self._watching = self._stock.watch(namespace, plural, query, self._chunk)
        loop = asyncio.get_running_loop()
        timeout = float(query.get("timeoutSeconds", "1800"))
        self._timers = [
            loop.call_later(max(0.0, timeout - _BOOKMARK), lambda: self._chunk(self._stock.bookmark())),
            loop.call_later(timeout, self._end),
        ]

    def _chunk(self, line: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _end(self) -> None:
        self._end_watch()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")

    def _end_watch(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        if self._watching is not None:
            self._stock.unwatch(*self._watching)
            self._watching = None


class Dials:
    """The listeners of the BBSes: they accept, close, and note the longest time between two dials of an address."""

    def __init__(self, foundations: int, port: int) -> None:
        self._last: dict[str, float] = {}
        self._longest = 0.0
        self._count = 0
        loop = asyncio.get_running_loop()
        for number in range(foundations):
            for pod in (1, 2):  # the Service and the active pod; the passive one refuses
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.setblocking(False)
                listener.bind((address(number, pod), port))
                listener.listen(16)
                loop.add_reader(listener, self._accept, listener, address(number, pod))

    def _accept(self, listener: socket.socket, dialed: str) -> None:
        listener.accept()[0].close()
        now = asyncio.get_running_loop().time()
        if dialed in self._last:
            self._longest = max(self._longest, now - self._last[dialed])
        self._last[dialed] = now
        self._count += 1

    def report(self, *, reset: bool) -> dict[str, float]:
        found = {"longest": self._longest, "count": self._count}
        if reset:
            self._longest, self._count = 0.0, 0
        return found


async def _serve(arguments: argparse.Namespace) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stock = Stock(arguments.foundations, others=arguments.others)
    dials = Dials(arguments.foundations, arguments.bbs_port)
    server = await asyncio.get_running_loop().create_server(
        lambda: Server(stock, dials), "127.0.0.1", arguments.port, backlog=1024
    )
    await server.serve_forever()


class Cluster:
    """The process, and what an exporter needs to know of it."""

    def __init__(self, program: Program, directory: Path, foundations: int, bbs_port: int) -> None:
        self.program = program
        self.foundations = foundations
        self.bbs_port = bbs_port
        self._directory = directory
        self.kubeconfig = directory / "kubeconfig"
        server = {"server": f"http://127.0.0.1:{program.port}"}
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "bench", "cluster": server}],
                    "users": [{"name": "bench", "user": {"token": "bench"}}],
                    "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
                    "current-context": "bench",
                }
            )
        )

    def config(self, *, interval: str = "10s") -> Path:
        """A config file with all foundations, their BBS given by its address: names would measure a resolver."""
        foundations = [
            {
                "name": name_of(number),
                "namespace": name_of(number),
                "kubeconfig": str(self.kubeconfig),
                "bbs": {"host": address(number, 1), "port": self.bbs_port, "interval": interval},
            }
            for number in range(self.foundations)
        ]
        path = self._directory / f"diego-{interval}.yaml"
        path.write_text(json.dumps({"foundations": foundations, "remediation": {"mode": "observe"}}))
        return path

    def label(self, foundation: int, value: str) -> None:
        """Labels the second pod of a foundation active, or not."""
        self.control(f"label?foundation={foundation}&value={value}")

    def control(self, what: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(self.program.port, f"/bench/{what}").body)
        return found


@contextmanager
def cluster(foundations: int, *, others: int = 0) -> Iterator[Cluster]:
    """Runs an API server with that many foundations, and `others` more pods in the namespace of the first."""
    port, bbs_port = free_port(), free_port()
    flags = {"--foundations": foundations, "--others": others, "--port": port, "--bbs-port": bbs_port}
    command = [sys.executable, "-m", "bench.cluster", *(str(part) for pair in flags.items() for part in pair)]
    with tempfile.TemporaryDirectory(prefix="diego-bench-") as directory, running(command, port=port) as program:
        until(lambda: get(port, "/bench/report").status == 200, what="the API server of the measures listens")
        yield Cluster(program, Path(directory), foundations, bbs_port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench.cluster")
    for flag in ("--foundations", "--others", "--port", "--bbs-port"):
        parser.add_argument(flag, type=int, required=True)
    asyncio.run(_serve(parser.parse_args()))
