"""The client's own seam for HTTP, on a sandbox of the same process: no socket, no time of its own.

Deadlines, decoding and what each status means are the client's, so a test in-process runs them as they are.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from exporter.kubernetes.api import ApiUnreachableError
from exporter.kubernetes.transport import Response
from sandbox.api import server
from sandbox.api.access import TOKEN
from sandbox.api.calls import Call, target
from sandbox.api.server import Answer, Exec
from sandbox.api.streams import Following, closing_frames, opening_frames
from sandbox.api.watch import Watch
from sandbox.cluster.errors import StatusError
from sandbox.inprocess import InProcess
from webhook.transport import Method, UpgradeRefusedError


@dataclass(frozen=True, slots=True)
class Request:
    """What a call is about: `call` is its verb and resource, e.g. `create pods/exec`; `name` is the object's."""

    call: str
    name: str
    query: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What goes wrong with one call.

    `error` is raised, or answered. `hangs`: there is no answer, ever. With `effective` it takes effect all the same,
    and only the answer is another or missing. `delay`: seconds that it takes longer to arrive.
    """

    error: ApiUnreachableError | Response | None = None
    hangs: bool = False
    effective: bool = False
    delay: float = 0.0


_NOTHING = Mishap()


class InProcessTransport:
    """`webhook.transport.WriteTransport` of one program: it may be slow, cut off, or not told of what took effect."""

    def __init__(self, box: InProcess, *, token: str = TOKEN) -> None:
        self.calls: Counter[str] = Counter()
        self.latency: Callable[[], float] = lambda: 0.0
        """Seconds, asked for each way: there, and back again."""
        self.before: Callable[[Request], Mishap | None] = lambda _request: None
        """What goes wrong with a call; called when it is sent."""
        self._box = box
        self._token = token

    async def get(self, path: str, query: Mapping[str, str]) -> Response:
        return self._dated(await self.ask(self._call("GET", path, _multi(query))))

    async def stream(self, path: str, query: Mapping[str, str]) -> "InProcessStream":
        bookmarks = query.get("allowWatchBookmarks") == "true"
        return InProcessStream(self._box, await self.ask(self._call("GET", path, _multi(query))), bookmarks=bookmarks)

    async def send(self, method: Method, path: str, body: object, *, retry_unauthorized: bool = True) -> Response:
        del retry_unauthorized  # there are no other credentials
        return self._dated(await self.ask(self._call(method, path, {}, body=msgspec.json.encode(body))))

    async def exec(self, path: str, query: list[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
        given: dict[str, list[str]] = {}
        for key, value in query:
            given.setdefault(key, []).append(value)
        session = await self.ask(self._call("GET", path, given), upgrade=True)
        if not isinstance(session, Exec):
            raise UpgradeRefusedError(_response(session).status)
        for frame in opening_frames(stdout=given.get("stdout") == ["true"], stderr=given.get("stderr") == ["true"]):
            yield frame
        await asyncio.sleep(session.result.seconds)
        await self._box.answering.wait()
        for frame in closing_frames(session):
            yield frame

    def _dated(self, answer: Answer) -> Response:
        response = _response(answer)
        return Response(response.status, response.body, self._box.date)

    def _call(self, method: str, path: str, query: Mapping[str, Sequence[str]], *, body: bytes = b"") -> Call:
        return Call(method=method, path=unquote(path), query=query, token=self._token, body=body)

    async def ask(self, call: Call, *, upgrade: bool = False) -> Answer:
        """Raises ApiUnreachableError. Whoever stops waiting does not stop what is on its way."""
        request = _request(call)
        self.calls[request.call] += 1
        mishap = self.before(request) or _NOTHING
        serving = asyncio.create_task(self._serve(call, mishap, upgrade=upgrade), context=self._box.context)
        self._box.serving.add(serving)
        serving.add_done_callback(self._box.serving.discard)
        return await asyncio.shield(serving)

    async def _serve(self, call: Call, mishap: Mishap, *, upgrade: bool) -> Answer:
        there = self.latency() + mishap.delay + self._box.mishaps.latency
        if there:
            await asyncio.sleep(there)
        if self._box.mishaps.killed:
            raise ApiUnreachableError("Connection refused")
        await self._box.answering.wait()
        answer: Answer | None = None
        if mishap.effective or not (mishap.error or mishap.hangs):
            answer = self._box.handle(call, upgrade=upgrade)
        if mishap.hangs:
            await asyncio.Event().wait()
        await self._box.answering.wait()
        back = self.latency()
        if back:
            await asyncio.sleep(back)
        if isinstance(mishap.error, Response):
            return server.Response(mishap.error.status, mishap.error.body)
        if mishap.error is not None or answer is None:
            raise mishap.error or ApiUnreachableError("cut off")
        return answer


class InProcessStream:
    """`exporter.kubernetes.transport.Stream` of a watch, or of an answer that is none."""

    def __init__(self, box: InProcess, answer: Answer, *, bookmarks: bool) -> None:
        self.status = 200
        self.date = box.date
        self._box = box
        self._lines: list[bytes] = []
        self._following: Following | None = None
        if isinstance(answer, Watch):
            interval = box.bookmark_interval if bookmarks else None
            self._following = box.follow(answer, bookmark_interval=interval)
        else:
            response = _response(answer)
            self.status, self._lines = response.status, response.body.splitlines(keepends=True)

    async def line(self) -> bytes:
        if not self._lines and self._following is not None:
            self._lines = await self._following.lines()
            if self._following.was_cut:
                raise ApiUnreachableError("Connection reset by peer")
        return self._lines.pop(0) if self._lines else b""

    async def read(self) -> bytes:
        whole = b""
        while line := await self.line():
            whole += line
        return whole

    def close(self) -> None:
        if self._following is not None:
            self._box.leave(self._following)


def _multi(query: Mapping[str, str]) -> dict[str, list[str]]:
    return {key: [value] for key, value in query.items()}


def _request(call: Call) -> Request:
    try:
        about = target(call)
    except StatusError:
        about = None
    if about is None:
        return Request(f"{call.method} {call.path}", "", call.query)
    resource = f"{about.resource.plural}/{about.subresource}" if about.subresource else about.resource.plural
    return Request(f"{about.verb} {resource}", about.name, call.query)


def _response(answer: Answer) -> Response:
    if not isinstance(answer, server.Response):
        raise TypeError(f"not a whole answer: {answer}")
    return Response(answer.code, answer.body)
