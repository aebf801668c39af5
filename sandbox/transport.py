"""The client's own seam for HTTP, on a sandbox of the same process: no socket, no time of its own.

Deadlines, decoding and what each status means are the client's, so a test in-process runs them as they are.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
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
    and only the answer is another or missing. `delay`: seconds that it takes longer to arrive; `back`: that the answer
    takes longer. `again`: seconds after which the same call arrives once more; with `second`, the answer is that to the
    second.
    """

    error: ApiUnreachableError | Response | None = None
    hangs: bool = False
    effective: bool = False
    delay: float = 0.0
    back: float = 0.0
    again: float = 0.0
    second: bool = False


_NOTHING = Mishap()
_NO_QUERY: Mapping[str, Sequence[str]] = {}


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
        return self._dated(await self.ask(self._call("GET", path, _multi(query) if query else _NO_QUERY)))

    async def stream(self, path: str, query: Mapping[str, str]) -> "InProcessStream":
        bookmarks = query.get("allowWatchBookmarks") == "true"
        return InProcessStream(self._box, await self.ask(self._call("GET", path, _multi(query))), bookmarks=bookmarks)

    async def send(self, method: Method, path: str, body: object, *, retry_unauthorized: bool = True) -> Response:
        del retry_unauthorized  # there are no other credentials
        return self._dated(await self.ask(self._call(method, path, _NO_QUERY, body=msgspec.json.encode(body))))

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
        return _response(answer, self._box.date)

    def _call(self, method: str, path: str, query: Mapping[str, Sequence[str]], *, body: bytes = b"") -> Call:
        return Call(method=method, path=_unquote(path), query=query, token=self._token, body=body)

    async def ask(self, call: Call, *, upgrade: bool = False) -> Answer:
        """Raises ApiUnreachableError. Whoever stops waiting does not stop what is on its way."""
        request = _request(call)
        self.calls[request.call] += 1
        way = _Way(self._box, call, self.before(request) or _NOTHING, self.latency, upgrade=upgrade)
        return await way.answered


class _Way:
    """One call on its way there, and its answer on the way back. Each waits while the API server hangs."""

    __slots__ = ("_answer", "_box", "_call", "_latency", "_loop", "_mishap", "_upgrade", "answered")

    def __init__(
        self, box: InProcess, call: Call, mishap: Mishap, latency: Callable[[], float], *, upgrade: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._box = box
        self._call = call
        self._upgrade = upgrade
        # A proxy that sends requests twice sends none twice whose connection is upgraded, as that of an exec is.
        self._mishap = replace(mishap, again=0.0, second=False) if upgrade else mishap
        self._latency = latency
        self._answer: Answer | None = None
        self.answered: asyncio.Future[Answer] = self._loop.create_future()
        self._after(latency() + mishap.delay + box.mishaps.latency, self._arrive)

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        """What happens on the way does not belong to the program that has sent the call."""
        if seconds:
            self._loop.call_later(seconds, then, context=self._box.context)
        else:
            self._loop.call_soon(then, context=self._box.context)

    def _arrive(self) -> None:
        if self._box.mishaps.killed:
            self._end(ApiUnreachableError("Connection refused"))
        elif self._box.mishaps.hanging:
            self._box.hung.append(self._handle)
        else:
            self._handle()

    def _handle(self) -> None:
        mishap = self._mishap
        if mishap.effective or not (mishap.error or mishap.hangs):
            try:
                self._answer = self._box.handle(self._call, upgrade=self._upgrade)
            except Exception as error:  # noqa: BLE001 - a defect of the sandbox: whoever asked is told
                self._end(error)
                return
        if mishap.again:
            self._after(mishap.again, self._once_more)
        if mishap.second:
            return
        if mishap.hangs:
            return
        if self._box.mishaps.hanging:
            self._box.hung.append(self._return)
        else:
            self._return()

    def _once_more(self) -> None:
        answer = self._box.handle(self._call, upgrade=self._upgrade)
        if self._mishap.second:
            self._answer = answer
            self._return()

    def _return(self) -> None:
        self._after(self._latency() + self._mishap.back, self._tell)

    def _tell(self) -> None:
        error = self._mishap.error
        if isinstance(error, Response):
            self._end(server.Response(error.status, error.body))
        elif error is not None or self._answer is None:
            self._end(error or ApiUnreachableError("cut off"))
        else:
            self._end(self._answer)

    def _end(self, result: Answer | Exception) -> None:
        if self.answered.done():
            return  # nobody waits any more
        if isinstance(result, Exception):
            self.answered.set_exception(result)
        else:
            self.answered.set_result(result)


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


_unquote = lru_cache(maxsize=1024)(unquote)


def _request(call: Call) -> Request:
    about = _about(call.method, call.path, watch=bool(call.query) and call.flag("watch"))
    return Request(*about, call.query)


@lru_cache(maxsize=1024)
def _about(method: str, path: str, *, watch: bool) -> tuple[str, str]:
    try:
        about = target(method, path, watch=watch)
    except StatusError:
        about = None
    if about is None:
        return f"{method} {path}", ""
    resource = f"{about.resource.plural}/{about.subresource}" if about.subresource else about.resource.plural
    return f"{about.verb} {resource}", about.name


def _response(answer: Answer, date: str = "") -> Response:
    if not isinstance(answer, server.Response):
        raise TypeError(f"not a whole answer: {answer}")
    return Response(answer.code, answer.body, date)
