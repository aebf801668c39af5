"""Writing over HTTP: each request is sent once, and what each answer to it means."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.kubernetes.api import PODS, ApiError, ApiUnreachableError, NotFoundError
from exporter.kubernetes.connection import Connection, Login
from exporter.kubernetes.objects import Metadata
from tests.support.apis import POD, Api, says
from webhook.writer import Deleted

STATUS: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no"}


async def cut_off(request: web.Request) -> web.StreamResponse:
    """Ends the connection without an answer, as a server that dies after the request took effect."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_pod_is_deleted_by_uid_alone_where_no_version_is_given(tmp_path: Path) -> None:
    api = Api(says(POD))
    async with api.writer(tmp_path, token="t") as writer:
        assert await writer.delete_pod("diego-api-0", uid="u") is Deleted.ACCEPTED

    (request,) = api.requests
    assert (request.method, request.path) == ("DELETE", "/api/v1/namespaces/cf/pods/diego-api-0")
    assert request.headers["Authorization"] == "Bearer t"
    assert json.loads(api.bodies[0])["preconditions"] == {"uid": "u"}
    assert api.counted == [("delete", "200")]


async def test_a_pod_is_deleted_by_uid_and_version(tmp_path: Path) -> None:
    api = Api(says(POD))
    async with api.writer(tmp_path) as writer:
        await writer.delete_pod("diego-api-0", uid="u", resource_version="7")

    assert json.loads(api.bodies[0])["preconditions"] == {"uid": "u", "resourceVersion": "7"}


@pytest.mark.parametrize(("status", "expected"), [(404, Deleted.GONE), (409, Deleted.CONFLICT)])
async def test_what_kubernetes_says_of_a_delete(tmp_path: Path, status: int, expected: Deleted) -> None:
    async with Api(says(STATUS | {"code": status}, status=status)).writer(tmp_path) as writer:
        assert await writer.delete_pod("diego-api-0", uid="u") is expected


async def test_a_proxy_that_says_200_to_a_delete_has_deleted_nothing(tmp_path: Path) -> None:
    """JSON that is neither the pod nor a Status; the control is the pod itself, in the tests above."""
    async with Api(says({"message": "signed in"})).writer(tmp_path) as writer:
        with pytest.raises(ApiUnreachableError, match="not one of Kubernetes"):
            await writer.delete_pod("diego-api-0", uid="u")


@pytest.mark.parametrize("status", [404, 409])
async def test_what_a_load_balancer_says_of_a_delete_is_no_answer(tmp_path: Path, status: int) -> None:
    async with Api(says("<html>no such site</html>", status=status)).writer(tmp_path) as writer:
        with pytest.raises(ApiUnreachableError, match=f"not an answer of Kubernetes: {status} <html>"):
            await writer.delete_pod("diego-api-0", uid="u")


async def test_a_delete_that_was_cut_off_is_not_sent_again(tmp_path: Path) -> None:
    api = Api(says(POD))
    async with api.writer(tmp_path) as writer:
        await writer.get(PODS, "diego-api-0")  # leaves a connection open, which the delete uses
        api.handler = cut_off
        with pytest.raises(ApiUnreachableError, match="Server disconnected"):
            await writer.delete_pod("diego-api-0", uid="u")
        with pytest.raises(ApiUnreachableError, match="Server disconnected"):
            await writer.update_config_map("journal", {}, read=Metadata(resource_version="1"))
        with pytest.raises(ApiUnreachableError, match="Server disconnected"):
            await writer.get(PODS, "diego-api-0")

    # The control: aiohttp sends a GET twice.
    assert [request.method for request in api.requests] == ["GET", "DELETE", "PUT", "GET", "GET"]


async def test_a_delete_that_is_redirected_is_not_sent_again(tmp_path: Path) -> None:
    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/elsewhere")

    api = Api(elsewhere)
    async with api.writer(tmp_path) as writer:
        with pytest.raises(ApiError, match="307"):
            await writer.delete_pod("diego-api-0", uid="u")

    assert len(api.requests) == 1


async def test_a_delete_that_is_unauthorized_is_not_sent_again(tmp_path: Path) -> None:
    api = Api(says(STATUS | {"code": 401}, status=401))
    async with api.writer(tmp_path) as writer:
        with pytest.raises(ApiError, match="401"):
            await writer.delete_pod("diego-api-0", uid="u")
        assert len(api.requests) == 1

        with pytest.raises(ApiError, match="401"):
            await writer.update_config_map("journal", {}, read=Metadata(resource_version="1"))
        assert len(api.requests) == 3, "the control: another write is sent again, with credentials that were read again"


async def test_the_deadline_of_a_delete_covers_its_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent once it is over, however late the token comes."""

    async def never(_connection: Connection) -> Login:
        await asyncio.Event().wait()
        raise AssertionError

    api = Api(says(POD))
    async with api.writer(tmp_path) as writer:
        monkeypatch.setattr(Connection, "login", never)
        with pytest.raises(ApiUnreachableError, match="timed out"):
            await writer.delete_pod("diego-api-0", uid="u", timeout=0.05)
        monkeypatch.undo()
        assert await writer.delete_pod("diego-api-0", uid="u") is Deleted.ACCEPTED

    assert len(api.requests) == 1
    assert api.counted == [("delete", "timeout"), ("delete", "200")]


async def test_whether_something_is_allowed_is_asked(tmp_path: Path) -> None:
    api = Api(says({"status": {"allowed": True}}))
    async with api.writer(tmp_path) as writer:
        assert await writer.allowed("delete", "", "pods", name="diego-api-0")
        api.handler = says({"status": {}})
        assert not await writer.allowed("delete", "", "pods")

    assert json.loads(api.bodies[0])["spec"]["resourceAttributes"] == {
        "namespace": "cf",
        "verb": "delete",
        "group": "",
        "resource": "pods",
        "name": "diego-api-0",
    }


async def test_an_exec_that_is_refused(tmp_path: Path) -> None:
    async with Api(says(STATUS, status=404)).writer(tmp_path) as writer:
        with pytest.raises(NotFoundError, match="404"):
            await writer.exec("api-0", "api", ["true"], timeout=5)
    async with Api(says(STATUS, status=403)).writer(tmp_path) as writer:
        with pytest.raises(ApiError, match="403 Forbidden"):
            await writer.exec("api-0", "api", ["true"], timeout=5)


async def test_an_exec_that_hangs_ends_at_its_deadline(tmp_path: Path) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        await socket.send_bytes(b"\2half a")
        await asyncio.sleep(15)
        return socket

    async with Api(hang).writer(tmp_path) as writer:
        result = await writer.exec("api-0", "api", ["true"], timeout=1.0)

    assert (result.exit_code, result.stderr, result.error) == (None, "half a", "no answer within 1 s")
