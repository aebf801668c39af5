"""The way to an API server over HTTP: what each answer becomes, and what each lack of one does."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from exporter.kubernetes.api import (
    PODS,
    STATEFULSETS,
    ApiError,
    ApiUnreachableError,
    ConflictError,
    GoneError,
    KubernetesError,
    NotFoundError,
    WatchEvent,
)
from exporter.kubernetes.client import ApiReader, Connection, Connections
from exporter.kubernetes.objects import Pod

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
POD = {"metadata": {"name": "diego-api-0", "uid": "u", "resourceVersion": "7"}, "unknown": {"field": [1]}}


def kubeconfig(path: Path, url: str, **user: Any) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": url}}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    path.write_text(yaml.safe_dump(content))
    return path


class Api:
    """A reader, the server that it asks, and what both saw."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[web.Request] = []
        self.counted: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.handler(request)

    @asynccontextmanager
    async def reader(self, folder: Path, **user: Any) -> AsyncIterator[ApiReader]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        connection = Connection(kubeconfig=str(kubeconfig(folder / "kubeconfig", url, **user)))
        try:
            yield ApiReader(connection, namespace="cf", observe=lambda verb, code: self.counted.append((verb, code)))
        finally:
            await connection.close()
            await runner.cleanup()


def says(body: object, *, status: int = 200) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text)

    return handler


def streams(*lines: object, then: float = 0.0, abort: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")
        await asyncio.sleep(then)
        if abort and request.transport is not None:
            request.transport.abort()
        return response

    return handler


def event(type_: str, /, **body: Any) -> dict[str, Any]:
    return {"type": type_, "object": body}


async def watched(reader: ApiReader, *, silence: float = 5.0) -> list[WatchEvent[Pod]]:
    async with aclosing(
        reader.watch(PODS, labels="a=b", fields="c=d", since="6", window=30, silence=silence)
    ) as events:
        return [each async for each in events]


async def test_a_list(tmp_path: Path) -> None:
    api = Api(says({"metadata": {"resourceVersion": "9"}, "items": [POD]}))
    async with api.reader(tmp_path, token="t\n") as reader:
        listing = await reader.list(PODS, labels="a=b,c in (d)", fields="metadata.name=x")

    (request,) = api.requests
    assert ([each.name for each in listing.items], listing.resource_version) == (["diego-api-0"], "9")
    assert request.path == "/api/v1/namespaces/cf/pods"
    assert dict(request.query) == {"labelSelector": "a=b,c in (d)", "fieldSelector": "metadata.name=x"}
    assert request.headers["Authorization"] == "Bearer t"
    assert api.counted == [("list", "200")]


async def test_an_empty_list_may_be_null(tmp_path: Path) -> None:
    api = Api(says({"metadata": {"resourceVersion": "9"}, "items": None}))
    async with api.reader(tmp_path) as reader:
        assert (await reader.list(PODS)).items == ()


async def test_a_get(tmp_path: Path) -> None:
    api = Api(says({"metadata": {"name": "diego-api"}, "spec": {"replicas": 3}}))
    async with api.reader(tmp_path) as reader:
        assert (await reader.get(STATEFULSETS, "diego-api")).spec.replicas == 3

    assert api.requests[0].path == "/apis/apps/v1/namespaces/cf/statefulsets/diego-api"


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, NotFoundError), (409, ConflictError), (410, GoneError), (403, ApiError), (429, ApiError), (500, ApiError)],
)
async def test_an_error_says_what_it_is(tmp_path: Path, status: int, expected: type[ApiError]) -> None:
    api = Api(says({"kind": "Status", "code": status, "reason": "Because", "message": "no"}, status=status))
    async with api.reader(tmp_path) as reader:
        with pytest.raises(ApiError) as raised:
            await reader.get(PODS, "x")

    assert type(raised.value) is expected
    assert (raised.value.status, raised.value.reason, str(raised.value)) == (status, "Because", f"{status} Because: no")
    assert api.counted == [("get", str(status))]


async def test_the_page_of_a_proxy_is_no_answer(tmp_path: Path) -> None:
    async with Api(says("<html>Bad Gateway</html>", status=502)).reader(tmp_path) as reader:
        with pytest.raises(ApiError, match="502 Bad Gateway: <html>Bad Gateway</html>"):
            await reader.list(PODS)
    async with Api(says("<html>Welcome</html>")).reader(tmp_path) as reader:
        with pytest.raises(ApiUnreachableError, match="not an answer of Kubernetes"):
            await reader.list(PODS)


async def test_a_request_has_a_deadline(tmp_path: Path) -> None:
    async def hang(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    api = Api(hang)
    async with api.reader(tmp_path) as reader:
        with pytest.raises(ApiUnreachableError, match="timed out"):
            await reader.request("list", "GET", "/", timeout=0.1)

    assert api.counted == [("list", "timeout")]


async def test_a_server_that_refuses(tmp_path: Path) -> None:
    counted: list[tuple[str, str]] = []
    connection = Connection(kubeconfig=str(kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")))
    reader = ApiReader(connection, namespace="cf", observe=lambda *each: counted.append(each))
    with pytest.raises(ApiUnreachableError):
        await reader.list(PODS)
    with pytest.raises(ApiUnreachableError):
        await watched(reader)
    await connection.close()

    assert counted == [("list", "error"), ("watch", "error")]


@pytest.mark.parametrize(
    "content",
    ["", "{", "a: [", "just text", "clusters: 3", "apiVersion: v1\nkind: Config\ncurrent-context: gone\n", "\x00"],
)
async def test_a_kubeconfig_that_is_none_is_no_answer_either(tmp_path: Path, content: str) -> None:
    """It is read anew at the next request, so that a program goes on once it was mended."""
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    connection = Connection(kubeconfig=str(path))
    reader = ApiReader(connection, namespace="cf")
    with pytest.raises(ApiUnreachableError, match="kubeconfig: "):
        await reader.list(PODS)
    await connection.close()


async def test_a_watch(tmp_path: Path) -> None:
    api = Api(
        streams(
            event("ADDED", **POD),
            "",
            event("BOOKMARK", kind="Pod", metadata={"resourceVersion": "8"}),
            event("DELETED", **POD),
        )
    )
    async with api.reader(tmp_path) as reader:
        events = await watched(reader)

    assert [(each.type, each.resource_version, each.object and each.object.name) for each in events] == [
        ("ADDED", "7", "diego-api-0"),
        ("BOOKMARK", "8", None),
        ("DELETED", "7", "diego-api-0"),
    ]
    assert dict(api.requests[0].query) == {
        "labelSelector": "a=b",
        "fieldSelector": "c=d",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "6",
        "timeoutSeconds": "30",
    }
    assert api.counted == [("watch", "200")]


GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (streams(event("ERROR", **GONE)), GoneError),
        (says(GONE, status=410), GoneError),
        (streams(event("ERROR", code=500, reason="InternalError", message="etcd")), ApiError),
        (says("<html>Bad Gateway</html>", status=502), ApiError),
        (says("<html>Welcome</html>"), ApiUnreachableError),
        (streams(event("ADDED", **POD), '{"type": "ADD'), ApiUnreachableError),
        (streams(event("ADDED", metadata="nonsense")), ApiUnreachableError),
        (streams(event("ADDED", **POD), abort=True), ApiUnreachableError),
    ],
    ids=["410 in the stream", "410", "error in the stream", "502", "200", "cut off", "nonsense", "aborted"],
)
async def test_a_watch_that_is_lost_says_so(tmp_path: Path, handler: Handler, expected: type[KubernetesError]) -> None:
    async with Api(handler).reader(tmp_path) as reader:
        with pytest.raises(KubernetesError) as raised:
            await watched(reader)

    assert type(raised.value) is expected


async def test_a_silent_watch_is_lost(tmp_path: Path) -> None:
    seen = []

    async def follow(reader: ApiReader) -> None:
        async with aclosing(reader.watch(PODS, since="6", window=30, silence=0.2)) as events:
            async for each in events:
                seen.append(each.type)  # noqa: PERF401 - they must be seen before the error

    async with Api(streams(event("ADDED", **POD), then=30)).reader(tmp_path) as reader:
        with pytest.raises(ApiUnreachableError, match="silent for 0 s"):
            await follow(reader)

    assert seen == ["ADDED"]


async def test_a_watch_that_is_left_is_closed(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(json.dumps(event("ADDED", **POD)).encode() + b"\n")
        while request.transport is not None:  # noqa: ASYNC110 - aiohttp has no event for a client that leaves
            await asyncio.sleep(0.01)
        left.set()
        return response

    async with Api(handler).reader(tmp_path) as reader:
        async with aclosing(reader.watch(PODS, since="6", window=30, silence=30)) as events:
            async for _ in events:
                break
        await asyncio.wait_for(left.wait(), 5)


async def test_after_a_401_the_credentials_are_read_anew(tmp_path: Path) -> None:
    """A token may have been renewed on disk; one that stays wrong is not read at each request."""
    wanted = "old"

    async def handler(request: web.Request) -> web.StreamResponse:
        known = request.headers.get("Authorization") == f"Bearer {wanted}"
        return await says({"items": []} if known else {}, status=200 if known else 401)(request)

    api = Api(handler)
    async with api.reader(tmp_path, token="old") as reader:
        await reader.list(PODS)
        wanted = "new"
        url = str(api.requests[0].url.origin())
        kubeconfig(tmp_path / "kubeconfig", url, token="new")
        await asyncio.gather(*(reader.list(PODS) for _ in range(3)))
        asked = len(api.requests)

        wanted = "newer"
        with pytest.raises(ApiError, match="401"):
            await reader.list(PODS)
        assert len(api.requests) == asked + 1

    assert {code for _, code in api.counted[:-1]} == {"200"}


async def test_whether_something_is_allowed_is_asked(tmp_path: Path) -> None:
    api = Api(says({"status": {"allowed": True}}))
    bodies = []

    async def handler(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        return await says({"status": {"allowed": True}})(request)

    api.handler = handler
    async with api.reader(tmp_path) as reader:
        assert await reader.allowed("delete", "", "pods", name="diego-api-0")

    assert bodies[0]["spec"]["resourceAttributes"] == {
        "namespace": "cf",
        "verb": "delete",
        "group": "",
        "resource": "pods",
        "name": "diego-api-0",
    }


async def test_foundations_on_one_cluster_share_its_connection() -> None:
    connections = Connections()
    first = connections.connection(kubeconfig="a", context=None)

    assert connections.connection(kubeconfig="a", context=None) is first
    assert connections.connection(kubeconfig="a", context="b") is not first
    await connections.close()


async def test_many_watches_fit_on_one_connection(tmp_path: Path) -> None:
    """The library's pool holds 100; each watch takes one."""
    api = Api(streams(event("ADDED", **POD), then=0.5))
    async with api.reader(tmp_path) as reader:
        found = await asyncio.wait_for(asyncio.gather(*(watched(reader) for _ in range(150))), 20)

    assert [len(each) for each in found] == [1] * 150
