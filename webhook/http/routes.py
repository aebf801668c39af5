"""The webhook's HTTP: Alertmanager's endpoint and the runs as JSON. Never a redirect."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.serving.deadlines import BODY_TIMEOUT, read_body
from webhook.medic.intake import Intake
from webhook.medic.medics import Medics
from webhook.metrics import HttpMetrics
from webhook.record.journal import Journal, Run
from webhook.record.public import public_run
from webhook.requests.notification import NotANotificationError, parse

log = logging.getLogger(__name__)

ALERTS = "/alerts"


class Routes:
    """`POST /alerts` and `GET /api/v1/runs`."""

    def __init__(
        self, *, intake: Intake, medics: Medics, metrics: HttpMetrics, body_timeout: float = BODY_TIMEOUT
    ) -> None:
        self._intake = intake
        self._medics = medics
        self._metrics = metrics
        self._body_timeout = body_timeout
        self.all = (
            web.post(ALERTS, self.alerts),
            web.get("/api/v1/runs", self.runs),
            web.get("/api/v1/runs/{id}", self.run),
        )

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count every answer to Alertmanager, whoever gives it: the outermost of the middlewares.

        A defect of ours is answered 503: Alertmanager sends the notification again, which it does for no other answer
        as surely.
        """
        if request.path != ALERTS:
            return await handler(request)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            self._count(error.status)
            raise
        except ConnectionError:
            raise  # nobody is there to be answered
        except Exception:
            log.exception("request failed", extra={"path": request.path})
            response = web.Response(status=503, text="The notification could not be handled.\n")
        self._count(response.status)
        return response

    async def alerts(self, request: web.Request) -> web.Response:
        """Takes a notification: 202 on record, 200 nothing to record, 503 could not be recorded."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="A notification is application/json.\n")
        try:
            notification = parse(await read_body(request, timeout=self._body_timeout))
        except NotANotificationError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        receipt = await self._intake.take(notification)
        return _json(receipt, status=receipt.status)

    def _count(self, status: int) -> None:
        self._metrics.notifications.labels(str(status)).inc()

    async def runs(self, request: web.Request) -> web.Response:
        """All runs on record, newest first; `?foundation=` takes those of one."""
        wanted = request.query.get("foundation")
        runs = [
            run for name, journal in self._medics.journals().items() if wanted in {None, name} for run in journal.runs
        ]
        runs.sort(key=lambda run: run.started, reverse=True)
        return _json({"runs": [public_run(run, evidence=False) for run in runs]})

    async def run(self, request: web.Request) -> web.Response:
        """One run, with its evidence."""
        found = find(self._medics.journals(), request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="There is no such run on record.\n")
        return _json(public_run(found))


def find(journals: Mapping[str, Journal], run_id: str) -> Run | None:
    return next((run for journal in journals.values() if (run := journal.find(run_id)) is not None), None)


def _json(value: object, *, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(value) + b"\n", status=status, content_type="application/json")
