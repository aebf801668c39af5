"""Server-sent events: a page that is open gets the pieces that changed, and asks for nothing itself."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from webhook.http.board import Board
from webhook.http.pages import viewer_of
from webhook.http.pieces import Pieces, Viewer, run_pieces
from webhook.http.rendering import without_ages

MAX_LISTENERS = 32
LOOK = 0.25
"""Seconds between two looks whether something has happened: what happens within is sent together."""
KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment is sent: so that proxies keep the connection, and we see it die."""
LONGEST = 600.0
"""Seconds after which the browser must connect, and show who it is, again."""
SEND = 5.0
"""Seconds that a client has to take an event."""

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


class Events:
    """`GET /events` and `GET /runs/ID/events`."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.listeners = 0
        self._stopped = asyncio.Event()
        self.all = (web.get("/events", self.overview), web.get("/runs/{id}/events", self.run))

    def stop(self) -> None:
        """End all streams, and start no more."""
        self._stopped.set()

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The pieces of `/`."""
        viewer = viewer_of(request)
        return await self._stream(request, lambda: self._board.overview(viewer))

    async def run(self, request: web.Request) -> web.StreamResponse:
        """The pieces of `/runs/ID`."""
        viewer, run_id = viewer_of(request), request.match_info["id"]
        if self._board.find(run_id) is None:
            raise web.HTTPNotFound(text="There is no such run on record.\n")
        return await self._stream(request, lambda: self._of_run(run_id, viewer))

    def _of_run(self, run_id: str, viewer: Viewer) -> Pieces | None:
        found = self._board.find(run_id)
        return None if found is None else run_pieces(*found, viewer)

    async def _stream(self, request: web.Request, pieces: Callable[[], Pieces | None]) -> web.StreamResponse:
        if self._stopped.is_set() or self.listeners >= MAX_LISTENERS:
            raise web.HTTPServiceUnavailable(text="Too many pages listen.\n", headers={"Retry-After": "30"})
        self.listeners += 1
        response = web.StreamResponse(headers=_HEADERS)
        response.force_close()
        try:
            await response.prepare(request)
            with suppress(ConnectionError, TimeoutError):
                await self._send_changes(response, pieces)
        finally:
            self.listeners -= 1
        return response

    async def _send_changes(self, response: web.StreamResponse, pieces: Callable[[], Pieces | None]) -> None:
        """Everything first: what the page has shown may be older than the connection."""
        clock = asyncio.get_running_loop().time
        began = spoke = clock()
        await _send(response, "retry: 2000\n\n")
        sent: Pieces = {}
        seen: object = None
        while not self._stopped.is_set() and clock() - began < LONGEST:
            key = self._board.key()
            if key != seen:
                seen = key
                new = pieces()
                if new is not None:  # a journal that is not readable for a while takes no page away
                    text = _difference(sent, new)
                    sent = {name: without_ages(html) for name, html in new.items()}
                    if text:
                        await _send(response, text)
                        spoke = clock()
            if clock() - spoke >= KEEP_ALIVE:
                await _send(response, ": nothing new\n\n")
                spoke = clock()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._stopped.wait()


async def _send(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(SEND):
        await response.write(text.encode())


def _difference(sent: Pieces, new: Pieces) -> str:
    """The events for what changed. Other pieces than before: the page must be loaded again."""
    if sent and sent.keys() != new.keys():
        return "event: reload\ndata: {}\n\n"
    changed = [(name, html) for name, html in new.items() if sent.get(name) != without_ages(html)]
    return "".join(f"event: piece\ndata: {json.dumps({'id': name, 'html': html})}\n\n" for name, html in changed)
