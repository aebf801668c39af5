"""The web config at work: a real server, real TLS, and files that change under it."""

import asyncio
import base64
import contextlib
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import bcrypt
import pytest
from aiohttp import web

from exporter.config.errors import ConfigError
from exporter.serving.access import WebAccess, is_open
from tests.support.certificates import Authority


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def users(**passwords: str) -> str:
    return "basic_auth_users:\n" + "".join(f"  {name}: {hashed(text)}\n" for name, text in passwords.items())


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP's basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Site:
    """A server behind a web config, and a client."""

    def __init__(self, folder: Path, url: str, session: aiohttp.ClientSession, access: WebAccess) -> None:
        self.file = folder / "web.yaml"
        self.url = url
        self.session = session
        self.access = access

    async def status(self, path: str = "/metrics", **kwargs: object) -> int:
        return (await self.get(path, **kwargs)).status

    async def get(self, path: str = "/metrics", **kwargs: object) -> aiohttp.ClientResponse:
        async with self.session.get(self.url + path, **kwargs) as response:  # type: ignore[arg-type]
            await response.read()
            return response


class Seconds:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    text: str,
    *,
    monotonic: Callable[[], float] = Seconds(),  # noqa: B008 - stands still unless a test brings its own
    exempt: Callable[[web.Request], bool] = is_open,
) -> AsyncIterator[Site]:
    (folder / "web.yaml").write_text(text)
    access = WebAccess(str(folder / "web.yaml"), monotonic=monotonic, exempt=exempt)

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello\n")

    app = web.Application(middlewares=[access.middleware])
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        app.router.add_get(path, hello)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        context = access.ssl_context()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield Site(folder, url, session, access)
    finally:
        await runner.cleanup()


def trusting(authority: Authority, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """A client's context: the authority it trusts, and its own certificate and key, if it has one."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.pem\n"


async def test_without_a_file_everybody_may_come_in(tmp_path: Path) -> None:
    access = WebAccess(None)
    assert access.ssl_context() is None
    assert not access.authenticates


def test_a_bad_file_is_refused_at_the_start(tmp_path: Path) -> None:
    """Before anything listens, with every problem."""
    (tmp_path / "web.yaml").write_text("basic_auth_users: {alice: a, bob: b}")
    with pytest.raises(ConfigError) as caught:
        WebAccess(str(tmp_path / "web.yaml"))
    assert len(caught.value.problems) == 2


async def test_users_are_let_in_by_their_password(tmp_path: Path) -> None:
    async with serving(tmp_path, users(alice="swordfish", bjørn="pæss:word")) as site:
        assert await site.status(headers=basic("alice", "swordfish")) == 200
        assert await site.status(headers=basic("bjørn", "pæss:word")) == 200
        assert site.access.authenticates


@pytest.mark.parametrize(
    "header",
    [
        None,
        basic("alice", "wrong")["Authorization"],
        basic("alice", "")["Authorization"],
        basic("mallory", "swordfish")["Authorization"],
        basic("", "")["Authorization"],
        "Basic",
        "Basic not-base64!",
        "Basic YWxpY2U=",  # no colon
        "Basic /////w==",  # no text
        "Bearer swordfish",
        "Digest username=alice",
    ],
)
async def test_everybody_else_is_challenged(header: str | None, tmp_path: Path) -> None:
    """Wrong, unknown, malformed or missing: 401 each time, never an error of ours."""
    async with serving(tmp_path, users(alice="swordfish")) as site:
        response = await site.get(headers={"Authorization": header} if header else {})
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic")
        assert await site.status("/-/healthy", headers={"Authorization": header} if header else {}) == 200


async def test_an_unknown_path_is_guarded_too(tmp_path: Path) -> None:
    """What exists and what doesn't is for those to know who may come in."""
    async with serving(tmp_path, users(alice="swordfish")) as site:
        assert await site.status("/nowhere") == 401
        assert await site.status("/nowhere", headers=basic("alice", "swordfish")) == 404


async def test_who_is_exempt_is_the_servers_to_say(tmp_path: Path) -> None:
    """So that another scheme, such as a bearer token, may stand beside the users."""
    token = {"Authorization": "Bearer token"}
    async with serving(
        tmp_path,
        users(alice="swordfish"),
        exempt=lambda request: request.headers.get("Authorization") == "Bearer token",
    ) as site:
        assert await site.status(headers=token) == 200
        assert await site.status("/-/healthy") == 401


async def test_a_password_is_hashed_once_and_off_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bcrypt is slow on purpose: a scraper's password is remembered, and the loop never waits for a hash."""
    threads: list[int] = []
    really = bcrypt.checkpw

    def checkpw(password: bytes, known: bytes) -> bool:
        threads.append(threading.get_ident())
        return really(password, known)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with serving(tmp_path, users(alice="swordfish")) as site:
        for _ in range(3):
            assert await site.status(headers=basic("alice", "swordfish")) == 200
        assert len(threads) == 1
        for _ in range(2):
            assert await site.status(headers=basic("alice", "wrong")) == 401
        assert len(threads) == 3  # only what fitted is remembered: guesses push nobody out
    assert threading.get_ident() not in threads


async def test_an_unknown_user_costs_as_much_as_a_known_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the time of an answer would tell which names exist."""
    costs: list[bytes] = []
    really = bcrypt.checkpw

    def checkpw(password: bytes, known: bytes) -> bool:
        costs.append(known[:7])
        return really(password, known)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with serving(tmp_path, users(alice="swordfish")) as site:
        assert await site.status(headers=basic("alice", "wrong")) == 401
        assert await site.status(headers=basic("mallory", "wrong")) == 401
    assert costs == [b"$2b$04$", b"$2b$04$"]


async def test_a_long_password_is_cut_as_bcrypt_cuts_it(tmp_path: Path) -> None:
    """Go's bcrypt reads 72 bytes, and so do the hashes that the toolkit's users have."""
    async with serving(tmp_path, users(alice="x" * 72)) as site:
        assert await site.status(headers=basic("alice", "x" * 100)) == 200
        assert await site.status(headers=basic("alice", "x" * 71)) == 401


async def test_a_flood_of_passwords_is_not_queued_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was let in before still comes in; beyond a bound the rest is told to come later."""
    release = threading.Event()
    really = bcrypt.checkpw

    def checkpw(password: bytes, known: bytes) -> bool:
        if password == b"guess":
            release.wait(10)
        return really(password, known)

    async with serving(tmp_path, users(alice="swordfish")) as site:
        assert await site.status(headers=basic("alice", "swordfish")) == 200
        monkeypatch.setattr(bcrypt, "checkpw", checkpw)
        guesses = [asyncio.create_task(site.status(headers=basic("alice", "guess"))) for _ in range(70)]
        try:
            done, _ = await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            assert {guess.result() for guess in done} == {503}
            assert await site.status(headers=basic("alice", "swordfish")) == 200
        finally:
            release.set()
            results = await asyncio.gather(*guesses)
    assert sorted(set(results)) == [401, 503]


async def test_a_changed_password_holds_from_the_next_request(tmp_path: Path) -> None:
    async with serving(tmp_path, users(alice="swordfish")) as site:
        assert await site.status(headers=basic("alice", "swordfish")) == 200
        site.file.write_text(users(alice="marlin", bob="tuna"))
        assert await site.status(headers=basic("alice", "swordfish")) == 401
        assert await site.status(headers=basic("alice", "marlin")) == 200
        assert await site.status(headers=basic("bob", "tuna")) == 200


async def test_whether_it_authenticates_follows_the_file(tmp_path: Path) -> None:
    """A server that relies on it must ask each time, and closes when the users are gone."""
    async with serving(tmp_path, users(alice="swordfish")) as site:
        before = site.access.authenticates
        site.file.write_text("")
        assert (before, site.access.authenticates) == (True, False)
        assert await site.status() == 200


async def test_a_broken_change_keeps_what_was_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once and not on every scrape, and the mended file is taken at the next look."""
    seconds = Seconds()
    async with serving(tmp_path, users(alice="swordfish"), monotonic=seconds) as site:
        site.file.write_text("basic_auth_users:\n  alice: marlin\n")
        with caplog.at_level(logging.INFO, logger="exporter.serving.access"):
            for _ in range(3):
                assert await site.status(headers=basic("alice", "swordfish")) == 200
                seconds.now += 5
            assert await site.status(headers=basic("alice", "marlin")) == 401
            errors = [record.getMessage() for record in caplog.records]
            assert len(errors) == 1
            assert "web.yaml:2: basic_auth_users.alice: must be a bcrypt hash" in errors[0]
            site.file.write_text(users(alice="marlin"))
            seconds.now += 5
            assert await site.status(headers=basic("alice", "marlin")) == 200
        assert "reloaded" in caplog.messages[-1]
        site.file.write_text(users(alice="tuna"))
        assert await site.status(headers=basic("alice", "tuna")) == 200


async def test_a_file_that_vanished_keeps_what_was_there(tmp_path: Path) -> None:
    """Losing the file must not open the door."""
    async with serving(tmp_path, users(alice="swordfish")) as site:
        site.file.unlink()
        assert await site.status() == 401
        assert await site.status(headers=basic("alice", "swordfish")) == 200


async def test_headers_are_on_every_answer(tmp_path: Path) -> None:
    text = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: ''\n"
    async with serving(tmp_path, text + users(alice="swordfish")) as site:
        alice = basic("alice", "swordfish")
        for response in (
            await site.get(headers=alice),
            await site.get(),
            await site.get("/nowhere", headers=alice),
            await site.get("/-/ready"),
        ):
            assert response.headers["X-Frame-Options"] == "deny"
            assert "X-XSS-Protection" not in response.headers


async def test_the_rate_limit_is_a_token_bucket(tmp_path: Path) -> None:
    """A burst, then one an interval; health is not counted, or a flood would get the pod killed."""
    seconds = Seconds()
    async with serving(tmp_path, "rate_limit: {interval: 1s, burst: 2}", monotonic=seconds) as site:
        assert [await site.status() for _ in range(3)] == [200, 200, 429]
        assert await site.status("/-/healthy") == 200
        seconds.now += 1
        assert [await site.status() for _ in range(2)] == [200, 429]
        seconds.now += 60
        assert [await site.status() for _ in range(3)] == [200, 200, 429]


async def test_without_a_rate_limit_nothing_is_counted(tmp_path: Path) -> None:
    async with serving(tmp_path, "rate_limit: {interval: 0, burst: 1}") as site:
        assert [await site.status() for _ in range(5)] == [200] * 5


async def test_tls_is_spoken_to_those_who_trust_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, TLS) as site:
        assert site.url.startswith("https:")
        assert await site.status(ssl=trusting(authority)) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await site.status(ssl=trusting(Authority(tmp_path, "stranger")))


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """Certificates live for hours where a machine renews them."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    old.issue("server")
    async with serving(tmp_path, TLS) as site:
        assert await site.status(ssl=trusting(old)) == 200
        new.issue("server")
        assert await site.status(ssl=trusting(new)) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await site.status(ssl=trusting(old))


async def test_half_a_renewal_keeps_the_old_certificate(tmp_path: Path) -> None:
    """Certificate and key are two files, and between the two writes they don't belong together."""
    seconds = Seconds()
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    served = certificate.read_bytes()
    async with serving(tmp_path, TLS, monotonic=seconds) as site:
        new_certificate, new_key = authority.issue("other")
        new_certificate.replace(certificate)
        assert await site.status(ssl=trusting(authority)) == 200
        assert certificate.read_bytes() != served
        assert await peer_certificate(site) == ssl.PEM_cert_to_DER_cert(served.decode())
        new_key.replace(key)
        seconds.now += 5
        assert await peer_certificate(site) == ssl.PEM_cert_to_DER_cert(certificate.read_text())


async def peer_certificate(site: Site) -> bytes | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    port = int(site.url.rpartition(":")[2])
    _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=context), 10)
    try:
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found
    finally:
        writer.close()
        await writer.wait_closed()


async def test_client_certificates_are_verified(tmp_path: Path) -> None:
    """One of ours comes in; none, and one of another authority, don't even get to speak HTTP."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    authority.issue("server")
    async with serving(tmp_path, MUTUAL) as site:
        assert site.access.authenticates
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority))
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority, *stranger.issue("mallory")))


async def test_an_authority_that_was_replaced_is_trusted_no_more(tmp_path: Path) -> None:
    """A live context only ever learns authorities; a new one forgets."""
    authority, old, new = Authority(tmp_path), Authority(tmp_path, "old"), Authority(tmp_path, "new")
    authority.issue("server")
    mine, theirs = old.issue("mine"), new.issue("theirs")
    async with serving(tmp_path, MUTUAL.replace("authority.pem", "old.pem")) as site:
        assert await site.status(ssl=trusting(authority, *mine)) == 200
        site.file.write_text(MUTUAL.replace("authority.pem", "new.pem"))
        assert await site.status(ssl=trusting(authority, *theirs)) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority, *mine))


async def test_a_policy_that_was_added_holds_for_new_connections(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, TLS) as site:
        assert await site.status(ssl=trusting(authority)) == 200
        site.file.write_text(MUTUAL)
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority))
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200


async def test_only_allowed_names_come_in(tmp_path: Path) -> None:
    """DNS names, addresses and URIs count alike."""
    authority = Authority(tmp_path)
    authority.issue("server")
    sans = MUTUAL + "  client_allowed_sans: [prometheus, 'spiffe://test/thanos']\n"
    async with serving(tmp_path, sans) as site:
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200
        assert await site.status(ssl=trusting(authority, *authority.issue("thanos"))) == 200
        assert await site.status(ssl=trusting(authority, *authority.issue("grafana"))) == 403


async def test_a_certificate_may_be_left_out_where_it_is_verified_if_given(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    authority.issue("server")
    optional = MUTUAL.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    async with serving(tmp_path, optional) as site:
        assert not site.access.authenticates
        assert await site.status(ssl=trusting(authority)) == 200
        assert await site.status(ssl=trusting(authority, *authority.issue("prometheus"))) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority, *stranger.issue("mallory")))


async def test_certificates_and_users_are_both_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, MUTUAL + users(alice="swordfish")) as site:
        client = trusting(authority, *authority.issue("prometheus"))
        assert await site.status(ssl=client) == 401
        assert await site.status(ssl=client, headers=basic("alice", "swordfish")) == 200
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=trusting(authority), headers=basic("alice", "swordfish"))


async def test_old_clients_are_refused_where_the_file_says_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    old = trusting(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(tmp_path, TLS) as site:
        assert await site.status(ssl=old) == 200
        site.file.write_text(TLS + "  min_version: TLS13\n")
        with pytest.raises(aiohttp.ClientError):
            await site.status(ssl=old)
        assert await site.status(ssl=trusting(authority)) == 200


async def test_tls_is_not_switched_off_in_mid_flight(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The socket speaks TLS already: the change waits for a restart, and the log says so."""
    authority = Authority(tmp_path)
    authority.issue("server")
    async with serving(tmp_path, TLS) as site:
        site.file.write_text(users(alice="swordfish"))
        assert await site.status(ssl=trusting(authority)) == 200
        assert "without a restart" in caplog.text
