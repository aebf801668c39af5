"""What a kubeconfig or a pod says about logging in is what the API server gets to see."""

import asyncio
import base64
import json
import os
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from exporter.kubernetes import account
from exporter.kubernetes.api import PODS, ApiUnreachableError
from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.connection import Connection
from exporter.kubernetes.transport import HttpTransport
from tests.support.apis import Api, says
from tests.support.certificates import Authority
from tests.support.programs import until


class Server:
    """An API server with TLS that wants a client's certificate if it is told to; it keeps whom it saw."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.names: list[str | None] = []
        self.port = 0

    @asynccontextmanager
    async def serving(self, *, verify: ssl.VerifyMode = ssl.CERT_NONE) -> AsyncIterator[None]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.issue("kubernetes.default.svc"))
        context.load_verify_locations(self.authority.certificate)
        context.verify_mode = verify
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        certificate = request.get_extra_info("peercert")
        self.names.append(dict(certificate["subjectAltName"])["DNS"] if certificate else None)
        return web.json_response({"items": []})

    async def asked(
        self, cluster: Mapping[str, Any], *, host: str = "127.0.0.1", user: Mapping[str, str] | None = None
    ) -> str | None:
        """Lists pods with a kubeconfig like this; the name on the client's certificate."""
        path = self.folder / "kubeconfig"
        names = {"cluster": "a", "user": "a"}
        content = {
            "clusters": [{"name": "a", "cluster": {"server": f"https://{host}:{self.port}/", **cluster}}],
            "users": [{"name": "a", "user": dict(user or {})}],
            "contexts": [{"name": "a", "context": names}],
            "current-context": "a",
        }
        path.write_text(yaml.safe_dump(content))
        connection = Connection(kubeconfig=str(path))
        try:
            await ApiReader(HttpTransport(connection), namespace="cf").list(PODS)
        finally:
            await connection.close()
        return self.names[-1]


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


async def test_the_authority_of_the_kubeconfig_is_believed_and_no_other(server: Server, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other").certificate
    async with server.serving():
        await server.asked({"certificate-authority": str(server.authority.certificate)})
        data = base64.b64encode(server.authority.certificate.read_bytes()).decode()
        await server.asked({"certificate-authority-data": data})
        for wrong in ({"certificate-authority": str(other)}, {}):
            with pytest.raises(ApiUnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
                await server.asked(wrong)


async def test_the_name_of_the_server_is_checked_unless_the_kubeconfig_says_otherwise(server: Server) -> None:
    authority = {"certificate-authority": str(server.authority.certificate)}
    async with server.serving():
        with pytest.raises(ApiUnreachableError, match="Hostname mismatch"):
            await server.asked(authority, host="localhost")
        await server.asked(authority | {"tls-server-name": "kubernetes.default.svc"}, host="localhost")
        await server.asked({"insecure-skip-tls-verify": True}, host="localhost")


async def test_the_certificate_of_the_kubeconfig_is_shown(server: Server) -> None:
    certificate, key = server.authority.issue("operator")
    authority = {"certificate-authority": str(server.authority.certificate)}
    async with server.serving(verify=ssl.CERT_REQUIRED):
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        assert await server.asked(authority, user=user) == "operator"
        with pytest.raises(ApiUnreachableError):
            await server.asked(authority)


async def test_a_key_that_does_not_fit_is_a_kubeconfig_that_is_wrong(server: Server) -> None:
    certificate, _ = server.authority.issue("operator")
    _, key = server.authority.issue("another")
    with pytest.raises(ApiUnreachableError, match=r"kubeconfig: .*KEY_VALUES_MISMATCH"):
        await server.asked({}, user={"client-certificate": str(certificate), "client-key": str(key)})


async def test_a_login_plugin_is_run_for_its_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    version = "client.authentication.k8s.io/v1"
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": "from the plugin"}}
    plugin.write_text(f"#!{sys.executable}\nprint({json.dumps(credential)!r})\n")
    plugin.chmod(stat.S_IRWXU)
    api = Api(says({"items": []}))
    async with api.reader(tmp_path, exec={"command": str(plugin), "apiVersion": version}) as reader:
        await reader.list(PODS)
        plugin.write_text("#!/bin/false\n")
        await reader.list(PODS)  # it is run once, until its token is refused

    assert [request.headers["Authorization"] for request in api.requests] == ["Bearer from the plugin"] * 2


async def test_a_login_plugin_that_hangs_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho $$ >{started}.part\nmv {started}.part {started}\nexec sleep 1000\n")
    plugin.chmod(stat.S_IRWXU)

    async def read() -> str:
        return started.read_text() if started.exists() else ""

    api = Api(says({"items": []}))
    user = {"command": str(plugin), "apiVersion": "client.authentication.k8s.io/v1"}
    async with api.reader(tmp_path, exec=user) as reader:
        asking = asyncio.create_task(reader.list(PODS))
        pid = int(await until(read, what="the plugin"))
        os.kill(pid, 0)
        asking.cancel()
        await asyncio.wait([asking])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no session >&2; exit 3", "exit status 3: no session"),
        ("echo hello", "no ExecCredential"),
        ("echo [1]", "no ExecCredential"),
        ("""echo '{"apiVersion": "client.authentication.k8s.io/v1"}'""", "no ExecCredential: KeyError"),
        ("""echo '{"apiVersion": "other/v1", "status": {}}'""", "apiVersion other/v1, not client"),
    ],
)
async def test_a_login_plugin_that_gives_no_credential_is_named_with_what_it_said(
    tmp_path: Path, script: str, said: str
) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(stat.S_IRWXU)
    api = Api(says({"items": []}))
    user = {"command": str(plugin), "apiVersion": "client.authentication.k8s.io/v1"}
    async with api.reader(tmp_path, exec=user) as reader:
        with pytest.raises(ApiUnreachableError, match=f"login plugin {plugin}: .*{said}"):
            await reader.list(PODS)


async def test_a_user_and_password_are_sent_and_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    for user, sent in (({"username": "u", "password": "p"}, "Basic dTpw"), ({}, None)):
        api = Api(says({"items": []}))
        async with api.reader(tmp_path, **user) as reader:
            await reader.list(PODS)
        assert api.requests[0].headers.get("Authorization") == sent


async def test_a_pod_uses_its_service_account(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token may end with a newline, which no header may have."""
    from kubernetes_asyncio.config import incluster_config

    token = tmp_path / "token"
    token.write_text("of the pod\n")
    monkeypatch.setattr(account, "IN_CLUSTER_TOKEN", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(server.authority.certificate))
    async with server.serving():
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        connection = Connection()
        await ApiReader(HttpTransport(connection), namespace="cf").list(PODS)
        login = await connection.login()
        await connection.close()

    assert login.headers["Authorization"] == "Bearer of the pod"
