"""The least of a program that the server asks for, and a server in this process that serves it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Gauge

from exporter.config.model import Config
from exporter.serving.access import Access
from exporter.serving.address import Address
from exporter.serving.exposition import CachedCollectors, Exposition
from exporter.serving.html import respond
from exporter.serving.server import Daemon, Server, application

ANYWHERE = Address("127.0.0.1", 0)


class FakeDaemon:
    """Ready, healthy and idle, unless a test says otherwise."""

    name = "diego-test"

    def __init__(self, *, routes: Sequence[web.AbstractRouteDef] = (), middlewares: Sequence[Middleware] = ()) -> None:
        registry = CollectorRegistry()
        Gauge("temperature", "Of it.", registry=registry)
        self.exposition = Exposition(CachedCollectors((registry,), key=lambda: 0))
        self.access = Access(None)
        self.routes = routes
        self.middlewares = middlewares
        self.waits_for: str | None = None
        self.sick: str | None = None
        self.problems: str | None = None
        self.reloads = 0

    def not_ready(self) -> str | None:
        return self.waits_for

    def unhealthy(self) -> str | None:
        return self.sick

    async def reload(self) -> str | None:
        self.reloads += 1
        return self.problems

    def page(self, _request: web.Request) -> web.Response:
        return respond("<!DOCTYPE html><title>diego-test</title>")

    def apply(self, config: Config) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def fake_application(daemon: FakeDaemon) -> web.Application:
    complete: Daemon = daemon
    return application(complete, reload=daemon.reload)


@asynccontextmanager
async def listening(daemon: FakeDaemon, **options: Any) -> AsyncIterator[int]:
    """A server of the daemon; yields its port on loopback."""
    server = await Server.start(fake_application(daemon), ANYWHERE, **options)
    try:
        yield server.port
    finally:
        await server.close()


@asynccontextmanager
async def served(daemon: FakeDaemon, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the daemon's server."""
    async with (
        listening(daemon, **options) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", auto_decompress=False) as session,
    ):
        yield session
