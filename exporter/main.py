"""`diego-exporter`: watches the foundations of the config and publishes what it sees. It never writes to a cluster."""

import sys
from collections.abc import Sequence
from random import Random

from aiohttp import web
from aiohttp.typedefs import Middleware

from exporter.config.model import Config, Foundation
from exporter.fleet import Fleet
from exporter.kubernetes.client import ApiReader, OnRequest
from exporter.kubernetes.connection import Connections
from exporter.kubernetes.transport import HttpTransport
from exporter.metrics import FoundationMetrics
from exporter.page import render
from exporter.serving import program
from exporter.serving.access import Access
from exporter.serving.exposition import Exposition
from exporter.serving.html import respond

NAME = "diego-exporter"


class Exporter:
    """The exporter inside of its frame."""

    name = NAME

    def __init__(self, start: program.Start) -> None:
        self._connections = Connections()
        self._shard = start.options.shard
        self._fleet = Fleet(
            self._shard.part(start.config),
            connect=self._connect,
            clock=start.clock,
            random=Random(),  # noqa: S311 - jitter
        )
        self.access = Access(start.options.web_config_file)
        self.middlewares: Sequence[Middleware] = (self.access.middleware,)
        self.routes: Sequence[web.AbstractRouteDef] = ()
        self.exposition = Exposition(FoundationMetrics(self._fleet.texts, start.clock), start.common, ahead=True)

    def not_ready(self) -> str | None:
        return self._fleet.not_ready()

    def unhealthy(self) -> str | None:
        return None  # a foundation whose observer crashes is stale in the metrics; a restart would blind all others

    def page(self, _request: web.Request) -> web.Response:
        rows = zip(self._fleet.looks(), self._fleet.observers, strict=True)
        return respond(render((look, str(observer.error or "")) for look, observer in rows))

    def apply(self, config: Config) -> None:
        config = self._shard.part(config)
        self._fleet.apply(config)
        self._connections.retain((each.kubeconfig, each.context) for each in config.foundations)

    async def run(self) -> None:
        await self._fleet.run()

    async def close(self) -> None:
        await self._connections.close()

    def _connect(self, foundation: Foundation, observe: OnRequest) -> ApiReader:
        connection = self._connections.connection(kubeconfig=foundation.kubeconfig, context=foundation.context)
        return ApiReader(
            HttpTransport(connection, gate=connection.gate), namespace=foundation.namespace, observe=observe
        )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; the exit code is that of `exporter.serving.program`."""
    return program.run(
        argv,
        name=NAME,
        kind="exporter",
        description="Monitor the Diego BBS of Cloud Foundry on Kubernetes and export Prometheus metrics.",
        listen=":10889",
        build=Exporter,
        sharded=True,
    )


if __name__ == "__main__":
    sys.exit(main())
