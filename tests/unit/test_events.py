"""Server-sent events: what changed and nothing else, to a bounded number of listeners, until it stops."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.journals import open_run
from tests.support.moments import NOON
from tests.support.sites import basic
from tests.support.statuses import Desk, seen
from webhook.http import events
from webhook.record.journal import Journal, Outcome, Pause, Run

ANN = basic("ann", "pw")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "web.yaml")


class Stream:
    """What a browser makes of a stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, str]:
        """The next event: its kind, and the id of the piece; a comment is an event of kind ``."""
        while True:
            kind = data = ""
            async with asyncio.timeout(10):
                while line := (await self.response.content.readline()).decode().rstrip("\n"):
                    name, _, value = line.partition(": ")
                    kind, data = (value, data) if name == "event" else (kind, value if name == "data" else data)
                    if not name:
                        return "", value
            if kind:
                return kind, json.loads(data).get("id", "")

    async def until(self, name: str) -> list[str]:
        """The pieces up to this one."""
        found: list[str] = []
        while not found or found[-1] != name:
            found.append((await self.next())[1])
        return found


@asynccontextmanager
async def stream(desk: Desk, path: str = "/events", headers: dict[str, str] = ANN) -> AsyncIterator[Stream]:
    async with desk.session.get(path, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def change(desk: Desk, *runs: Run, **fields: object) -> None:
    after = Journal(foundation="cf", runs=runs, **fields)  # type: ignore[arg-type]
    await desk.store.update(lambda _before: (after, None))


async def test_everything_comes_first_and_then_what_changes(desk: Desk) -> None:
    async with desk.open(), stream(desk) as listening:
        first = await listening.until("runs")
        assert first == ["overview", "state-cf", "timeline-cf", "evidence-cf", "runs"]
        await change(desk, paused=Pause(by="ann", at=NOON, reason="r"))
        assert await listening.until("state-cf") == ["overview", "state-cf"]
        desk.observer.view, desk.observer.version = seen(reachable=False), 2
        assert await listening.until("evidence-cf") == ["overview", "state-cf", "evidence-cf"]


async def test_what_only_grows_older_is_not_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comment is the proof that it looked: it comes after the clock has moved, and before the next piece."""
    monkeypatch.setattr(events, "KEEP_ALIVE", 1.0)
    async with desk.open(), stream(desk) as listening:
        await listening.until("runs")
        desk.clock.time += 7
        assert await listening.next() == ("", "nothing new")


async def test_a_run_has_a_stream_of_its_own(desk: Desk) -> None:
    async with desk.open(Journal(foundation="cf", runs=(open_run(),))), stream(desk, "/runs/cf-1/events") as listening:
        assert await listening.until("run-pods") == ["run-state", "run-steps", "run-pods"]
        await change(desk, open_run(outcome=Outcome.UNPROVEN, reason="exec-failed"))
        assert await listening.next() == ("piece", "run-state")
        async with desk.session.get("/runs/none/events", headers=ANN) as response:
            assert response.status == 404


async def test_other_pieces_ask_for_another_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk.open(), stream(desk) as listening:
        await listening.until("runs")
        monkeypatch.setattr(desk.board, "overview", lambda _viewer: {"overview": "<div id=overview></div>"})
        await change(desk, paused=Pause(by="ann", at=NOON, reason="r"))
        assert await listening.next() == ("reload", "")


async def test_strangers_hear_nothing(desk: Desk) -> None:
    async with desk.open():
        for headers, status in (({}, 401), (basic("ann", "wrong"), 401), (ANN, 200)):
            async with desk.session.get("/events", headers=headers) as response:
                assert response.status == status


async def test_listeners_are_bounded_and_one_that_goes_makes_room(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_LISTENERS", 1)
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.1)
    async with desk.open():
        async with stream(desk) as listening:
            await listening.until("runs")
            async with desk.session.get("/events", headers=ANN) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "30")
        async with asyncio.timeout(10):
            while True:
                async with desk.session.get("/events", headers=ANN) as response:
                    if response.status == 200:
                        break


async def test_it_ends_at_once_when_it_is_told_to_and_starts_no_more(desk: Desk) -> None:
    async with desk.open(), stream(desk) as listening:
        await listening.until("runs")
        desk.events.stop()
        async with asyncio.timeout(10):
            assert await listening.response.content.read() == b""
        async with desk.session.get("/events", headers=ANN) as response:
            assert response.status == 503


async def test_a_browser_must_show_who_it_is_again_after_a_while(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST", 0.5)
    async with desk.open(), stream(desk) as listening:
        await listening.until("runs")
        async with asyncio.timeout(10):
            assert await listening.response.content.read() == b""


async def test_a_client_that_does_not_read_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SEND", 0.3)
    big = {"overview": "x" * 20_000_000}
    async with desk.open(), stream(desk) as listening:
        await listening.until("runs")
        monkeypatch.setattr(
            desk.board,
            "overview",
            lambda _viewer: big | dict.fromkeys(("state-cf", "timeline-cf", "evidence-cf", "runs"), ""),
        )
        await change(desk, paused=Pause(by="ann", at=NOON, reason="r"))
        async with asyncio.timeout(10):
            while desk.events.listeners:  # noqa: ASYNC110 - nobody tells when it has gone
                await asyncio.sleep(0.05)
