"""A client for one connection that is kept alive, with as little work of its own in what is measured as possible."""

import gzip
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, Self

PROMETHEUS = {
    "User-Agent": "Prometheus/2.42.0",
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
"""What Prometheus 2.42 sends with a scrape."""


class Answer(NamedTuple):
    status: int
    content: bytes
    zipped: bool = False

    @property
    def body(self) -> bytes:
        return gzip.decompress(self.content) if self.zipped else self.content


class Client:
    """One connection. A request takes from the first byte sent to the last byte received."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", timeout: float = 60.0) -> None:
        self._host = host
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, path: str, *, headers: dict[str, str] | None = None, method: str = "GET") -> bytes:
        """The bytes of a request, so that they need not be made while the time runs."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, request: bytes) -> Answer:
        self._socket.sendall(request)
        received = self._socket.recv(1 << 20)
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, rest = received.partition(b"\r\n\r\n")
        headers = {
            key.lower().strip(): value.strip()
            for key, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        if headers.get(b"transfer-encoding") == b"chunked":
            parts = [rest]
            while not b"".join(parts[-2:]).endswith(b"0\r\n\r\n"):
                parts.append(self._more())
            body = _dechunked(b"".join(parts))
        else:
            parts, missing = [rest], int(headers[b"content-length"]) - len(rest)
            while missing > 0:
                parts.append(self._more())
                missing -= len(parts[-1])
            body = b"".join(parts)
        return Answer(int(head.split(b" ", 2)[1]), body, headers.get(b"content-encoding") == b"gzip")

    def timed(self, request: bytes, *, check: Callable[[Answer], bool] = lambda answer: answer.status == 200) -> float:
        """Seconds of one request."""
        began = time.perf_counter()
        answer = self.send(request)
        took = time.perf_counter() - began
        if not check(answer):
            raise RuntimeError(f"unexpected answer: {answer.status} {answer.body[:200]!r}")
        return took

    def open(self, path: str) -> None:
        """Sends a request whose answer does not end."""
        self._socket.sendall(self.request(path))
        self.wait_for(b"\r\n\r\n")

    def wait_for(self, text: bytes) -> None:
        """Reads until a text has come, which is within one piece of what the server sends."""
        while text not in self._more():
            pass

    def _more(self) -> bytes:
        received = self._socket.recv(1 << 20)
        if not received:
            raise ConnectionError("the server closed the connection within an answer")
        return received


def get(port: int, path: str, *, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.send(client.request(path, headers=headers, method=method))


def _dechunked(content: bytes) -> bytes:
    parts: list[bytes] = []
    while True:
        size, _, content = content.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return b"".join(parts)
        parts.append(content[:length])
        content = content[length + 2 :]
