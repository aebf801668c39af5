"""The web config at work: users, headers, rate limits, and files that change under it."""

import asyncio
import logging
import threading
from pathlib import Path

import bcrypt
import pytest

from exporter.config.errors import ConfigError
from exporter.serving.access import Access
from tests.support.sites import Seconds, basic, serving, users


async def test_without_a_file_everybody_may_come_in(tmp_path: Path) -> None:
    access = Access(None)
    assert access.ssl_context() is None
    assert not access.authenticates


def test_a_bad_file_is_refused_at_the_start(tmp_path: Path) -> None:
    """Before anything listens, with every problem."""
    (tmp_path / "web.yaml").write_text("basic_auth_users: {alice: a, bob: b}")
    with pytest.raises(ConfigError) as caught:
        Access(str(tmp_path / "web.yaml"))
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
        with caplog.at_level(logging.INFO, logger="exporter.serving.followed"):
            for _ in range(3):
                assert await site.status(headers=basic("alice", "swordfish")) == 200
                seconds.now += 5
            assert await site.status(headers=basic("alice", "marlin")) == 401
            (error,) = caplog.records
            assert "web.yaml:2: basic_auth_users.alice: must be a bcrypt hash" in vars(error)["problem"]
            site.file.write_text(users(alice="marlin"))
            seconds.now += 5
            assert await site.status(headers=basic("alice", "marlin")) == 200
        assert caplog.messages[-1] == "file reloaded"
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
