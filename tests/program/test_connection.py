"""Kubeconfigs and credentials: read when they are needed, read again when they are refused."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from exporter.kubernetes.api import PODS, ApiError, ApiUnreachableError
from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.connection import Connection, Connections
from exporter.kubernetes.transport import HttpTransport
from tests.support.apis import POD, Api, event, kubeconfig, says, streams
from tests.support.certificates import Authority
from webhook.transport import HttpWriteTransport
from webhook.writer import ApiWriter


async def watched(reader: ApiReader) -> int:
    return len([each async for each in reader.watch(PODS, since="6", window=30, silence=5)])


@pytest.mark.parametrize(
    "content",
    ["", "{", "a: [", "just text", "clusters: 3", "apiVersion: v1\nkind: Config\ncurrent-context: gone\n", "\x00"],
)
async def test_a_kubeconfig_that_is_none_is_no_answer_either(tmp_path: Path, content: str) -> None:
    """It is read anew at the next request, so that a program goes on once it was mended."""
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    connection = Connection(kubeconfig=str(path))
    reader = ApiReader(HttpTransport(connection), namespace="cf")
    with pytest.raises(ApiUnreachableError, match="kubeconfig: "):
        await reader.list(PODS)
    await connection.close()


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


async def test_foundations_on_one_cluster_share_its_connection() -> None:
    connections = Connections()
    first = connections.connection(kubeconfig="a", context=None)

    assert connections.connection(kubeconfig="a", context=None) is first
    assert connections.connection(kubeconfig="a", context="b") is not first
    await connections.close()


async def test_a_connection_that_no_foundation_uses_any_more_is_closed(tmp_path: Path) -> None:
    """After a reload with another kubeconfig. What is on its way may end first."""
    connections = Connections()
    used, unused = (connections.connection(kubeconfig=name, context=None) for name in "ab")
    closed: list[Connection] = []
    for each in (used, unused):
        each.close = lambda each=each: noted(closed, each)  # type: ignore[method-assign, misc]
    connections.retain([("a", None)])

    assert connections.connection(kubeconfig="a", context=None) is used
    assert connections.connection(kubeconfig="b", context=None) is not unused, "a later reload opens a new one"
    assert closed == []
    await connections.close()
    assert set(closed) == {used, unused}


async def noted(closed: list[Connection], connection: Connection) -> None:
    closed.append(connection)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_authority_that_was_replaced_is_read_again(tmp_path: Path, method: str) -> None:
    """The cluster's CA was renewed, and the server has a certificate of the new one: nothing was sent to it so far."""
    old, new = (Authority(tmp_path, name) for name in ("old", "new"))
    api = Api(says(POD))
    async with api.secured(tmp_path, issued_by=new, trusting=tmp_path / "ca.pem") as writer:
        (tmp_path / "ca.pem").write_bytes(old.certificate.read_bytes())
        with pytest.raises(ApiUnreachableError, match="certificate verify failed"):
            await asked(writer, method)
        (tmp_path / "ca.pem").write_bytes(new.certificate.read_bytes())
        with pytest.raises(ApiUnreachableError, match="certificate verify failed"):
            await asked(writer, method)  # it was read again a moment ago
        writer_connection(writer)._renewed_at = None

        await asked(writer, method)

    assert [each.method for each in api.requests] == [method]


async def asked(writer: ApiWriter, method: str) -> None:
    if method == "GET":
        await writer.get(PODS, "diego-api-0")
    else:
        await writer.delete_pod("diego-api-0", uid="u")


def writer_connection(writer: ApiWriter) -> Connection:
    transport = writer._writing
    assert isinstance(transport, HttpWriteTransport)
    return transport._connection


async def test_many_watches_fit_on_one_connection(tmp_path: Path) -> None:
    """The library's pool holds 100; each watch takes one."""
    api = Api(streams(event("ADDED", **POD), then=0.5))
    async with api.reader(tmp_path) as reader:
        found = await asyncio.wait_for(asyncio.gather(*(watched(reader) for _ in range(150))), 20)

    assert found == [1] * 150
