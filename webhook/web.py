"""The webhook's HTTP: Alertmanager's door, the runs as JSON, and who may come in. Never a redirect."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.server import Address
from exporter.web_access import WebAccess, is_open
from webhook.bearer import BearerToken
from webhook.intake import Intake
from webhook.journal import Journal, Run
from webhook.medics import Medics
from webhook.metrics import HttpMetrics
from webhook.notification import NotANotificationError, parse

log = logging.getLogger(__name__)

ALERTS = "/alerts"


class Doors:
    """Who may come in. `/alerts`, `/-/reload`, `/api/v1/*` and `/` want the bearer token, or what the web config asks.

    `/metrics` follows the web config alone. Without a token and without users or verified client certificates nobody
    can be told apart, and the program listens on loopback only.
    """

    def __init__(self, *, web_config_file: str | None, bearer_token_file: str | None) -> None:
        """Raises ConfigError where a file can't be used."""
        self._bearer = BearerToken(bearer_token_file) if bearer_token_file else None
        self._loopback = False
        self.access = WebAccess(web_config_file, exempt=self._exempt)

    def listen(self, asked: Address) -> Address:
        """Where to listen. Raises ValueError for an address beyond loopback with nothing to tell callers apart."""
        if self._bearer is None and not self.access.authenticates:
            if asked.host is None:
                log.warning("no bearer token and no web config that authenticates: listening on loopback only")
                asked = asked._replace(host="127.0.0.1")
            elif not asked.is_loopback:
                raise ValueError(
                    f"without webhook.bearer_token_file, or a web config with users or verified client certificates, "
                    f"it listens on loopback only, not on {asked}"
                )
        self._loopback = asked.is_loopback
        return asked

    def replace_token(self, bearer_token_file: str | None) -> None:
        """Goes on with another file. Raises ConfigError, and keeps the old one then."""
        self._bearer = BearerToken(bearer_token_file) if bearer_token_file else None

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stands inside of the web config's own middleware, which has let the request through."""
        if not _guarded(request) or self._has_token(request) or self.access.authenticates:
            return await handler(request)
        if self._bearer is None and self._loopback:
            return await handler(request)
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="diego-medic"'})

    def _exempt(self, request: web.Request) -> bool:
        return is_open(request) or (_guarded(request) and self._has_token(request))

    def _has_token(self, request: web.Request) -> bool:
        return self._bearer is not None and self._bearer.matches(request.headers.get("Authorization"))


def _guarded(request: web.Request) -> bool:
    return not is_open(request) and request.path != "/metrics"


class Routes:
    """`POST /alerts` and `GET /api/v1/runs`."""

    def __init__(self, *, intake: Intake, medics: Medics, metrics: HttpMetrics) -> None:
        self._intake = intake
        self._medics = medics
        self._metrics = metrics
        self.all = (
            web.post(ALERTS, self.alerts),
            web.get("/api/v1/runs", self.runs),
            web.get("/api/v1/runs/{id}", self.run),
        )

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts every answer to Alertmanager's door, whoever gives it: the outermost of the middlewares."""
        if request.path != ALERTS:
            return await handler(request)
        code = HTTPStatus.INTERNAL_SERVER_ERROR.value
        try:
            response = await handler(request)
            code = response.status
        except web.HTTPException as error:
            code = error.status
            raise
        finally:
            self._metrics.notifications.labels(str(code)).inc()
        return response

    async def alerts(self, request: web.Request) -> web.Response:
        """Takes a notification: 202 on record, 200 nothing to record, 503 could not be recorded."""
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="A notification is application/json.\n")
        try:
            notification = parse(await request.read())
        except NotANotificationError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        receipt = await self._intake.take(notification)
        return _json(receipt, status=receipt.status)

    async def runs(self, request: web.Request) -> web.Response:
        """All runs on record, newest first; `?foundation=` takes those of one."""
        wanted = request.query.get("foundation")
        runs = [
            msgspec.structs.replace(run, evidence="")
            for name, journal in self._medics.journals().items()
            if wanted in {None, name}
            for run in journal.runs
        ]
        runs.sort(key=lambda run: run.started, reverse=True)
        return _json({"runs": runs})

    async def run(self, request: web.Request) -> web.Response:
        """One run, with its evidence."""
        found = find(self._medics.journals(), request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="There is no such run on record.\n")
        return _json(found)


def find(journals: Mapping[str, Journal], run_id: str) -> Run | None:
    return next((run for journal in journals.values() if (run := journal.find(run_id)) is not None), None)


def _json(value: object, *, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(value) + b"\n", status=status, content_type="application/json")
