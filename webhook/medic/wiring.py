"""How a medic is put together from a config and what the program has: once, for webhook and command line."""

from collections.abc import Callable
from functools import partial
from random import Random

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.probe import Dialer
from exporter.foundation.view import Probe
from exporter.kubernetes.connection import Connections
from webhook.medic.medic import Medic, Surroundings
from webhook.metrics import RunMetrics
from webhook.record.store import Store, journal_name
from webhook.transport import HttpWriteTransport
from webhook.writer import ApiWriter

ProbeObserver = Callable[[str, Probe, bool | None], None]


def writer_for(foundation: Foundation, connections: Connections) -> ApiWriter:
    connection = connections.connection(kubeconfig=foundation.kubeconfig, context=foundation.context)
    return ApiWriter(HttpWriteTransport(connection), namespace=foundation.namespace)


def store_for(foundation: Foundation, writer: ApiWriter) -> Store:
    return Store(name=journal_name(foundation), foundation=foundation.name, writer=writer)


def medic_for(
    foundation: Foundation,
    *,
    connections: Connections,
    clock: Clock,
    dial: Dialer,
    random: Random,
    identity: str,
    metrics: RunMetrics,
    observe_probe: ProbeObserver,
) -> Medic:
    writer = writer_for(foundation, connections)
    around = Surroundings(
        writer=writer,
        clock=clock,
        dial=dial,
        random=random,
        identity=identity,
        metrics=metrics,
        observe_probe=partial(observe_probe, foundation.name),
    )
    return Medic(foundation=foundation, store=store_for(foundation, writer), around=around)
