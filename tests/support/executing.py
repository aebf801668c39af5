"""A run in the hands of a holder of the lease, on a cluster in memory."""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from exporter.config.model import Foundation
from tests.support.clocks import LoopClock
from tests.support.foundations import foundation, pod, statefulset
from tests.support.memory_writer import JOURNAL, MemoryCluster, MemoryWriter
from tests.support.moments import NOON, at
from webhook.metrics import Counters, RunMetrics
from webhook.record import journal as journals
from webhook.record.journal import Journal, Outcome, PodRecord, Run, Step
from webhook.record.lease import Held
from webhook.record.store import Store
from webhook.runbook.events import Announcer
from webhook.runbook.execution import End, Execution

UIDS = ("diego-api-0-uid", "diego-api-1-uid")
EPOCH = 3


def listed(*, intended: int = 0, answered: int = 0) -> tuple[PodRecord, ...]:
    """The two pods on a run's list: of so many the intent, and what became of them, is on record."""
    return tuple(
        PodRecord(
            name=f"diego-api-{number}",
            uid=uid,
            statefulset="diego-api",
            intent=NOON if number < intended else None,
            deleted=number < answered,
            answer="deleted" if number < answered else "",
        )
        for number, uid in enumerate(UIDS)
    )


def open_run(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "id": "cf-1",
        "foundation": "cf",
        "runbook": "restart-diego-api",
        "mode": "auto",
        "started": NOON,
        "alerts": {"a": True},
        "pods": listed(),
    }
    return Run(**fields | changes)


def two_pods() -> MemoryCluster:
    cluster = MemoryCluster()
    cluster.put("statefulsets", **statefulset("diego-api"))
    for number in range(2):
        cluster.put("pods", **pod("diego-api", number))
    return cluster


@dataclass
class Bench:
    """One program with its connection, its memory of the journal and its hold on the lease."""

    cluster: MemoryCluster
    writer: MemoryWriter
    store: Store
    held: Held
    execution: Execution
    registry: CollectorRegistry

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"diego_remediation_{name}", {"foundation": "cf", **labels})

    def on_record(self) -> Run:
        return self.cluster.journal().runs[-1]


async def bench(
    run: Run | None = None, *, cluster: MemoryCluster | None = None, settings: Foundation | None = None
) -> Bench:
    """Takes up the run that is on record in the cluster; where there is none yet, this one."""
    settings = settings or foundation(remediation={"mode": "auto"})
    cluster = cluster or two_pods()
    if JOURNAL not in cluster.config_maps:
        cluster.put_journal(Journal(foundation="cf", epoch=EPOCH, runs=(run or open_run(),)))
    writer = MemoryWriter(cluster)
    store = Store(name=JOURNAL, foundation="cf", writer=writer)
    clock = LoopClock(NOON.timestamp())
    registry = CollectorRegistry()
    held = Held(EPOCH, asyncio.get_running_loop().time())
    execution = Execution(
        run=cluster.journal().runs[-1],
        foundation=settings,
        store=store,
        held=held,
        clock=clock,
        metrics=RunMetrics(Counters(registry), "cf"),
        announcer=Announcer(foundation=settings, writer=writer, clock=clock),
    )
    return Bench(cluster, writer, store, held, execution, registry)


def holding_on(held: Held) -> asyncio.Task[None]:
    """Renews the lease for as long as the test runs."""

    async def renew() -> None:
        while True:
            held.renewed(asyncio.get_running_loop().time())
            await asyncio.sleep(5)

    return asyncio.create_task(renew())


STEP = Step.CHECK_CLOUD_CONTROLLER
RECOVERED = End(Outcome.RECOVERED, "", "restarted")


async def says(text: str = "as it is") -> str:
    await asyncio.sleep(1)
    return text


def now() -> float:
    return asyncio.get_running_loop().time()


def put(made: Bench, journal: Journal) -> None:
    made.cluster.put_journal(journal)


def pause(made: Bench) -> None:
    put(made, journals.pause(made.cluster.journal(), by="ann", reason="maintenance", now=at(0)))


def withdraw(made: Bench) -> None:
    journal = made.cluster.journal()
    put(made, journals.update_run(journal, msgspec.structs.replace(journal.runs[-1], alerts={"a": False})))


def unreachable(made: Bench, *, seconds: float | None = None) -> None:
    """The API server does not answer any more; for so long, or for ever."""
    for call in ("get configmaps", "update configmaps"):
        made.writer.fail(call, times=-1)
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, made.writer.heal)


async def ended_by(made: Bench, what: str = "checkpoint") -> tuple[Outcome, str]:
    with pytest.raises(End) as end:
        await (made.execution.checkpoint() if what == "checkpoint" else made.execution.intend(UIDS[0]))
    return end.value.outcome, end.value.reason
