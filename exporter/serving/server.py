"""What every program serves: metrics, health, readiness, reload, a page, and nothing else unless it says so.

A program brings its own routes along; who may ask for what is the business of the middlewares.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from exporter.config.model import Config
from exporter.serving.access import Access
from exporter.serving.address import Address
from exporter.serving.deadlines import Limits, TimedProtocol, Waiting, watch_request
from exporter.serving.exposition import Exposition
from exporter.serving.listener import listeners

DRAIN = 10.0
"""Seconds that a request under way has to be answered once the program is told to stop."""
LARGEST_BODY = 1024 * 1024
"""Bytes that a request may send: more is answered 413."""


class Daemon(Protocol):
    """A program that runs until it is told to stop: what it does inside of its frame."""

    @property
    def name(self) -> str:
        """As in `diego-exporter`."""

    @property
    def exposition(self) -> Exposition: ...

    @property
    def access(self) -> Access: ...

    @property
    def middlewares(self) -> Sequence[Middleware]:
        """From the outermost to the innermost; that of `access` is among them."""

    @property
    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Beside those that every program has."""

    def not_ready(self) -> str | None:
        """Why it cannot do its work yet; None when it can."""

    def unhealthy(self) -> str | None:
        """Why only a restart of the process may help; None while it works."""

    def page(self, request: web.Request) -> web.Response:
        """The landing page."""

    def apply(self, config: Config) -> None:
        """Continue with this config. Raises ConfigError for what it cannot use, and changes nothing then."""

    async def run(self) -> None:
        """Work until cancelled. Requests may still be under way then."""

    async def close(self) -> None:
        """Release what requests and work need, after the last of both."""


def application(daemon: Daemon, *, reload: Callable[[], Awaitable[str | None]]) -> web.Application:
    """The routes that every program has, and its own. `reload` returns what is wrong with the new config, or None."""

    async def metrics(request: web.Request) -> web.Response:
        headers = request.headers
        scrape = await daemon.exposition.respond(
            accept=",".join(headers.getall("Accept", [])),
            accept_encoding=",".join(headers.getall("Accept-Encoding", [])),
        )
        return web.Response(body=scrape.body, headers=scrape.headers)

    async def healthy(_request: web.Request) -> web.Response:
        reason = daemon.unhealthy()
        if reason is not None:
            return web.Response(status=503, text=f"{daemon.name} is not healthy: {reason}\n")
        return web.Response(text=f"{daemon.name} is healthy.\n")

    async def ready(_request: web.Request) -> web.Response:
        reason = daemon.not_ready()
        if reason is not None:
            return web.Response(status=503, text=f"{daemon.name} is not ready: {reason}\n")
        return web.Response(text=f"{daemon.name} is ready.\n")

    async def reload_config(_request: web.Request) -> web.Response:
        problems = await reload()
        if problems is not None:
            return web.Response(status=500, text=f"The config was not reloaded:\n{problems}\n")
        return web.Response(text="The config was reloaded.\n")

    async def page(request: web.Request) -> web.Response:
        return daemon.page(request)

    app = web.Application(middlewares=[watch_request, *daemon.middlewares], client_max_size=LARGEST_BODY)
    app.add_routes(
        [
            web.get("/", page),
            web.get("/metrics", metrics),
            web.get("/-/healthy", healthy),
            web.get("/-/ready", ready),
            web.post("/-/reload", reload_config),
            *daemon.routes,
        ]
    )
    return app


class Server:
    """An application that listens. Made by `Server.start`, stopped by `close`."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        self._servers: list[asyncio.Server] = []
        self.port = 0
        """The port that it listens on, also where the address had 0: any free one."""

    @classmethod
    async def start(
        cls,
        app: web.Application,
        address: Address,
        *,
        ssl_context: ssl.SSLContext | None = None,
        drain: float = DRAIN,
        limits: Limits | None = None,
    ) -> "Server":
        """Listen. Raises OSError, as for an address that is in use, and leaves nothing behind then."""
        limits = limits or Limits()
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=drain,
            keepalive_timeout=limits.keep_alive,
            lingering_time=limits.linger,
        )
        await runner.setup()
        server = cls(runner)
        try:
            await server._listen(address, ssl_context, limits)
        except BaseException:
            await server.close()
            raise
        return server

    async def _listen(self, address: Address, ssl_context: ssl.SSLContext | None, limits: Limits) -> None:
        inner = self._runner.server
        assert inner is not None  # noqa: S101 - `setup` was called

        waiting = Waiting()

        def protocol() -> TimedProtocol:
            return TimedProtocol(inner(), limits, waiting)

        handshake = None if ssl_context is None else limits.handshake
        loop = asyncio.get_running_loop()
        for listener in await listeners(address, limit=limits.connections, make_room=waiting.abort_oldest):
            self.port = self.port or listener.getsockname()[1]
            self._servers.append(
                await loop.create_server(protocol, sock=listener, ssl=ssl_context, ssl_handshake_timeout=handshake)
            )

    async def close(self) -> None:
        """Take no more connections, and return when the requests under way are answered or have run out of time."""
        for server in self._servers:
            server.close()
        await self._runner.cleanup()
