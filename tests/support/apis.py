"""API servers of a few lines, for the client: they answer what a test wants, and keep what they were asked."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.connection import Connection
from exporter.kubernetes.transport import HttpTransport
from tests.support.certificates import Authority
from webhook.transport import HttpWriteTransport
from webhook.writer import ApiWriter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "diego-api-0", "uid": "u", "resourceVersion": "7"},
    "unknown": {"field": [1]},
}


def kubeconfig(path: Path, url: str, *, authority: Path | None = None, **user: Any) -> Path:
    trusted = {} if authority is None else {"certificate-authority": str(authority)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": url, **trusted}}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    path.write_text(yaml.safe_dump(content))
    return path


class Api:
    """A client, the server that it asks, and what both saw."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.counted: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.handler(request)

    @asynccontextmanager
    async def connection(
        self, folder: Path, *, tls: ssl.SSLContext | None = None, authority: Path | None = None, **user: Any
    ) -> AsyncIterator[Connection]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        path = kubeconfig(folder / "kubeconfig", url, authority=authority, **user)
        connection = Connection(kubeconfig=str(path))
        try:
            yield connection
        finally:
            await connection.close()
            await runner.cleanup()

    @asynccontextmanager
    async def secured(self, folder: Path, *, issued_by: Authority, trusting: Path) -> AsyncIterator[ApiWriter]:
        """The server has a certificate of one authority, and the client trusts what is in the other file."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*issued_by.issue("server"))
        async with self.connection(folder, tls=tls, authority=trusting) as connection:
            yield ApiWriter(HttpWriteTransport(connection), namespace="cf", observe=self.count)

    def count(self, verb: str, code: str) -> None:
        self.counted.append((verb, code))

    @asynccontextmanager
    async def reader(self, folder: Path, **user: Any) -> AsyncIterator[ApiReader]:
        async with self.connection(folder, **user) as connection:
            yield ApiReader(HttpTransport(connection), namespace="cf", observe=self.count)

    @asynccontextmanager
    async def writer(self, folder: Path, **user: Any) -> AsyncIterator[ApiWriter]:
        async with self.connection(folder, **user) as connection:
            yield ApiWriter(HttpWriteTransport(connection), namespace="cf", observe=self.count)


def says(body: object, *, status: int = 200) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text)

    return handler


def streams(*lines: object, then: float = 0.0, abort: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")
        await asyncio.sleep(then)
        if abort and request.transport is not None:
            request.transport.abort()
        return response

    return handler


def event(type_: str, /, **body: Any) -> dict[str, Any]:
    return {"type": type_, "object": body}
