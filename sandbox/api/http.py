"""The API on a socket: plain HTTP, watches as streams of lines, exec as a WebSocket."""

import asyncio
import contextlib

from aiohttp import web

from sandbox.api.calls import Call
from sandbox.api.mishaps import Mishaps
from sandbox.api.server import ApiServer, Exec, Response
from sandbox.api.streams import Following, closing_frames, opening_frames
from sandbox.api.watch import Watch
from sandbox.cluster.cluster import Cluster
from sandbox.driver import Driver


class HttpServer:
    """Serves one API on one address, and hangs, dies and comes back as its mishaps say."""

    def __init__(
        self, api: ApiServer, *, cluster: Cluster, driver: Driver, mishaps: Mishaps, bookmark_interval: float = 60.0
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._driver = driver
        self._mishaps = mishaps
        self._bookmark_interval = bookmark_interval
        self._answering = asyncio.Event()
        self._answering.set()
        self._streams: set[asyncio.Transport] = set()
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._address = ("", 0)

    async def start(self, host: str, port: int) -> None:
        """Listens; port 0 stands for any. Raises OSError."""
        self._web = web.Server(self._handle, access_log=None)
        self._listener = await asyncio.get_running_loop().create_server(self._web, host, port, reuse_address=True)
        self._address = self._listener.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Closes the listener and cuts every connection, as the death of the process would."""
        listener, self._listener = self._listener, None
        server, self._web = self._web, None
        if listener is not None:
            listener.close()
        if server is not None:
            for connection in tuple(server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await server.shutdown(timeout=0.05)  # 0 would mean: no deadline

    def answer(self, *, answering: bool) -> None:
        """Answers, or hangs: connections are accepted, requests are taken, and nothing is said."""
        if answering:
            self._answering.set()
        else:
            self._answering.clear()

    async def live(self, *, alive: bool) -> None:
        """Listens, or is dead."""
        if not alive:
            await self.stop()
        elif self._listener is None:
            await self.start(*self._address)

    def drop_streams(self) -> None:
        """Cuts every watch that is open."""
        for transport in tuple(self._streams):
            transport.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        # A client that leaves does not stop this: what it asked for may still take effect, as with the real one.
        body = await request.read()
        await self._answering.wait()
        if self._mishaps.latency:
            await asyncio.sleep(self._mishaps.latency)
        self._driver.catch_up()
        answer = self._api.handle(_call(request, body), upgrade=_is_upgrade(request))
        await self._answering.wait()
        if isinstance(answer, Watch):
            return await self._stream(request, answer)
        if isinstance(answer, Exec):
            if "*/*" not in request.headers.get("Accept", "*/*"):
                return web.Response(status=406)  # as the real one: what exec gives is of no media type
            return await self._exec(request, answer)
        return _response(answer)

    async def _stream(self, request: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        transport = request.transport
        if transport is None:
            return response  # the client has left already
        bookmarks = request.query.get("allowWatchBookmarks", "") in ("true", "1")
        following = Following(
            watch,
            subscribe=self._cluster.subscribe,
            answering=self._answering,
            bookmark_interval=self._bookmark_interval if bookmarks else None,
        )
        self._streams.add(transport)
        try:
            await response.prepare(request)
            while lines := await following.lines():
                await response.write(b"".join(lines))
            await response.write_eof()
        except ConnectionError:
            pass  # the client left
        finally:
            following.close()
            self._streams.discard(transport)
        return response

    async def _exec(self, request: web.BaseRequest, session: Exec) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io", "v5.channel.k8s.io"))
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError):
            wanted = {key: request.query.get(key, "") in ("true", "1") for key in ("stdout", "stderr")}
            for frame in opening_frames(**wanted):
                await socket.send_bytes(frame)
            await asyncio.sleep(session.result.seconds)
            await self._answering.wait()
            for frame in closing_frames(session):
                await socket.send_bytes(frame)
        await socket.close()
        return socket


def _call(request: web.BaseRequest, body: bytes) -> Call:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return Call(
        method=request.method,
        path=request.path,
        query={key: request.query.getall(key) for key in request.query},
        token=token.strip() if kind.lower() == "bearer" else None,
        content_type=request.content_type,
        body=body,
        user_agent=request.headers.get("User-Agent", ""),
    )


def _is_upgrade(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _response(answer: Response) -> web.Response:
    return web.Response(status=answer.code, body=answer.body, headers={"Content-Type": answer.content_type})
