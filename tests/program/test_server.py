"""What every program serves."""

import asyncio
import io
import socket

import aiohttp
import pytest
from aiohttp import web

from exporter.serving.address import Address, names_loopback, parse_address
from exporter.serving.server import Server
from tests.support.daemons import ANYWHERE, FakeDaemon, fake_application, served


async def test_metrics() -> None:
    headers = {"Accept-Encoding": "identity"}
    async with served(FakeDaemon()) as session, session.get("/metrics", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "temperature 0.0\n" in await response.text()


async def test_the_headers_of_a_scrape_are_heard() -> None:
    headers = {"Accept": 'application/openmetrics-text; version="1.0.0"', "Accept-Encoding": "gzip"}
    async with served(FakeDaemon()) as session, session.get("/metrics", headers=headers) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert response.headers["Content-Encoding"] == "gzip"
        assert (await response.read())[:2] == b"\x1f\x8b"


async def test_no_accept_header_is_answered_with_an_error() -> None:
    async with served(FakeDaemon()) as session:
        for accept in ('application/openmetrics-text; version="2.0.0"', "application/openmetrics-text;version=x", ";"):
            async with session.get("/metrics", headers={"Accept": accept}) as response:
                assert (response.status, response.content_type) == (200, "text/plain")


async def test_health_and_readiness() -> None:
    daemon = FakeDaemon()
    async with served(daemon) as session:
        async with session.get("/-/healthy") as response:
            assert (response.status, await response.text()) == (200, "diego-test is healthy.\n")
        async with session.get("/-/ready") as response:
            assert (response.status, await response.text()) == (200, "diego-test is ready.\n")
        daemon.waits_for = "the first look is under way"
        async with session.get("/-/ready") as response:
            assert response.status == 503
            assert "the first look is under way" in await response.text()
        async with session.get("/-/healthy") as response:
            assert response.status == 200
        daemon.sick = "the medic of cf keeps crashing"
        async with session.get("/-/healthy") as response:
            assert (response.status, await response.text()) == (
                503,
                "diego-test is not healthy: the medic of cf keeps crashing\n",
            )


async def test_reload_is_a_post() -> None:
    daemon = FakeDaemon()
    async with served(daemon) as session:
        async with session.get("/-/reload") as response:
            assert (response.status, response.headers["Allow"], daemon.reloads) == (405, "POST", 0)
        async with session.post("/-/reload") as response:
            assert (response.status, daemon.reloads) == (200, 1)
        daemon.problems = "diego.yaml:3: foundations[0].nam: no such key"
        async with session.post("/-/reload") as response:
            assert response.status == 500
            assert daemon.problems in await response.text()


async def test_the_page_and_nothing_else() -> None:
    async with served(FakeDaemon()) as session:
        async with session.get("/") as response:
            assert (response.status, response.content_type) == (200, "text/html")
        for path in ("/nothing", "/metrics/", "/-/", "/-/quit", "/../etc/passwd"):
            async with session.get(path) as response:
                assert response.status == 404, path


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
async def test_head(path: str) -> None:
    async with served(FakeDaemon()) as session, session.head(path) as response:
        assert (response.status, await response.read()) == (200, b"")
        assert int(response.headers["Content-Length"]) > 0


async def test_a_program_has_routes_and_middlewares_of_its_own() -> None:
    @web.middleware
    async def stamp(request: web.Request, handler: object) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)  # type: ignore[operator]
        response.headers["X-Stamp"] = "seen"
        return response

    async def alerts(request: web.Request) -> web.Response:
        return web.Response(status=202, text=str(len(await request.read())))

    async with served(FakeDaemon(routes=[web.post("/alerts", alerts)], middlewares=[stamp])) as session:
        async with session.post("/alerts", data=io.BytesIO(b"x" * 1024 * 1024)) as response:
            assert (response.status, response.headers["X-Stamp"]) == (202, "seen")
        async with session.post("/alerts", data=io.BytesIO(b"x" * (1024 * 1024 + 1))) as response:
            assert response.status == 413


async def test_a_request_under_way_is_answered_before_the_end() -> None:
    begun = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        begun.set()
        await asyncio.sleep(0.2)
        return web.Response(text="done")

    server = await Server.start(fake_application(FakeDaemon(routes=[web.get("/slow", slow)])), ANYWHERE)
    url = f"http://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession() as session:

        async def ask() -> str:
            async with session.get(f"{url}/slow") as response:
                return await response.text()

        asked = asyncio.create_task(ask())
        await begun.wait()
        await server.close()
        assert await asked == "done"
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)
    await server.close()  # once more does no harm


async def test_an_address_in_use_is_an_error_and_leaves_nothing_behind() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await Server.start(fake_application(FakeDaemon()), Address("127.0.0.1", taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":10889", (None, 10889)),
        ("127.0.0.1:10889", ("127.0.0.1", 10889)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:10889", ("::1", 10889)),
        ("[::]:10889", ("::", 10889)),
    ],
)
def test_an_address(text: str, expected: tuple[str | None, int]) -> None:
    assert parse_address(text) == expected
    assert str(parse_address(text)) == text


@pytest.mark.parametrize("text", ["", "10889", "host", "host:", "::1:10889", ":x", ":70000", ":-1", ":\u0661"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not '"):
        parse_address(text)


def test_loopback() -> None:
    near = ("127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1")
    far = (
        ":1",
        "[::]:1",
        "0.0.0.0:1",
        "10.0.0.1:1",
        "127.evil.example:1",
        "127.0.0.1.example:1",
        "localhost.example:1",
    )

    assert [text for text in (*near, *far) if parse_address(text).is_loopback] == list(near)


@pytest.mark.parametrize(
    "header", ["localhost", "LocalHost:80", "127.0.0.1:10890", "127.9.9.9", "[::1]", "[::1]:10890"]
)
def test_hosts_that_name_loopback(header: str) -> None:
    assert names_loopback(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ":80",
        "evil.example",
        "127.evil.example",
        "localhost.evil.example:80",
        "10.0.0.1",
        "[::2]",
        "[::1]evil",
        "[::1",
    ],
)
def test_hosts_that_do_not(header: str) -> None:
    assert not names_loopback(header)
