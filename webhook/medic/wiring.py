"""How a medic is built from a config and what the program has: once, for the webhook and the command line."""

from collections.abc import Callable
from functools import partial
from random import Random

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.probe import Dialer
from exporter.foundation.view import Probe
from exporter.kubernetes.connection import Connections
from webhook.medic.medic import Medic, MedicMeter
from webhook.record.journal import Request, Run
from webhook.record.store import Store, journal_name
from webhook.runbook.context import RunContext
from webhook.timings import DEFAULT, Timings
from webhook.transport import HttpWriteTransport
from webhook.writer import ApiWriter

OnProbe = Callable[[str, Probe, bool | None], None]
"""Is called with the foundation's name, a probe from the Cloud Controller, and what it proves."""


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
    meter: MedicMeter,
    on_probe: OnProbe,
    timings: Timings = DEFAULT,
    executes: Callable[[Run], bool] = lambda _run: True,
    decides: Callable[[Request], bool] = lambda _request: True,
) -> Medic:
    writer = writer_for(foundation, connections)
    context = RunContext(
        foundation=foundation,
        kubernetes=writer,
        clock=clock,
        random=random,
        dial=dial,
        meter=meter,
        on_probe=partial(on_probe, foundation.name),
        timings=timings,
    )
    store = store_for(foundation, writer)
    return Medic(context=context, meter=meter, store=store, identity=identity, executes=executes, decides=decides)
