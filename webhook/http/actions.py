"""What a person may do on the status page: pause, resume, reset, approve. First a page that asks, then a form.

They demand a person: a user or a client certificate. The bearer token is Alertmanager's, and approves nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qs

from aiohttp import web

from exporter.clock import Clock, utc_now
from exporter.kubernetes.api import KubernetesError
from exporter.serving.access import PERSON
from exporter.serving.deadlines import read_body
from exporter.serving.html import respond
from webhook.http.board import Board, reason
from webhook.http.forms import FormTokens, from_own_page
from webhook.http.rendering import render, script
from webhook.medic.medics import Medics
from webhook.record import interventions
from webhook.record.errors import JournalError
from webhook.record.store import Store
from webhook.status.known import Known

log = logging.getLogger(__name__)

DEADLINE = 10.0
"""Seconds within which an action must be on record."""
MAX_REASON = 500
PAUSE, RESUME, RESET, APPROVE = "pause", "resume", "reset", "approve"
_FORM = "application/x-www-form-urlencoded"

Do = Callable[[Store, str, datetime, str], Awaitable[str]]
"""Does it, from the store, who does it, the time, and the reason that was given."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action on a foundation; `known` is the foundation as it is now."""

    verb: str
    name: str
    target: str
    known: Known
    do: Do

    @property
    def key(self) -> str:
        """For which its form is valid."""
        return f"{self.verb} {self.target}"


class Actions:
    """`/foundations/NAME/{pause,resume,reset}` and `/runs/ID/approve`: GET asks, POST does."""

    def __init__(self, *, board: Board, medics: Medics, tokens: FormTokens, clock: Clock) -> None:
        self._board = board
        self._medics = medics
        self._tokens = tokens
        self._clock = clock
        paths = ("/foundations/{name}/{verb:pause|resume|reset}", "/runs/{id}/{verb:approve}")
        self.all = tuple(route(path, handler) for path in paths for route, handler in self._handlers())

    def _handlers(self) -> tuple[tuple[Callable[..., web.RouteDef], Callable[..., Awaitable[web.Response]]], ...]:
        return (web.get, self.ask), (web.post, self.act)

    async def ask(self, request: web.Request) -> web.Response:
        """The page that asks for confirmation. It changes nothing."""
        action = self._action(request)
        person = request.get(PERSON)
        if not person:
            return _message(action, HTTPStatus.FORBIDDEN, "nobody")
        return self._confirm(action, person)

    async def act(self, request: web.Request) -> web.Response:
        """Does it and records it with who did it: only as the confirmed form of this person."""
        action = self._action(request)
        person = request.get(PERSON)
        if not person:
            return _message(action, HTTPStatus.FORBIDDEN, "nobody")
        if not from_own_page(request.headers):
            return _message(action, HTTPStatus.FORBIDDEN, "elsewhere")
        if request.content_type != _FORM:
            raise web.HTTPUnsupportedMediaType(text=f"A form is {_FORM}.\n")
        form = _fields(await read_body(request))
        if not self._tokens.fits(form.get("token", ""), person, action.key):
            return _message(action, HTTPStatus.FORBIDDEN, "token")
        given = " ".join(form.get("reason", "").split())[:MAX_REASON]
        if action.verb == PAUSE and not given:
            return self._confirm(action, person, status=HTTPStatus.BAD_REQUEST)
        return await self._do(action, person, given, request)

    async def _do(self, action: Action, person: str, given: str, request: web.Request) -> web.Response:
        store = self._medics.by_foundation[action.name].store
        try:
            async with asyncio.timeout(DEADLINE):
                said = await action.do(store, f"{person} (status page)", utc_now(self._clock), given)
        except LookupError as error:
            return _message(action, HTTPStatus.CONFLICT, "too-late", str(error.args[0]))
        except (KubernetesError, JournalError, TimeoutError) as error:
            log.warning("action not recorded", extra={"foundation": action.name, "error": str(error)})
            return _message(action, HTTPStatus.SERVICE_UNAVAILABLE, "not-recorded", reason(error))
        log.info(
            "action recorded",
            extra={
                "foundation": action.name,
                "action": action.verb,
                "by": person,
                "text": said,
                "from": request.remote,
            },
        )
        raise web.HTTPSeeOther("../../" if action.verb != APPROVE else f"../{action.target}")

    def _action(self, request: web.Request) -> Action:
        """What the path asks for. Raises HTTPNotFound."""
        verb = request.match_info["verb"]
        if verb == APPROVE:
            found = self._board.find(request.match_info["id"])
            if found is None:
                raise web.HTTPNotFound(text="There is no such run on record.\n")
            known, run = found
            return Action(verb, known.foundation.name, run.id, known, partial(_approve, run.id))
        name = request.match_info["name"]
        if name not in self._medics.by_foundation:
            raise web.HTTPNotFound(text="There is no such foundation in the config.\n")
        return Action(verb, name, name, self._board.known(name), _DO[verb])

    def _confirm(self, action: Action, person: str, *, status: int = HTTPStatus.OK) -> web.Response:
        page = render(
            "confirm.html",
            action=action,
            known=action.known,
            person=person,
            token=self._tokens.make(person, action.key),
            max_reason=MAX_REASON,
            missing=status != HTTPStatus.OK,
            root="../../",
            events="",
        )
        return respond(page, status=status, script=script())


async def _pause(store: Store, by: str, now: datetime, given: str) -> str:
    return await interventions.pause(store, by=by, reason=given, now=now)


async def _resume(store: Store, by: str, now: datetime, _given: str) -> str:
    return await interventions.resume(store, by=by, now=now)


async def _reset(store: Store, by: str, now: datetime, _given: str) -> str:
    return await interventions.reset(store, by=by, now=now)


async def _approve(run_id: str, store: Store, by: str, now: datetime, _given: str) -> str:
    return await interventions.approve(store, run_id, by=by, now=now)


_DO: Mapping[str, Do] = {PAUSE: _pause, RESUME: _resume, RESET: _reset}


def _fields(body: bytes) -> dict[str, str]:
    """The first value of each field; nothing where it is no form."""
    try:
        found = parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        return {}
    return {key: values[0] for key, values in found.items()}


def _message(action: Action, status: HTTPStatus, what: str, detail: str = "") -> web.Response:
    page = render("message.html", action=action, what=what, detail=detail, root="../../", events="")
    return respond(page, status=status, script=script())
