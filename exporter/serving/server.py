"""What every program serves: metrics, health, readiness, reload, a page, and nothing else unless it says so.

A program brings its own routes along; who may ask for what is the business of the middlewares.
"""

import logging
import ssl
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from exporter.serving.exposition import Exposition

log = logging.getLogger(__name__)

DRAIN = 10.0
"""Seconds that a request under way has to be answered once the program is told to end."""
LARGEST_BODY = 1024 * 1024
"""Bytes that a request may send: more is answered 413."""


class Address(NamedTuple):
    """Where to listen; without a host: on every address of the machine."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = "" if self.host is None else f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or (self.host or "").startswith("127.")


def parse_address(text: str) -> Address:
    """`:10889`, `127.0.0.1:10889`, `[::1]:10889` or `localhost:10889`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets, as in [::1]:10889, not {text!r}")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"must be HOST:PORT or :PORT, not {text!r}")
    return Address(host or None, int(port))


class Program(Protocol):
    """What the server asks of the program behind it."""

    @property
    def name(self) -> str:
        """As in `diego-exporter`."""

    @property
    def exposition(self) -> Exposition: ...

    def not_ready(self) -> str | None:
        """Why the program can't do its work yet; None when it can."""

    async def reload(self) -> str | None:
        """Reads the config anew; what is wrong with it, or None."""

    def page(self) -> str:
        """The HTML of the landing page."""


def application(
    program: Program, *, routes: Iterable[web.AbstractRouteDef] = (), middlewares: Sequence[Middleware] = ()
) -> web.Application:
    """The routes that every program has, and its own. A middleware stands outside of those after it."""

    async def metrics(request: web.Request) -> web.Response:
        headers = request.headers
        answer = program.exposition.answer(
            accept=",".join(headers.getall("Accept", [])),
            accept_encoding=",".join(headers.getall("Accept-Encoding", [])),
        )
        return web.Response(body=answer.body, headers=answer.headers)

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text=f"{program.name} is healthy.\n")

    async def ready(_request: web.Request) -> web.Response:
        reason = program.not_ready()
        if reason is not None:
            return web.Response(status=503, text=f"{program.name} is not ready: {reason}\n")
        return web.Response(text=f"{program.name} is ready.\n")

    async def reload(_request: web.Request) -> web.Response:
        problems = await program.reload()
        if problems is not None:
            return web.Response(status=500, text=f"The config was not reloaded:\n{problems}\n")
        return web.Response(text="The config was reloaded.\n")

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=program.page(), content_type="text/html")

    app = web.Application(middlewares=middlewares, client_max_size=LARGEST_BODY)
    app.add_routes(
        [
            web.get("/", page),
            web.get("/metrics", metrics),
            web.get("/-/healthy", healthy),
            web.get("/-/ready", ready),
            web.post("/-/reload", reload),
            *routes,
        ]
    )
    return app


class Server:
    """An application that listens. Made by `Server.start`, ended by `close`."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    @classmethod
    async def start(
        cls, app: web.Application, address: Address, *, ssl_context: ssl.SSLContext | None = None, drain: float = DRAIN
    ) -> "Server":
        """Listens. Raises OSError, as for an address that is in use, and leaves nothing behind then."""
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=drain)
        await runner.setup()
        try:
            await web.TCPSite(runner, address.host, address.port, ssl_context=ssl_context).start()
        except BaseException:
            await runner.cleanup()
            raise
        return cls(runner)

    @property
    def port(self) -> int:
        """The port that it listens on, also where the address said 0: any free one."""
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Takes no more connections, and returns when the requests under way are answered or have run out of time."""
        await self._runner.cleanup()
