"""The API on a socket: plain HTTP, watches as streams of lines, exec as a WebSocket."""

import asyncio
import contextlib
import json
from collections.abc import Iterator

from aiohttp import web

from sandbox.api.calls import Call
from sandbox.api.mishaps import Mishaps
from sandbox.api.server import ApiServer, Exec, Response
from sandbox.api.watch import Watch
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.programs import Result
from sandbox.driver import Driver

STDOUT, STDERR, ERROR = 1, 2, 3
"""Channels of the exec protocol v4.channel.k8s.io: the first byte of every frame."""
BOOKMARK_LEAD = 2.0
"""Seconds before the end of a watch at which kube-apiserver sends its last bookmark."""


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
        news = asyncio.Event()
        end = self._cluster.subscribe(news.set)
        self._streams.add(transport)
        try:
            await response.prepare(request)
            bookmarks = request.query.get("allowWatchBookmarks", "") in ("true", "1")
            await self._follow(response, watch, news, bookmarks=bookmarks)
            await response.write_eof()
        except ConnectionError:
            pass  # the client left
        finally:
            end()
            self._streams.discard(transport)
        return response

    async def _follow(
        self, response: web.StreamResponse, watch: Watch, news: asyncio.Event, *, bookmarks: bool
    ) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + watch.timeout
        due = _bookmark_times(now(), deadline, self._bookmark_interval) if bookmarks else iter(())
        next_bookmark = next(due, None)
        while True:
            await self._answering.wait()
            news.clear()
            for line in watch.poll():
                await response.write(line)
            if watch.ended or now() >= deadline:
                return
            if next_bookmark is not None and now() >= next_bookmark:
                await response.write(watch.bookmark())
                next_bookmark = next(due, None)
            wake = deadline if next_bookmark is None else next_bookmark
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wake):
                    await news.wait()

    async def _exec(self, request: web.BaseRequest, session: Exec) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io", "v5.channel.k8s.io"))
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError):
            for channel, key in ((STDOUT, "stdout"), (STDERR, "stderr")):
                if request.query.get(key, "") in ("true", "1"):
                    await socket.send_bytes(bytes([channel]))
            await asyncio.sleep(session.result.seconds)
            await self._answering.wait()
            for channel, text in ((STDOUT, session.result.stdout), (STDERR, session.result.stderr)):
                if text:
                    await socket.send_bytes(bytes([channel]) + text.encode())
            await socket.send_bytes(bytes([ERROR]) + json.dumps(_status(session.argv, session.result)).encode())
        await socket.close()
        return socket


def _bookmark_times(start: float, deadline: float, interval: float) -> Iterator[float]:
    """Every interval, and shortly before the end; none in a watch too short for it."""
    last = deadline - BOOKMARK_LEAD
    moment = start + interval
    while moment < last:
        yield moment
        moment += interval
    if last > start:
        yield last


def _status(argv: tuple[str, ...], result: Result) -> dict[str, object]:
    """How the program ended, as the API server says it on the error channel."""
    if not result.started:
        program = argv[0] if argv else ""
        cause = (
            "error executing command in container: failed to exec in container: OCI runtime exec failed: exec failed: "
            f'unable to start container process: exec: "{program}": executable file not found in $PATH: unknown'
        )
        return {
            "metadata": {},
            "status": "Failure",
            "message": f"Internal error occurred: {cause}",
            "reason": "InternalError",
            "details": {"causes": [{"message": cause}]},
            "code": 500,
        }
    if result.code == 0:
        return {"metadata": {}, "status": "Success"}
    command = " ".join(argv)
    return {
        "metadata": {},
        "status": "Failure",
        "message": (
            f"command terminated with non-zero exit code: error executing command [{command}], exit code {result.code}"
        ),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(result.code)}]},
    }


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
