"""What the status page knows: foundations at a minute after noon, and the pages of a webhook that runs nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp

from exporter.config.model import Config, Foundation
from exporter.foundation.view import FoundationView, Probe, ProbeResult, Reading
from exporter.serving.access import Access
from exporter.serving.address import Address
from tests.support.clocks import SetClock
from tests.support.daemons import FakeDaemon, served
from tests.support.foundations import foundation
from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.moments import NOON
from tests.support.sites import users
from tests.support.stores import a_store
from tests.support.views import a_pod, component, view
from webhook.http.actions import Actions
from webhook.http.board import Board
from webhook.http.events import Events
from webhook.http.forms import FormTokens
from webhook.http.pages import Pages
from webhook.medic.medic import Medic
from webhook.medic.medics import Medics
from webhook.record.journal import Journal
from webhook.record.store import Store
from webhook.status.history import History
from webhook.status.known import Known
from webhook.status.watch import Watch

MINUTE = NOON + timedelta(seconds=60)
NOW = MINUTE.timestamp()
AUTO = {"mode": "auto"}


def cf(*, remediation: dict[str, Any] | None = None, **changes: Any) -> Foundation:
    return foundation(remediation=remediation or AUTO, **changes)


def seen(reachable: bool | None = True, *, ago: float = 1, leader: bool | None = None) -> FoundationView:
    """A view so many seconds old. `leader`: whether diego-api-0 leads; unless given, whether the BBS is reachable."""
    leads = reachable is not False if leader is None else leader
    at = NOW - ago
    result = {True: ProbeResult.SUCCESS, False: ProbeResult.REFUSED, None: ProbeResult.ERROR}[reachable]
    known_at = 0.0 if reachable is None else at
    pods = (a_pod("diego-api", 0, active=str(leads).lower()), a_pod("diego-api", 1, active="false"))
    made = view(component("diego-api", *pods), ready_endpoints=("10.0.0.1",) if leads else (), diego_api_0=leads)
    return replace(
        made,
        synced_at=at,
        bbs=Reading(last=Probe(result, at=at), reachable=reachable, known_at=known_at),
        pods={uid: replace(reading, known_at=at) for uid, reading in made.pods.items()},
    )


def known(
    found: FoundationView | None = None,
    journal: Journal | None = None,
    *,
    settings: Foundation | None = None,
    **of: Any,
) -> Known:
    """Healthy, with an empty journal, unless said otherwise."""
    fields = {"journal": journal or Journal(foundation="cf")} | of
    return Known(foundation=settings or cf(), view=found or seen(), now=MINUTE, **fields)


@dataclass
class FakeObserver:
    foundation: Foundation
    view: FoundationView
    version: int = 1
    error: Exception | None = None


@dataclass
class FakeMedic:
    """A medic that only has a journal."""

    foundation: Foundation
    store: Store
    unreadable: Exception | None = None
    waits_for: str = ""


class Desk:
    """The status page of one foundation, `cf`, for the users ann and bob (password `pw`)."""

    def __init__(self, file: Path) -> None:
        file.write_text(users(ann="pw", bob="pw"))
        self.shelf = Shelf()
        self.store = a_store(InProcessWriter(self.shelf))
        self.medic = FakeMedic(cf(), self.store)
        self.observer = FakeObserver(cf(), seen())
        self.clock = SetClock(NOW)
        self.access = Access(str(file), identify=True, token=OneToken())
        self.access.listen(Address("127.0.0.1", 0))
        medics = Medics(Config(foundations=(cf(),)), build=lambda _foundation: cast("Medic", self.medic))
        watch = Watch.__new__(Watch)
        watch.observer, watch.history = cast("Any", self.observer), History()
        self.board = Board(medics=medics, watches={"cf": watch}, clock=self.clock)
        self.pages, self.events = Pages(board=self.board, clock=self.clock), Events(self.board)
        self.tokens = FormTokens(self.access.secret, self.clock.now)
        self.actions = Actions(board=self.board, medics=medics, tokens=self.tokens, clock=self.clock)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    @asynccontextmanager
    async def open(self, journal: Journal | None = None) -> AsyncIterator["Desk"]:
        """Serves it; with this journal on record."""
        if journal is not None:
            await self.store.update(lambda _before: (journal, None))
        else:
            await self.store.refresh()
        routes = (*self.events.all, *self.pages.all, *self.actions.all)
        daemon = FakeDaemon(routes=routes, middlewares=[self.access.middleware])
        daemon.page = self.pages.overview  # type: ignore[method-assign, assignment]
        async with served(daemon) as session:
            self._session = session
            try:
                yield self
            finally:
                self.events.stop()


class OneToken:
    """Alertmanager's."""

    def matches(self, header: str | None) -> bool:
        return header == "Bearer token"
