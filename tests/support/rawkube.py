"""A Kubernetes client that hides nothing: status codes, bodies, watch lines and exec channels as they come."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import yaml

Json = dict[str, Any]
JSON, MERGE, JSON_PATCH = "application/json", "application/merge-patch+json", "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def reason(self) -> tuple[int, str | None]:
        """The code and reason of the Status; the HTTP code is asserted to be the same."""
        body = self.json
        assert self.code == body.get("code"), body
        return self.code, body.get("reason")


@dataclass(frozen=True, slots=True)
class Executed:
    """What exec said on its channels; `status` is channel 3."""

    stdout: str
    stderr: str
    status: Json

    @property
    def code(self) -> int | None:
        if self.status["status"] == "Success":
            return 0
        causes = self.status.get("details", {}).get("causes", [])
        return next((int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"), None)


class RawKube:
    """Requests to one API server, by the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.url: str = config["clusters"][0]["cluster"]["server"]
        self.token: str = config["users"][0]["user"]["token"]
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()
        if self.url.startswith("https"):
            await asyncio.sleep(
                0.1
            )  # TLS connections say goodbye in the background, and aiohttp does not wait for them

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
        assert self._session is not None
        headers = {"Authorization": f"Bearer {token or self.token}"}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = content_type
        async with self._session.request(
            method,
            self.url + path + ("?" + urlencode(query) if query else ""),
            data=data,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=60),
        ) as response:
            return Answer(response.status, await response.text())

    async def get(self, path: str, **query: str) -> Answer:
        return await self.request("GET", path, query)

    async def found(self, path: str, **query: str) -> Json:
        """GET that must succeed."""
        answer = await self.get(path, **query)
        assert answer.code == 200, answer
        found: Json = answer.json
        return found

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[AsyncIterator[Json]]:
        """The events of one watch call."""
        assert self._session is not None
        async with self._session.get(
            self.url + path + "?" + urlencode({"watch": "true", **query}),
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=aiohttp.ClientTimeout(total=90),
        ) as response:
            assert response.status == 200, await response.text()

            async def events() -> AsyncIterator[Json]:
                async for line in response.content:
                    if line.strip():
                        yield json.loads(line)

            try:
                yield events()
            finally:  # left in the middle, a TLS connection would say goodbye in the background
                connection = response.connection
                if connection is not None and connection.transport is not None and self.url.startswith("https"):
                    connection.transport.abort()

    async def exec(
        self, path: str, argv: Sequence[str], *, container: str | None = None, accept: str = "*/*", timeout: float = 30
    ) -> Executed:
        """`path` is the pod's. Raises aiohttp.WSServerHandshakeError where the server refuses."""
        assert self._session is not None
        query = [("command", argument) for argument in argv] + [("stdout", "true"), ("stderr", "true")]
        query += [("container", container)] if container else []
        channels = {1: "", 2: "", 3: ""}
        async with self._session.ws_connect(
            "ws" + self.url.removeprefix("http") + path + "/exec?" + urlencode(query),
            headers={"Authorization": f"Bearer {self.token}", "Accept": accept},
            protocols=("v4.channel.k8s.io",),
            timeout=aiohttp.ClientWSTimeout(ws_receive=timeout),
        ) as socket:
            assert socket.protocol == "v4.channel.k8s.io"
            async for message in socket:
                channels[message.data[0]] += message.data[1:].decode()
        return Executed(channels[1], channels[2], json.loads(channels[3]))
