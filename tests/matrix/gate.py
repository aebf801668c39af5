"""A gate between one webhook and the API server: it sees each request, and holds the one that is the crash point."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
from aiohttp import web
from yarl import URL

from tests.matrix.points import Call, Json, Point

_PASSED = ("Authorization", "Accept", "Content-Type")
_RETURNED = ("Content-Type", "Date", "Retry-After")
_PROTOCOL = "v4.channel.k8s.io"
_TOO_MANY = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "message": "Too many requests, please try again later.",
    "reason": "TooManyRequests",
    "code": 429,
}

Strike = Callable[["Gate"], Awaitable[None]]


class Ambush:
    """Waits at both gates for the crash point, and calls `strike` once, with the gate where it was."""

    def __init__(self, point: Point, strike: Strike) -> None:
        self.run: Json | None = None  # the newest run, as last written
        self.refuses = False  # whether the API server answers 429 to everything
        self._point = point
        self._strike = strike
        self._seen = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def after(self) -> bool:
        return self._point.after

    def at_point(self, call: Call) -> bool:
        """Whether this request is the crash point; asked once for each, when it arrives, or when it is over."""
        run = call.run
        if self._task is not None or run is None or not self._point.matches(call, run):
            return False
        self._seen += 1
        return self._seen == self._point.number

    async def strike(self, gate: "Gate") -> None:
        """Returns when the fault is there. It is a task of its own: a request of a killed process is cancelled."""
        self._task = asyncio.create_task(_finished(self._strike(gate)))
        await asyncio.shield(self._task)


async def _finished(work: Awaitable[None]) -> None:
    await work


class Gate:
    """Listens on loopback, and passes on what one webhook asks. `agent` names the process in the audit log."""

    def __init__(self, name: str, server: str, ambush: Ambush) -> None:
        self.name = name
        self.agent = name
        self.url = ""
        self._server = server
        self._ambush = ambush
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        app = web.Application(client_max_size=2**21)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        connector = aiohttp.TCPConnector(ssl=False, limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield
            finally:
                await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = Call(method=request.method, target=request.raw_path, run=_run_of(body) or self._ambush.run)
        if not self._ambush.after and self._ambush.at_point(call):
            await self._ambush.strike(self)
        if self._ambush.refuses:
            return web.json_response(_TOO_MANY, status=429, headers={"Retry-After": "1"})
        try:
            if call.execs:
                return await self._exec(request, call)
            return await self._forward(request, call, body)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):  # the API server is gone: so is this connection
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def _forward(self, request: web.Request, call: Call, body: bytes) -> web.StreamResponse:
        assert self._session is not None
        url = URL(self._server + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, data=body or None, headers=self._headers(request), allow_redirects=False
        ) as answer:
            returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
            if call.watches and answer.status == 200:
                response = web.StreamResponse(status=answer.status, headers=returned)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await self._took_effect(call)
                    await response.write(chunk)
                return response
            content = await answer.read()
            if call.records and answer.ok:
                self._ambush.run = call.run
            if answer.ok:
                await self._took_effect(call)
            return web.Response(status=answer.status, headers=returned, body=content)

    async def _exec(self, request: web.Request, call: Call) -> web.StreamResponse:
        assert self._session is not None
        url = URL("ws" + self._server.removeprefix("http") + request.raw_path, encoded=True)
        try:
            upstream = await self._session.ws_connect(url, headers=self._headers(request), protocols=(_PROTOCOL,))
        except aiohttp.WSServerHandshakeError as refused:
            return web.Response(status=refused.status)
        async with upstream:
            socket = web.WebSocketResponse(protocols=(_PROTOCOL,), timeout=1)
            await socket.prepare(request)
            async for message in upstream:
                with suppress(ConnectionError):
                    await socket.send_bytes(message.data)
            await self._took_effect(call)
            await socket.close()
            return socket

    async def _took_effect(self, call: Call) -> None:
        if self._ambush.after and self._ambush.at_point(call):
            await self._ambush.strike(self)

    def _headers(self, request: web.Request) -> dict[str, str]:
        passed = {name: request.headers[name] for name in _PASSED if name in request.headers}
        return passed | {"User-Agent": self.agent}


def _run_of(body: bytes) -> Json | None:
    """The newest run of a journal that is written."""
    try:
        runs = json.loads(json.loads(body)["data"]["journal.json"])["runs"]
    except (ValueError, KeyError, TypeError):
        return None
    return runs[-1] if runs else None
