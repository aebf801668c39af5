"""The status page: all foundations on `/`, one run on `/runs/ID`. Both only show; what acts is in `actions`."""

from aiohttp import web

from exporter.clock import Clock, utc_now
from exporter.serving.access import PERSON
from exporter.serving.html import respond
from webhook.http.board import Board
from webhook.http.pieces import Pieces, Viewer, run_pieces
from webhook.http.rendering import render, script
from webhook.status.timeline import DEFAULT_ZOOM, ZOOMS

NAME = "diego-webhook"


class Pages:
    """What a browser loads."""

    def __init__(self, *, board: Board, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self.all = (web.get("/runs/{id}", self.run),)

    def overview(self, request: web.Request) -> web.Response:
        """All foundations."""
        viewer = viewer_of(request)
        pieces = self._board.overview(viewer)
        events = f"events?zoom={viewer.zoom.key}"
        return self._page("index.html", pieces, request, events=events, names=self._board.names(), zooms=ZOOMS)

    async def run(self, request: web.Request) -> web.Response:
        """One run."""
        found = self._board.find(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="There is no such run on record.\n")
        known, run = found
        pieces = run_pieces(known, run, viewer_of(request))
        return self._page("run.html", pieces, request, events=f"{run.id}/events", run=run, root="../")

    def _page(
        self, template: str, pieces: Pieces, request: web.Request, *, events: str, root: str = "", **values: object
    ) -> web.Response:
        shown = {
            "pieces": pieces,
            "events": events,
            "root": root,
            "now": utc_now(self._clock),
            "person": request.get(PERSON),
            "zoom": viewer_of(request).zoom,
            **values,
        }
        return respond(render(template, **shown), script=script())


def viewer_of(request: web.Request) -> Viewer:
    zoom = ZOOMS.get(request.query.get("zoom", ""), ZOOMS[DEFAULT_ZOOM])
    return Viewer(may_act=bool(request.get(PERSON)), zoom=zoom)
