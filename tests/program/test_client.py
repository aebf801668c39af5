"""Reading from an API server: what each answer becomes, and what each lack of one does."""

import asyncio
import gc
import json
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest
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
from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.connection import Connection
from exporter.kubernetes.objects import Pod
from exporter.kubernetes.transport import HttpTransport
from tests.support.apis import POD, Api, Handler, event, kubeconfig, says, streams


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


UNDECODABLE = {
    "not UTF-8": b'{"metadata": {"resourceVersion": "\xff"}, "type": "\xff", "message": "\xff"}',
    "without end": b'{"unknown": ' + b"[" * 100_000,
    "not JSON": b"nonsense",
}


@pytest.mark.parametrize("body", UNDECODABLE.values(), ids=UNDECODABLE.keys())
async def test_a_body_that_cannot_be_decoded_is_no_answer(tmp_path: Path, body: bytes) -> None:
    async def success(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async def failure(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=500)

    async def missing(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=404)

    api = Api(success)
    async with api.reader(tmp_path) as reader:
        for asked in (reader.get(PODS, "x"), reader.list(PODS), watched(reader)):
            with pytest.raises(ApiUnreachableError, match="not an answer of Kubernetes"):
                await asked
        api.handler = failure
        with pytest.raises(ApiError, match="500 Internal Server Error"):
            await reader.get(PODS, "x")
        api.handler = missing
        with pytest.raises(ApiUnreachableError, match="not an answer of Kubernetes: 404"):
            await reader.get(PODS, "x")


async def test_the_clock_of_the_server_is_that_of_its_latest_answer(tmp_path: Path) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"items": []}, headers={"Date": "Sat, 31 Jan 2026 03:04:05 GMT"})

    async with Api(handler).reader(tmp_path) as reader:
        assert reader.server_time is None
        await reader.list(PODS)
        assert reader.server_time == datetime(2026, 1, 31, 3, 4, 5, tzinfo=UTC).timestamp()


async def test_a_request_has_a_deadline(tmp_path: Path) -> None:
    async def hang(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    api = Api(hang)
    async with api.reader(tmp_path) as reader:
        with pytest.raises(ApiUnreachableError, match="timed out"):
            await reader.read("list", "/", timeout=0.1)

    assert api.counted == [("list", "timeout")]


async def test_a_server_that_refuses(tmp_path: Path) -> None:
    counted: list[tuple[str, str]] = []
    connection = Connection(kubeconfig=str(kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")))
    reader = ApiReader(HttpTransport(connection), namespace="cf", observe=lambda *each: counted.append(each))
    with pytest.raises(ApiUnreachableError):
        await reader.list(PODS)
    with pytest.raises(ApiUnreachableError):
        await watched(reader)
    await connection.close()

    assert counted == [("list", "error"), ("watch", "error")]


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


async def test_a_server_that_cannot_be_reached_leaves_no_cycles_behind(tmp_path: Path) -> None:
    """Errors that keep the frames that they came through are thousands of objects that only the collector frees."""
    connection = Connection(kubeconfig=str(kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")))
    reader = ApiReader(HttpTransport(connection), namespace="cf")
    for _ in range(2):  # the first time it also reads the kubeconfig
        gc.collect()
        for _ in range(10):
            with pytest.raises(ApiUnreachableError):
                await reader.list(PODS)

    assert gc.collect() < 100
    await connection.close()
