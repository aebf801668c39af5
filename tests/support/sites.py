"""A real server behind a web config that changes, and a client."""

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import bcrypt
from aiohttp import web

from exporter.serving.access import PERSON, Access
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

    def __init__(self, folder: Path, url: str, session: aiohttp.ClientSession, access: Access) -> None:
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
    keep_alive: bool = False,
) -> AsyncIterator[Site]:
    (folder / "web.yaml").write_text(text)
    access = Access(str(folder / "web.yaml"), monotonic=monotonic)

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello\n")

    async def who(request: web.Request) -> web.Response:
        return web.Response(text=request.get(PERSON, ""))

    app = web.Application(middlewares=[access.middleware])
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        app.router.add_get(path, hello)
    app.router.add_get("/who", who)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        context = access.ssl_context()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(force_close=not keep_alive)
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
