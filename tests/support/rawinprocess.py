"""The raw client's way to a sandbox of the same process: the same answers, without the wire."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import aiohttp

from sandbox.api.access import TOKEN
from sandbox.api.calls import Call
from sandbox.api.server import Response
from sandbox.inprocess import InProcess
from sandbox.transport import InProcessTransport
from tests.support.rawkube import JSON, Answer, Executed, Json
from webhook.transport import UpgradeRefusedError


class RawInProcess:
    """What `RawKube` does, by `InProcessTransport`."""

    def __init__(self, box: InProcess) -> None:
        self._box = box
        self._transport = InProcessTransport(box)

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
        token: str | None = None,
    ) -> Answer:
        given = {key: [value] for key, value in (query or {}).items()}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        call = Call(method=method, path=path, query=given, token=token or TOKEN, content_type=content_type, body=data)
        answer = await self._transport.ask(call)
        assert isinstance(answer, Response), answer
        return Answer(answer.code, answer.body.decode())

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[AsyncIterator[Json]]:
        stream = await self._transport.stream(path, {"watch": "true", **query})
        assert stream.status == 200, await stream.read()

        async def events() -> AsyncIterator[Json]:
            while line := await stream.line():
                yield json.loads(line)

        try:
            yield events()
        finally:
            stream.close()

    async def exec(
        self, path: str, argv: Sequence[str], *, container: str | None = None, accept: str = "*/*", timeout: float = 30
    ) -> Executed:
        del accept, timeout  # are the wire's
        query = [("command", argument) for argument in argv] + [("stdout", "true"), ("stderr", "true")]
        query += [("container", container)] if container else []
        channels = {1: "", 2: "", 3: ""}
        try:
            async for frame in self._transport.exec(f"{path}/exec", query):
                channels[frame[0]] += frame[1:].decode()
        except UpgradeRefusedError as refused:
            raise aiohttp.WSServerHandshakeError(Mock(), (), status=refused.status) from refused
        return Executed(channels[1], channels[2], json.loads(channels[3]))
