"""`diego-webhook`: takes Alertmanager's notifications and executes the documented restart runbook."""

import asyncio
import itertools
import sys
from collections.abc import Sequence
from functools import partial
from random import Random

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry

from exporter.config.errors import ConfigError, Problem
from exporter.config.model import Config, Foundation
from exporter.foundation.probe import dial_tcp
from exporter.kubernetes.client import ApiReader
from exporter.kubernetes.connection import Connections
from exporter.kubernetes.transport import HttpTransport
from exporter.serving import program
from exporter.serving.access import Access, UnprotectedError
from exporter.serving.exposition import CachedCollectors, Exposition
from webhook.http.actions import Actions
from webhook.http.bearer import BearerToken
from webhook.http.board import Board
from webhook.http.events import Events
from webhook.http.forms import FormTokens
from webhook.http.pages import Pages
from webhook.http.routes import Routes
from webhook.medic.intake import Intake
from webhook.medic.medic import Medic
from webhook.medic.medics import Medics
from webhook.medic.wiring import medic_for
from webhook.metrics import CloudControllerProbes, Counters, HttpMetrics, JournalCollector, RunMetrics
from webhook.record.lease import new_identity
from webhook.status.watch import Watches
from webhook.timings import DEFAULT, Timings

NAME = "diego-webhook"


class Webhook:
    """The webhook inside of its frame."""

    name = NAME

    def __init__(self, start: program.Start, *, timings: Timings = DEFAULT) -> None:
        registry = CollectorRegistry()
        self._start = start
        self._timings = timings
        self._counters = Counters(registry)
        self._probes = CloudControllerProbes(registry, clock=start.clock)
        self._identity = new_identity()
        self._random = Random()  # noqa: S311 - jitter and the tail of a run's id
        self._connections = Connections()
        self._medics = Medics(
            start.config, build=self._medic, timings=timings, on_crash=self._crashed, on_remove=self._removed
        )
        http = HttpMetrics(registry)
        intake = Intake(medics=self._medics.by_foundation, clock=start.clock, metrics=http, timings=timings)
        handlers = Routes(intake=intake, medics=self._medics, metrics=http)
        self.access = Access(start.options.web_config_file, identify=True, token=_token(start.config))
        self._watches = Watches(
            start.config, connect=self._connect, clock=start.clock, random=self._random, dial=dial_tcp
        )
        board = Board(medics=self._medics, watches=self._watches.by_foundation, clock=start.clock)
        self._pages, self._events = Pages(board=board, clock=start.clock), Events(board)
        actions = Actions(board=board, medics=self._medics, tokens=FormTokens(self.access.secret), clock=start.clock)
        self.routes: Sequence[web.AbstractRouteDef] = (
            *handlers.all,
            *self._events.all,
            *self._pages.all,
            *actions.all,
        )
        self.middlewares: Sequence[Middleware] = (handlers.count, self.access.middleware)
        journals = JournalCollector(foundations=self._medics.foundations, journals=self._medics.journals)
        scrapes = itertools.count()  # a handful of series, whose age counts: rendered at each scrape
        self.exposition = Exposition(CachedCollectors((journals, registry), key=lambda: next(scrapes)), start.common)

    def not_ready(self) -> str | None:
        return self._medics.not_ready()

    def unhealthy(self) -> str | None:
        return self._medics.unhealthy()

    def page(self, request: web.Request) -> web.Response:
        return self._pages.overview(request)

    def apply(self, config: Config) -> None:
        try:
            self.access.replace_token(_token(config))
        except UnprotectedError as error:
            file = self._start.options.config_file
            raise ConfigError([Problem(file, None, "webhook.bearer_token_file", str(error))]) from error
        self._medics.apply(config)
        self._watches.apply(config)
        self._connections.retain((each.kubeconfig, each.context) for each in config.foundations)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._medics.run())
                group.create_task(self._watches.run())
        finally:
            self._events.stop()

    async def close(self) -> None:
        await self._connections.close()

    def _medic(self, foundation: Foundation) -> Medic:
        self._probes.add(foundation.name)
        return medic_for(
            foundation,
            connections=self._connections,
            clock=self._start.clock,
            dial=dial_tcp,
            random=self._random,
            identity=self._identity,
            meter=RunMetrics(self._counters, foundation.name),
            on_probe=self._probes.observe,
            timings=self._timings,
        )

    def _connect(self, foundation: Foundation) -> ApiReader:
        connection = self._connections.connection(kubeconfig=foundation.kubeconfig, context=foundation.context)
        return ApiReader(HttpTransport(connection), namespace=foundation.namespace)

    def _crashed(self, foundation: str, _error: Exception) -> None:
        if foundation in self._counters.foundations:
            self._counters.restarts.labels(foundation).inc()

    def _removed(self, foundation: str) -> None:
        self._counters.remove(foundation)
        self._probes.remove(foundation)


def _token(config: Config) -> BearerToken | None:
    file = config.webhook.bearer_token_file
    return None if file is None else BearerToken(file)


def main(argv: Sequence[str] | None = None, *, timings: Timings = DEFAULT) -> int:
    """The console script; the exit code is that of `exporter.serving.program`."""
    return program.run(
        argv,
        name=NAME,
        kind="webhook",
        description="Receive Alertmanager's notifications and execute the runbook for an unreachable Diego BBS.",
        listen=":10890",
        build=partial(Webhook, timings=timings),
    )


if __name__ == "__main__":
    sys.exit(main())
