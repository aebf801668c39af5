"""The way to an API server: when the credentials are read, and read again, and who shares the connections."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from exporter.kubernetes.account import Account, account
from exporter.kubernetes.api import ApiUnreachableError

TIMEOUT = 10.0
"""Seconds within which the credentials must be there: a kubeconfig may run a plugin that logs in."""
RENEWAL = 30.0
"""Seconds between two attempts to read the credentials again: a token that stays wrong is not read at each request."""

AT_ONCE = 100
"""Lists, and watches being opened, at one API server at once: a thousand foundations that start do not storm it."""

LINGER = 15.0
"""Seconds for which a connection that no foundation uses any more stays open: a medic gives its lease back on it."""

Query = Mapping[str, str] | list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Login:
    """What a request to the API server is made with."""

    account: Account
    headers: Mapping[str, str]

    @property
    def session(self) -> aiohttp.ClientSession:
        return self.account.session

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the kubeconfig that aiohttp takes for each request."""
        return self.account.options

    def url(self, path: str, query: Query) -> str:
        return self.account.host + path + ("?" + urlencode(query) if query else "")


class Connection:
    """A connection to one API server, shared by all foundations on it.

    It is configured at the first request and not before, so that a program starts, checks its config and serves while a
    kubeconfig is missing or wrong. It is configured again after a 401, since a token may have been renewed on disk, and
    where the server's certificate is not accepted, since its authority may have been replaced.
    """

    def __init__(self, *, kubeconfig: str | None = None, context: str | None = None) -> None:
        self.gate = asyncio.Semaphore(AT_ONCE)
        """For who wants no more than `AT_ONCE` requests under way; to wait for it is part of a request's deadline."""
        self._kubeconfig = kubeconfig
        self._context = context
        self._account: Account | None = None
        self._retired: Account | None = None
        self._renewed_at: float | None = None
        self._configuring = asyncio.Lock()

    async def close(self) -> None:
        accounts, self._account, self._retired = (self._account, self._retired), None, None
        for each in accounts:
            if each is not None:
                await each.close()

    async def login(self) -> Login:
        """Raises ApiUnreachableError where there are no credentials."""
        async with self._configuring:
            if self._account is None:
                self._account = await self._configure()
            current = self._account
        headers = {"Accept": "application/json", "User-Agent": "diego-medic"}
        try:
            async with asyncio.timeout(TIMEOUT):  # the token may come from a plugin as well
                authorization = await current.authorization()
        except Exception as error:
            raise ApiUnreachableError(f"token: {words(error)}") from error
        return Login(current, headers | ({"Authorization": authorization} if authorization else {}))

    async def renew(self, refused: Login) -> bool:
        """Configures again; False where that was tried within the last `RENEWAL` seconds."""
        async with self._configuring:
            if self._account is not refused.account:
                return True  # another request has renewed it meanwhile
            now = asyncio.get_running_loop().time()
            if self._renewed_at is not None and now - self._renewed_at < RENEWAL:
                return False
            self._renewed_at = now
            renewed = await self._configure()
            oldest, self._retired = self._retired, self._account  # requests may still run on the newer of the two
            self._account = renewed
            if oldest is not None:
                await oldest.close()
            return True

    async def _configure(self) -> Account:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await account(kubeconfig=self._kubeconfig, context=self._context)
        except Exception as error:
            raise ApiUnreachableError(f"kubeconfig: {words(error)}") from error


class Connections:
    """The connections of a program, one for each cluster: foundations on the same cluster share it."""

    def __init__(self) -> None:
        self._open: dict[tuple[str | None, str | None], Connection] = {}
        self._lingering: set[Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def connection(self, *, kubeconfig: str | None, context: str | None) -> Connection:
        key = (kubeconfig, context)
        if key not in self._open:
            self._open[key] = Connection(kubeconfig=kubeconfig, context=context)
        return self._open[key]

    def retain(self, used: Iterable[tuple[str | None, str | None]]) -> None:
        """Closes those that are not among these kubeconfigs and contexts, after `LINGER`. Needs the running loop."""
        for key in self._open.keys() - set(used):
            connection = self._open.pop(key)
            self._lingering.add(connection)
            closing = asyncio.create_task(self._close_later(connection))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for closing in self._closing:
            closing.cancel()
        for connection in (*self._open.values(), *self._lingering):
            await connection.close()
        self._open.clear()
        self._lingering.clear()

    async def _close_later(self, connection: Connection) -> None:
        await asyncio.sleep(LINGER)
        await connection.close()
        self._lingering.discard(connection)


def words(error: BaseException) -> str:
    """An error in its own words, or by its name where it has none."""
    return str(error) or type(error).__name__
