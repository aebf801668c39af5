"""Kubernetes over HTTP, for reading: the one module that imports kubernetes-asyncio.

It takes configuration, authentication and transport from the library, and nothing else: its models cost a hundred
times what decoding our own fields costs, and its watch neither relists nor notices a server that went silent. What is
asked of Kubernetes, and what can go wrong, stands in `exporter.kubernetes.api`; all of it may be imported from here.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp

from exporter.kubernetes.api import (
    PODS,
    ApiUnreachableError,
    Listing,
    Resource,
    T,
    WatchEvent,
    decode,
    decode_event,
    decode_list,
    error_of,
)
from exporter.kubernetes.objects import Object

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

IN_CLUSTER_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
TIMEOUT = 10.0
"""Seconds within which a request must be answered, unless the caller says otherwise."""
RENEWAL = 30.0
"""Seconds between two attempts to read the credentials anew: a token that stays wrong is not read at each request."""

RequestObserver = Callable[[str, str], None]
"""Is told (verb, code) of every request; the code is `timeout` or `error` where there was no answer."""


class _Review(Object, frozen=True):
    class Verdict(Object, frozen=True):
        allowed: bool = False

    status: Verdict = Verdict()


class Connection:
    """A connection to one API server, shared by all foundations on it.

    It is configured at the first request and not before, so that a program starts, checks its config and serves while a
    kubeconfig is missing or wrong. After a 401 it is configured anew: a token may have been renewed on disk.
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

    async def _configured(self) -> "ApiClient":
        async with self._configuring:
            if self._client is None:
                self._client = await self._configure()
            return self._client

    async def _renew(self, refused: "ApiClient") -> bool:
        """Configures anew after a 401; False where that was tried within the last `RENEWAL` seconds."""
        async with self._configuring:
            if self._client is not refused:
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
                async with asyncio.timeout(TIMEOUT):  # a kubeconfig may run a plugin that logs in
                    await config.load_kube_config(
                        config_file=os.path.expanduser(path),  # noqa: ASYNC240, PTH111 - $KUBECONFIG may be a list
                        context=self._context,
                        client_configuration=configuration,
                        persist_config=False,
                    )
            return client.ApiClient(configuration)
        except Exception as error:
            # The library's parser has no error type of its own for most of what can be wrong with a kubeconfig.
            raise ApiUnreachableError(f"kubeconfig: {_words(error)}") from error

    async def _prepare(
        self, path: str, query: Mapping[str, str] | list[tuple[str, str]]
    ) -> tuple[Any, str, dict[str, str]]:
        client = await self._configured()
        headers = {"Accept": "application/json", "User-Agent": "diego-medic"}
        try:
            async with asyncio.timeout(TIMEOUT):  # the token may come from a plugin as well
                await client.update_params_for_auth(headers, [], ["BearerToken"])
        except Exception as error:
            raise ApiUnreachableError(f"token: {_words(error)}") from error
        headers = {key: value.strip() for key, value in headers.items()}
        url = str(client.configuration.host).rstrip("/") + path + ("?" + urlencode(query) if query else "")
        return client, url, headers

    async def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Sends a request and returns the response with its body unread. Raises ApiUnreachableError."""
        for last in (False, True):
            client, url, headers = await self._prepare(path, query or {})
            try:
                response: aiohttp.ClientResponse = await client.rest_client.request(
                    method, url, headers=headers, body=body, _preload_content=False, _request_timeout=timeout
                )
            except TimeoutError as error:
                raise ApiUnreachableError("timed out") from error
            except (aiohttp.ClientError, OSError) as error:
                raise ApiUnreachableError(_words(error)) from error
            if response.status != 401 or last or not await self._renew(client):
                return response
            response.close()
        raise AssertionError("unreachable")

    async def websocket(
        self, path: str, query: list[tuple[str, str]], *, timeout: float
    ) -> aiohttp.ClientWebSocketResponse:
        """Opens a WebSocket for exec. `timeout` is in seconds. Raises KubernetesError."""
        client, url, headers = await self._prepare(path, query)
        headers["Accept"] = "*/*"  # an exec has no JSON to give: asked for that alone, kube-apiserver says 406
        try:
            async with asyncio.timeout(timeout):
                socket: aiohttp.ClientWebSocketResponse = await client.rest_client.pool_manager.ws_connect(
                    "ws" + url.removeprefix("http"), headers=headers, protocols=("v4.channel.k8s.io",)
                )
                return socket
        except aiohttp.WSServerHandshakeError as error:
            # The body of a refused upgrade is out of reach; its status says enough.
            raise error_of(error.status, b"") from error
        except TimeoutError as error:
            raise ApiUnreachableError("timed out") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiUnreachableError(_words(error)) from error


class ApiReader:
    """`Kubernetes` over HTTP, for one namespace of one cluster."""

    def __init__(
        self, connection: Connection, *, namespace: str, observe: RequestObserver = lambda _verb, _code: None
    ) -> None:
        self.connection = connection
        self.namespace = namespace
        self._observe = observe

    async def request(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        timeout: float = TIMEOUT,
    ) -> bytes:
        """One request, whole. `verb` is Kubernetes's word for it, `timeout` in seconds. Raises KubernetesError."""
        try:
            response = await self.connection.open(
                method, path, query=query, body=body, timeout=aiohttp.ClientTimeout(total=timeout)
            )
            async with response:
                content = await response.read()
        except ApiUnreachableError as error:
            self._observe(verb, "timeout" if isinstance(error.__cause__, TimeoutError) else "error")
            raise
        except TimeoutError as error:
            self._observe(verb, "timeout")
            raise ApiUnreachableError("timed out") from error
        except (aiohttp.ClientError, OSError) as error:
            self._observe(verb, "error")
            raise ApiUnreachableError(_words(error)) from error
        self._observe(verb, str(response.status))
        if not response.ok:
            raise error_of(response.status, content)
        return content

    async def list(self, resource: Resource[T], *, labels: str = "", fields: str = "") -> Listing[T]:
        query = _selectors(labels, fields)
        content = await self.request("list", "GET", resource.path(self.namespace), query=query)
        return decode_list(content, resource)

    async def get(self, resource: Resource[T], name: str) -> T:
        return decode(await self.request("get", "GET", resource.path(self.namespace, name)), resource.type)

    async def watch(
        self, resource: Resource[T], *, labels: str = "", fields: str = "", since: str, window: float, silence: float
    ) -> AsyncGenerator[WatchEvent[T], None]:
        """One watch call: from the resourceVersion `since`, for `window` seconds, then the server ends it cleanly.

        The server sends a bookmark about two seconds before it ends a watch (kube-apiserver's cacher does so for
        `allowWatchBookmarks`), so with `silence` (seconds) longer than `window` a server that says nothing for that
        long is lost: ApiUnreachableError. GoneError means: list again.
        """
        query = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(max(1, round(window))),
        }
        timeout = aiohttp.ClientTimeout(total=None, connect=TIMEOUT, sock_connect=TIMEOUT, sock_read=silence)
        try:
            response = await self.connection.open("GET", resource.path(self.namespace), query=query, timeout=timeout)
        except ApiUnreachableError as error:
            self._observe("watch", "timeout" if isinstance(error.__cause__, TimeoutError) else "error")
            raise
        self._observe("watch", str(response.status))
        try:
            if not response.ok:
                raise error_of(response.status, await response.read())
            async for line in response.content:
                if line.strip():
                    yield decode_event(line, resource)
        except TimeoutError as error:
            raise ApiUnreachableError(f"silent for {silence:.0f} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiUnreachableError(_words(error)) from error
        finally:
            _leave(response)

    async def log(self, pod: str, container: str, *, previous: bool, tail_lines: int, limit_bytes: int) -> str:
        query = {
            "container": container,
            "previous": str(previous).lower(),
            "tailLines": str(tail_lines),
            "limitBytes": str(limit_bytes),
        }
        content = await self.request("get", "GET", PODS.path(self.namespace, pod, "log"), query=query)
        return content.decode(errors="replace")

    async def allowed(self, verb: str, group: str, resource: str, *, subresource: str = "", name: str = "") -> bool:
        """Whether the API server would allow it, by a SelfSubjectAccessReview (which everybody may ask)."""
        attributes = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        attributes |= {"subresource": subresource} if subresource else {}
        attributes |= {"name": name} if name else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return decode(await self.request("create", "POST", path, body=body), _Review).status.allowed


def _leave(response: aiohttp.ClientResponse) -> None:
    """Closes a response. One that is not at its end takes its connection with it.

    At once, that is: the good-byes of TLS would wait half a minute for a server that hangs.
    """
    transport = response.connection.transport if response.connection else None
    response.close()
    if transport is not None:
        transport.abort()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})


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
