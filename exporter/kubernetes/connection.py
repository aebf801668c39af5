"""The way to an API server: kubeconfig, credentials and connections; the one module that imports kubernetes-asyncio.

Configuration, authentication and TLS are the library's, and nothing else: its models cost a hundred times what decoding
our own fields costs, and its watch neither relists nor notices a server that went silent.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp

from exporter.kubernetes.api import ApiUnreachableError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

IN_CLUSTER_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
TIMEOUT = 10.0
"""Seconds within which the credentials must be there: a kubeconfig may run a plugin that logs in."""
RENEWAL = 30.0
"""Seconds between two attempts to read the credentials again: a token that stays wrong is not read at each request."""

Query = Mapping[str, str] | list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Login:
    """What a request to the API server is made with."""

    client: "ApiClient"
    headers: Mapping[str, str]

    @property
    def session(self) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = self.client.rest_client.pool_manager
        return session

    @property
    def options(self) -> dict[str, Any]:
        """The options of the kubeconfig that aiohttp takes for each request."""
        rest = self.client.rest_client
        known = {"proxy": rest.proxy, "proxy_headers": rest.proxy_headers, "server_hostname": rest.server_hostname}
        return {name: value for name, value in known.items() if value}

    def url(self, path: str, query: Query) -> str:
        return str(self.client.configuration.host).rstrip("/") + path + ("?" + urlencode(query) if query else "")


class Connection:
    """A connection to one API server, shared by all foundations on it.

    It is configured at the first request and not before, so that a program starts, checks its config and serves while a
    kubeconfig is missing or wrong. After a 401 it is configured again: a token may have been renewed on disk.
    """

    def __init__(self, *, kubeconfig: str | None = None, context: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._client: ApiClient | None = None
        self._retired: ApiClient | None = None
        self._renewed_at: float | None = None
        self._configuring = asyncio.Lock()

    async def close(self) -> None:
        clients, self._client, self._retired = (self._client, self._retired), None, None
        for client in clients:
            if client is not None:
                await client.close()

    async def login(self) -> Login:
        """Raises ApiUnreachableError where there are no credentials."""
        async with self._configuring:
            if self._client is None:
                self._client = await self._configure()
            client = self._client
        headers = {"Accept": "application/json", "User-Agent": "diego-medic"}
        try:
            async with asyncio.timeout(TIMEOUT):  # the token may come from a plugin as well
                await client.update_params_for_auth(headers, [], ["BearerToken"])
        except Exception as error:
            raise ApiUnreachableError(f"token: {words(error)}") from error
        return Login(client, {key: value.strip() for key, value in headers.items()})

    async def renew(self, refused: Login) -> bool:
        """Configures again after a 401; False where that was tried within the last `RENEWAL` seconds."""
        async with self._configuring:
            if self._client is not refused.client:
                return True  # another request has renewed it meanwhile
            now = asyncio.get_running_loop().time()
            if self._renewed_at is not None and now - self._renewed_at < RENEWAL:
                return False
            self._renewed_at = now
            renewed = await self._configure()
            oldest, self._retired = self._retired, self._client  # requests may still run on the newer of the two
            self._client = renewed
            if oldest is not None:
                await oldest.close()
            return True

    async def _configure(self) -> "ApiClient":
        # Late: the import costs 40 MiB and a quarter of a second, which `--config.check` need not pay.
        from kubernetes_asyncio import client, config  # noqa: PLC0415

        configuration = client.Configuration()
        # Each watch holds a connection; the default is 100 in all. The library documents None and declares an int.
        configuration.connection_pool_maxsize = None  # type: ignore[assignment]
        path = self._kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        in_cluster = self._kubeconfig is None and self._context is None and os.path.exists(IN_CLUSTER_TOKEN)  # noqa: ASYNC240, PTH110 - local, once
        try:
            if in_cluster:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                async with asyncio.timeout(TIMEOUT):
                    await config.load_kube_config(
                        config_file=os.path.expanduser(path),  # noqa: ASYNC240, PTH111 - $KUBECONFIG may be a list
                        context=self._context,
                        client_configuration=configuration,
                        persist_config=False,
                    )
            return client.ApiClient(configuration)
        except Exception as error:
            # The library's parser has no error type of its own for most of what can be wrong with a kubeconfig.
            raise ApiUnreachableError(f"kubeconfig: {words(error)}") from error


class Connections:
    """The connections of a program, one for each cluster: foundations on the same cluster share it."""

    def __init__(self) -> None:
        self._open: dict[tuple[str | None, str | None], Connection] = {}

    def connection(self, *, kubeconfig: str | None, context: str | None) -> Connection:
        key = (kubeconfig, context)
        if key not in self._open:
            self._open[key] = Connection(kubeconfig=kubeconfig, context=context)
        return self._open[key]

    async def close(self) -> None:
        for connection in self._open.values():
            await connection.close()
        self._open.clear()


def words(error: BaseException) -> str:
    """An error in its own words, or by its name where it has none."""
    return str(error) or type(error).__name__
