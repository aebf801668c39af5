"""The webhook's HTTP: what it answers, whom it lets in, and where it listens."""

import asyncio
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import bcrypt
import pytest
import yaml

from sandbox.sandbox import Sandbox
from tests.support.certificates import Authority
from tests.support.incidents import alert, boxed, config, notification
from tests.support.programs import Webhook, command, running, serving

TOKEN = "a-token-of-some-length"
BEARER = f"Bearer {TOKEN}"
JSON = "application/json"
BODY = json.dumps(notification(alert(foundation="elsewhere"))).encode()


def with_token(box: Sandbox, token: str = TOKEN) -> Path:
    """A config with a bearer token."""
    file = box.directory / "token"
    file.write_text(f"{token}\n")
    return box.write_config(config(box, webhook={"bearer_token_file": str(file)}), name="with-token.yaml")


@asynccontextmanager
async def guarded(*flags: str, address: str = "127.0.0.1:0") -> AsyncIterator[Webhook]:
    """A webhook that wants the token; it is not sent by itself."""
    async with boxed() as box, serving(with_token(box), *flags, address=address) as webhook:
        yield webhook


async def post(webhook: Webhook, body: bytes = BODY, *, authorization: str = BEARER, kind: str = JSON) -> int:
    """The status of a notification, sent with the token unless it says otherwise."""
    headers = {"Content-Type": kind, "Authorization": authorization}
    status, answered, _ = await webhook.request("POST", "/alerts", body=body, headers=headers)
    assert "Location" not in answered
    return status


async def test_what_is_not_a_notification() -> None:
    version_3 = notification() | {"version": "3"}
    alert_of_no_status = notification() | {"alerts": [{"labels": {}}]}
    other = notification(alert()) | {"alerts": [alert() | {"status": "pending"}]}
    async with guarded() as webhook:
        assert await post(webhook) == 200
        for wrong in (b"", b"{", b"[]", b"null", b'"4"', b"\xff\xfe", b'{"version": "4"}', b"[" * 5000):
            assert await post(webhook, wrong) == 400, wrong
        for document in (version_3, alert_of_no_status, other):
            assert await post(webhook, json.dumps(document).encode()) == 400, document
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            assert await post(webhook, kind=kind) == 415, kind
        assert await post(webhook, kind="application/json; charset=utf-8") == 200
        assert await post(webhook, BODY + b" " * 1024 * 1024) == 413
        assert await post(webhook, BODY.ljust(1024 * 1024)) == 200
        for method in ("GET", "PUT", "DELETE", "HEAD"):
            status, headers, _ = await webhook.request(method, "/alerts", headers={"Authorization": BEARER})
            assert (status, headers["Allow"]) == (405, "POST")

        metrics = await webhook.metrics()
        counts = {code: metrics[f"diego_webhook_notifications_total{{code={code}}}"] for code in (200, 400, 405, 413)}
        assert counts == {200: 3, 400: 11, 405: 4, 413: 1}


async def test_unknown_keys_are_tolerated() -> None:
    """A later Alertmanager sends more; an older one sends no fingerprint."""
    later = notification(alert() | {"routeLabels": {"a": "b"}}) | {"somethingNew": [1, {"x": None}]}
    older = alert("DiegoNoActiveLeader")
    del older["fingerprint"]
    async with guarded() as webhook:
        for document in (later, notification(older)):
            assert await post(webhook, json.dumps(document).encode()) == 202


async def test_never_a_redirect() -> None:
    """A 302 would turn Alertmanager's POST into a GET, and take the token along."""
    paths = (
        "/alerts/",
        "//alerts",
        "/ALERTS",
        "/alerts//",
        "/./alerts",
        "/api/v1/runs/",
        "/-/reload/",
        "/%2Falerts",
        "",
    )
    async with guarded() as webhook:
        for path in paths:
            for method in ("POST", "GET"):
                status, headers, _ = await webhook.request(method, path, body=b"{}", headers={"Authorization": BEARER})
                assert not 300 <= status < 400, (method, path, status)
                assert "Location" not in headers


async def test_the_bearer_token() -> None:
    async with guarded() as webhook:
        wanted = (("POST", "/alerts"), ("POST", "/-/reload"), ("GET", "/api/v1/runs"), ("GET", "/api/v1/runs/x"))
        for method, path in (*wanted, ("GET", "/"), ("GET", "/nowhere"), ("GET", "/alerts")):
            for wrong in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"):
                headers = {"Content-Type": JSON} | ({"Authorization": wrong} if wrong else {})
                status, answered, _ = await webhook.request(method, path, body=BODY, headers=headers)
                assert status == 401, (method, path, wrong)
                assert answered["WWW-Authenticate"].startswith("Bearer")
        for path in ("/metrics", "/-/healthy", "/-/ready"):
            assert (await webhook.get(path))[0] == 200
        expected = {"/": 200, "/api/v1/runs": 200, "/api/v1/runs/x": 404, "/nowhere": 404}
        for path, code in expected.items():
            assert (await webhook.request("GET", path, headers={"Authorization": BEARER}))[0] == code, path
        assert (await webhook.request("POST", "/-/reload", headers={"Authorization": BEARER}))[0] == 200
        assert await post(webhook, authorization=f"bearer   {TOKEN} ") == 200


async def test_the_token_is_read_again_when_it_changes() -> None:
    async with boxed() as box, serving(with_token(box)) as webhook:
        assert await post(webhook) == 200
        file = box.directory / "token"
        file.write_text("another-token")
        assert await post(webhook) == 401
        assert await post(webhook, authorization="Bearer another-token") == 200
        for gone in (lambda: file.write_text(""), file.unlink):  # in the middle of a rotation the last one stands
            gone()
            assert await post(webhook, authorization="Bearer another-token") == 200
            assert await post(webhook, authorization="Bearer ") == 401
        file.write_text(TOKEN)
        assert await post(webhook) == 200


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


async def test_users_of_the_web_config() -> None:
    """They do instead of the token; `/metrics` wants them too, and the token is no use there."""
    async with boxed() as box:
        web = box.directory / "web.yml"
        web.write_text(yaml.safe_dump({"basic_auth_users": {"alertmanager": hashed("secret")}}))
        for path, bearer in ((box.write_config(config(box)), 401), (with_token(box), 200)):
            async with serving(path, "--web.config.file", str(web)) as webhook:
                assert await post(webhook, authorization=basic("alertmanager", "secret")) == 200
                assert await post(webhook, authorization=basic("alertmanager", "wrong")) == 401
                assert await post(webhook) == bearer
                assert (await webhook.get("/metrics"))[0] == 401
                for who, code in ((basic("alertmanager", "secret"), 200), (BEARER, 401)):
                    assert (await webhook.request("GET", "/metrics", headers={"Authorization": who}))[0] == code
                assert (await webhook.get("/-/healthy"))[0] == (await webhook.get("/-/ready"))[0] == 200


async def test_client_certificates_of_the_web_config(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    client = authority.issue("client")
    tls = {"cert_file": str(certificate), "key_file": str(key)}
    mutual = tls | {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.certificate)}
    web = tmp_path / "web.yml"
    web.write_text(yaml.safe_dump({"tls_server_config": mutual}))
    async with boxed() as box:
        webhook = Webhook(box.write_config(config(box)), "--web.config.file", str(web), address="0.0.0.0:0")
        webhook.tls = ssl.create_default_context(cafile=str(authority.certificate))
        webhook.tls.load_cert_chain(*client)
        async with running(webhook):
            assert await post(webhook) == 200
            strangers = ssl.create_default_context(cafile=str(authority.certificate))
            mine, webhook.tls = webhook.tls, strangers
            with pytest.raises(aiohttp.ClientError):
                await post(webhook)
            webhook.tls = mine


async def test_without_authentication_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    """Without authentication nobody may ask from another host; TLS alone authenticates nobody."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    web = tmp_path / "web.yml"
    web.write_text(yaml.safe_dump({"tls_server_config": {"cert_file": str(certificate), "key_file": str(key)}}))
    async with boxed() as box:
        plain = box.write_config(config(box))
        async with serving(plain, address=":0") as webhook:
            assert await post(webhook) == 200
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.2", webhook.port)
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:10890"):
            for flags in ([], ["--web.config.file", str(web)]):
                arguments = ["--config.file", str(plain), "--web.listen-address", address, *flags]
                ended = await command("webhook.main", *arguments)
                assert ended.code == 1
                (line,) = ended.errors.splitlines()
                assert line.startswith("diego-webhook: without webhook.bearer_token_file")
                assert address in line
        async with serving(with_token(box), address=f":{free_port()}") as webhook:
            _, writer = await asyncio.open_connection("127.0.0.2", webhook.port)
            writer.close()
            await writer.wait_closed()
            assert await post(webhook) == 200


async def test_a_token_that_can_not_be_read() -> None:
    async with boxed() as box:
        path = with_token(box, token="")
        empty = await command("webhook.main", "--config.file", str(path), "--web.listen-address", "127.0.0.1:0")
        (box.directory / "token").unlink()
        missing = await command("webhook.main", "--config.file", str(path), "--web.listen-address", "127.0.0.1:0")
        for ended, word in ((empty, "is empty"), (missing, "token")):
            assert ended.code == 1
            assert word in ended.errors
            assert "webhook.bearer_token_file" in ended.errors
            assert len(ended.errors.splitlines()) == 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
