"""A run in the hands of a holder of the lease, on a foundation of the sandbox in-process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from exporter.clock import Instant
from exporter.config.model import Foundation
from sandbox.transport import Mishap, Request
from tests.support.foundations import foundation
from tests.support.incident import FAST, MachineClock
from tests.support.inprocess import JOURNAL, InProcessCluster, InProcessWriter, broken_foundation
from tests.support.moments import NOON, at
from webhook.metrics import Counters, RunMetrics
from webhook.record import changes
from webhook.record.journal import AlertRecord, Journal, Outcome, PodRecord, PodState, Run, Step
from webhook.record.lease import Held
from webhook.record.reasons import RunReason
from webhook.record.store import Store
from webhook.runbook.context import EndRun, RunContext, Verdict
from webhook.runbook.deletion import Deletion
from webhook.runbook.execution import Execution
from webhook.runbook.proof import Prover
from webhook.timings import DEFAULT

FIRST, SECOND = "diego-api-0", "diego-api-1"
EPOCH = 3
STEP = Step.CHECK_CLOUD_CONTROLLER
RECOVERED = Verdict(Outcome.RECOVERED, None, "restarted")


def alerts(*, firing: bool = True) -> dict[str, AlertRecord]:
    return {"a": AlertRecord(alertname="Alert-a", starts_at=NOON, last_seen=NOON, firing=firing)}


def listed(cluster: InProcessCluster, *, intended: int = 0, deleted: int = 0) -> tuple[PodRecord, ...]:
    """The two pods on a run's list: of so many the intent, and what became of them, is on record."""
    states = [PodState.DELETED] * deleted + [PodState.INTENDED] * (intended - deleted) + [PodState.LISTED] * 2
    return tuple(
        PodRecord(
            name=name,
            uid=cluster.pod(name).uid,
            statefulset="diego-api",
            grace=2,
            state=states[number],
            intended_at=NOON if number < max(intended, deleted) else None,
        )
        for number, name in enumerate((FIRST, SECOND))
    )


def open_run(**fields: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": "cf-1",
        "foundation": "cf",
        "runbook": "restart-diego-api",
        "mode": "auto",
        "started": NOON,
        "alerts": alerts(),
    }
    return Run(**defaults | fields)


@dataclass
class Bench:
    """One program with its connection, its memory of the journal and its hold on the lease."""

    cluster: InProcessCluster
    writer: InProcessWriter
    store: Store
    held: Held
    clock: MachineClock
    context: RunContext
    execution: Execution
    registry: CollectorRegistry
    renewal: "asyncio.Task[None] | None" = None

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"diego_remediation_{name}", {"foundation": "cf", **labels})

    def on_record(self) -> Run:
        return self.cluster.journal().runs[-1]

    async def delete(self, *, resumed: bool = False) -> tuple[PodRecord, ...]:
        """Deletes what is on the list, and returns what is on record of it."""
        prover = Prover(self.context, self.execution)
        await Deletion(self.context, self.execution, prover, resumed=resumed).delete_listed("diego-api")
        return self.on_record().pods

    def unreachable(self, *, seconds: float | None = None) -> None:
        """The API server does not answer for the journal any more; for so long, or for ever."""
        for call in ("get configmaps", "update configmaps"):
            self.writer.fail(call, times=-1)
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self.writer.recover)

    def put(self, **fields: Any) -> None:
        """Somebody else changes the journal."""
        self.cluster.put_journal(msgspec.structs.replace(self.cluster.journal(), **fields))

    def pause(self) -> None:
        self.cluster.put_journal(changes.pause(self.cluster.journal(), by="ann", reason="maintenance", now=at(0)))

    def take_over(self) -> None:
        self.put(epoch=EPOCH + 1)

    def lose_the_lease(self) -> None:
        self.held.lost = True

    def withdraw(self) -> None:
        """Every alert is resolved."""
        run = msgspec.structs.replace(self.on_record(), alerts=alerts(firing=False))
        self.cluster.put_journal(changes.update_run(self.cluster.journal(), run))


async def bench(
    run: Run | None = None,
    *,
    cluster: InProcessCluster | None = None,
    settings: Foundation | None = None,
    pods: int = 2,
    intended: int = 0,
    deleted: int = 0,
    renewing: bool = True,
) -> Bench:
    """Resumes the run that is on record in the cluster; where there is none yet, this one.

    Without a run: one that lists the first `pods` pods, `intended` and `deleted` as in `listed`.
    """
    settings = settings or foundation(remediation=FAST)
    cluster = cluster or broken_foundation()
    if JOURNAL not in cluster.config_maps:
        run = run or open_run(pods=listed(cluster, intended=intended, deleted=deleted)[:pods])
        cluster.put_journal(Journal(foundation="cf", epoch=EPOCH, runs=(run,)))
    writer, clock, registry = InProcessWriter(cluster), MachineClock(), CollectorRegistry()
    store = Store(name=JOURNAL, foundation="cf", writer=writer)
    context = RunContext(
        foundation=settings,
        kubernetes=writer,
        clock=clock,
        random=Random(1),
        dial=cluster.dial,
        meter=RunMetrics(Counters(registry), "cf"),
        on_probe=lambda _probe, _reachable: None,
    )
    held = Held(EPOCH, Instant.of(clock), trusted=DEFAULT.lease_trusted)
    execution = Execution(context=context, run=cluster.journal().runs[-1], store=store, held=held)
    made = Bench(cluster, writer, store, held, clock, context, execution, registry)
    if renewing:
        made.renewal = asyncio.create_task(_renew(made))
    return made


async def _renew(made: Bench) -> None:
    """For as long as the test runs."""
    while True:
        made.held.renewed(Instant.of(made.clock))
        await asyncio.sleep(5)


async def returns(text: str = "as it is") -> str:
    await asyncio.sleep(1)
    return text


async def verdict_of(made: Bench, what: str = "checkpoint") -> tuple[Outcome, RunReason | None]:
    """How the run ends in a checkpoint, an intent or its deletes."""
    attempts: dict[str, Callable[[], Awaitable[object]]] = {
        "checkpoint": made.execution.checkpoint,
        "intend": lambda: made.execution.intend(made.execution.run.pods[0].uid),
        "delete": made.delete,
    }
    with pytest.raises(EndRun) as end:
        await attempts[what]()
    return end.value.verdict.outcome, end.value.verdict.reason


# ---- what happens to the first pod, and when


def gone(made: Bench) -> None:
    made.cluster.delete("pods", FIRST)


def replaced(made: Bench) -> None:
    made.cluster.change("pods", FIRST, metadata={"uid": "new"})


def terminating(made: Bench) -> None:
    made.cluster.change("pods", FIRST, metadata={"deletionTimestamp": "2026-01-31T12:00:00Z"})


def whenever(made: Bench, call: str, act: Callable[[], object], *, number: int = 1) -> None:
    """Does something when the call is sent for the `number`th time, before it takes effect."""
    before = made.writer.mishap

    def mishap(request: Request) -> Mishap | None:
        if request.call == call and made.writer.calls[call] == number:
            act()
        return before(request)

    made.writer.mishap = mishap
