"""A BBS on loopback that speaks TLS, and what the exporter calls it with."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.config.check import validated
from exporter.config.model import Foundation
from exporter.foundation.bbs_api import DOMAINS
from exporter.foundation.call import BbsClient, Called
from exporter.foundation.view import CallResult, ProbeResult
from tests.support.certificates import Authority

NAME = "diego-api.cf.svc.cluster.local"
"""The name in the BBS's certificate."""
LONG = 60.0
"""Seconds of a deadline that no test reaches."""
Serve = Callable[[socket.socket], Awaitable[None]]


class Pki:
    """An authority, the BBS's certificate, and a client's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.server = self.authority.issue(NAME)
        self.client = self.authority.issue("diego-medic")

    def server_context(self, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server)
        context.load_verify_locations(self.authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = version
        return context

    def tls(self, **changes: Any) -> dict[str, Any]:
        """`bbs.tls` of a config."""
        cert, key = self.client
        return {
            "ca": str(self.authority.certificate),
            "cert": str(cert),
            "key": str(key),
            "server_name": NAME,
        } | changes

    def caller(self, **changes: Any) -> BbsClient:
        bbs = validated(Foundation, {"name": "cf", "bbs": {"tls": self.tls(**changes)}}).bbs
        assert bbs.tls is not None
        return BbsClient(bbs, bbs.tls, foundation="cf")


@asynccontextmanager
async def accepting(serve: Serve) -> AsyncIterator[int]:
    """The port of a listener on loopback, whose connections are served by this."""
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)

        async def accept() -> None:
            while True:
                connection, _ = await loop.sock_accept(listening)
                task = asyncio.ensure_future(serve(connection))
                tasks.add(task)

        accepting = asyncio.create_task(accept())
        try:
            yield listening.getsockname()[1]
        finally:
            accepting.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(accepting, *tasks, return_exceptions=True)


async def called(pki: Pki, port: int, *, timeout: float = LONG, path: str | None = DOMAINS, **tls: Any) -> Called:
    return await pki.caller(**tls)("127.0.0.1", port, path=path, timeout=timeout)


def outcome(found: Called) -> tuple[ProbeResult, CallResult | None]:
    return found.dial.result, found.result
