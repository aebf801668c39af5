"""Where callers must be told apart: by the token, by the web config, or by being on this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from exporter.serving.access import PERSON, Access, UnprotectedError
from exporter.serving.address import Address, parse_address
from tests.support.daemons import FakeDaemon, served
from tests.support.sites import Seconds, basic, users

PUBLIC = parse_address("0.0.0.0:10890")
LOOPBACK = parse_address("127.0.0.1:10890")


class FixedToken:
    """A token that does not change, and that counts how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def matches(self, header: str | None) -> bool:
        self.asked += 1
        return header == "Bearer token"


@asynccontextmanager
async def site(access: Access, *, listens: Address = LOOPBACK) -> AsyncIterator[aiohttp.ClientSession]:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    access.listen(listens)
    daemon = FakeDaemon(routes=[web.post("/alerts", hello)], middlewares=[access.middleware])
    async with served(daemon) as session:
        yield session


async def status(session: aiohttp.ClientSession, path: str = "/alerts", **headers: str) -> int:
    method = "POST" if path == "/alerts" else "GET"
    async with session.request(method, path, headers=headers) as response:
        return response.status


async def test_the_token_lets_in_and_is_asked_for_once_a_request() -> None:
    token = FixedToken()
    async with site(Access(None, identify=True, token=token), listens=PUBLIC) as session:
        assert await status(session, Authorization="Bearer token") == 200
        assert token.asked == 1
        assert await status(session, Authorization="Bearer other") == 401
        assert token.asked == 2
        for path in ("/metrics", "/-/healthy", "/-/ready"):
            assert await status(session, path) == 200
        assert token.asked == 2


async def test_the_token_and_the_users_stand_side_by_side_and_metrics_wants_users(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(users(alice="swordfish"))
    access = Access(str(tmp_path / "web.yaml"), identify=True, token=FixedToken(), monotonic=Seconds())
    alice = basic("alice", "swordfish")
    async with site(access, listens=PUBLIC) as session:
        assert await status(session, **alice) == 200
        assert await status(session, Authorization="Bearer token") == 200
        assert await status(session, "/metrics", Authorization="Bearer token") == 401
        assert await status(session, "/metrics", **alice) == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:10890", "127.0.0.1:1", "127.1.2.3", "[::1]:10890"])
async def test_without_a_token_this_machine_is_served_by_its_own_name(host: str) -> None:
    async with site(Access(None, identify=True)) as session:
        assert await status(session, Host=host) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.evil.example:10890", "10.0.0.1", "localhost.evil.example", ""])
async def test_without_a_token_no_other_name_is_served(host: str) -> None:
    """A page in a browser on this machine, with its name rebound to loopback, sends its own name."""
    async with site(Access(None, identify=True)) as session:
        assert await status(session, Host=host) == 403
        assert await status(session, "/-/healthy", Host=host) == 200


async def test_with_a_token_any_name_is_served() -> None:
    """The control: a page elsewhere does not know the token."""
    async with site(Access(None, identify=True, token=FixedToken())) as session:
        assert await status(session, Host="webhook.example", Authorization="Bearer token") == 200


async def test_an_exporter_asks_nobody() -> None:
    async with site(Access(None), listens=PUBLIC) as session:
        assert await status(session, Host="exporter.example") == 200


def test_without_anything_that_tells_callers_apart_it_listens_on_loopback() -> None:
    assert Access(None, identify=True).listen(parse_address(":0")) == ("127.0.0.1", 0)
    assert Access(None, identify=True, token=FixedToken()).listen(parse_address(":0")) == (None, 0)
    for address in ("0.0.0.0:0", "[::]:0", "127.evil.example:0"):
        with pytest.raises(UnprotectedError, match="bearer_token_file"):
            Access(None, identify=True).listen(parse_address(address))


def test_the_token_cannot_be_taken_away_on_a_public_address() -> None:
    token = FixedToken()
    access = Access(None, identify=True, token=token)
    access.listen(PUBLIC)
    with pytest.raises(UnprotectedError, match=r"not on 0\.0\.0\.0:10890"):
        access.replace_token(None)
    access.replace_token(FixedToken())


def test_the_token_may_be_taken_away_on_loopback_or_where_there_are_users(tmp_path: Path) -> None:
    """The control."""
    (tmp_path / "web.yaml").write_text(users(alice="swordfish"))
    for file, listens in ((None, LOOPBACK), (str(tmp_path / "web.yaml"), PUBLIC)):
        access = Access(file, identify=True, token=FixedToken())
        access.listen(listens)
        access.replace_token(None)


async def test_after_a_refused_reload_the_token_still_counts() -> None:
    access = Access(None, identify=True, token=FixedToken())
    async with site(access, listens=PUBLIC) as session:
        with pytest.raises(UnprotectedError):
            access.replace_token(None)
        assert await status(session, Authorization="Bearer token") == 200


async def test_users_cannot_be_taken_away_where_nothing_else_protects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(users(alice="swordfish"))
    access = Access(str(file), identify=True)
    async with site(access, listens=PUBLIC) as session:
        file.write_text("")
        assert await status(session, **basic("alice", "swordfish")) == 200
        assert await status(session) == 401
    assert "it listens on loopback only" in vars(caplog.records[-1])["problem"]


async def test_who_asks_is_known_by_the_user_and_not_by_the_token(tmp_path: Path) -> None:
    async def who(request: web.Request) -> web.Response:
        return web.json_response(request.get(PERSON))

    (tmp_path / "web.yaml").write_text(users(alice="swordfish"))
    access = Access(str(tmp_path / "web.yaml"), identify=True, token=FixedToken(), monotonic=Seconds())
    access.listen(PUBLIC)
    daemon = FakeDaemon(routes=[web.get("/who", who)], middlewares=[access.middleware])
    async with served(daemon) as session:
        for headers, person in ((basic("alice", "swordfish"), "alice"), ({"Authorization": "Bearer token"}, None)):
            async with session.get("/who", headers=headers) as response:
                assert (response.status, await response.json()) == (200, person)


async def test_nobody_is_known_where_everybody_of_this_machine_may_ask() -> None:
    async def who(request: web.Request) -> web.Response:
        return web.json_response(request.get(PERSON))

    access = Access(None, identify=True)
    access.listen(LOOPBACK)
    daemon = FakeDaemon(routes=[web.get("/who", who)], middlewares=[access.middleware])
    async with served(daemon) as session, session.get("/who") as response:
        assert (response.status, await response.json()) == (200, None)


def test_replicas_with_the_same_users_share_a_secret_and_others_do_not(tmp_path: Path) -> None:
    text = users(alice="swordfish")
    files = [tmp_path / name for name in ("one.yaml", "two.yaml", "other.yaml")]
    for file, config in zip(files, (text, text, users(alice="swordfish")), strict=True):
        file.write_text(config)
    one, two, other = (Access(str(file), identify=True).secret() for file in files)
    assert one == two
    assert one != other  # the same password, with another salt
