"""What the demo asks the programs over HTTP, every question with a deadline."""

import json
import re
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=3)


class Client:
    """Questions that have an answer or None: a program that is not up yet is no error here."""

    def __init__(self, token_file: Path, *, user: str, password: str) -> None:
        """The token is for notifications; the user, of the webhook's web config, for all that is read."""
        self._token_file = token_file
        self._login = {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def text(self, url: str) -> str | None:
        """The body of a 200."""
        return await self._request("GET", url)

    async def ok(self, url: str) -> bool:
        return await self.text(url) is not None

    async def json(self, url: str) -> Any:
        """The JSON of a 200."""
        text = await self._request("GET", url)
        return None if text is None else json.loads(text)

    async def post(self, url: str, body: object) -> int | None:
        """Posts with the webhook's token; the HTTP status, or None where nobody answered."""
        assert self._session is not None  # noqa: S101 - used inside its `async with`
        try:
            async with self._session.post(url, json=body, headers=self._authorization()) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _request(self, method: str, url: str) -> str | None:
        assert self._session is not None  # noqa: S101 - used inside its `async with`
        try:
            async with self._session.request(method, url, headers=self._login) as response:
                text = await response.text()
                return text if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}


def sample(metrics: str, name: str, **labels: str) -> float | None:
    """The value of the first series with this name and these labels in a text exposition; None where it is absent."""
    for line in metrics.splitlines():
        found = re.match(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
            return float(found[2])
    return None
