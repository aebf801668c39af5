"""Incidents in which processes die and the API server fails at random: judged from outside, by the audit log.

A few seeds for every commit; `sandbox.simulation` plays them by the thousand, and more of what may go wrong.
"""

import asyncio
from random import Random
from typing import Any

import pytest

from exporter.clock import from_rfc3339
from sandbox.transport import Mishap, Request
from tests.support.incident import Program, alert, now, runs_of, uids, until
from tests.support.inprocess import TIMED_OUT, InProcessCluster, broken_foundation
from tests.support.moments import at
from webhook.record import changes
from webhook.record.encoding import decode
from webhook.record.journal import Journal, Outcome
from webhook.record.reasons import RunReason
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)

TROUBLE = 200.0
"""Seconds for which things go wrong; then the API server answers, and programs live on."""


class Incident:
    """Two programs that are killed and come back, an API server that fails for a while, and a person who may pause."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = broken_foundation(seed=seed)
        self.originals = dict(uids(self.cluster))
        self.failing = self.random.choice([0.0, 0.1, 0.3, 0.5])
        self.pausing = 0.2
        self.lives = 0

    def _mishap(self, _request: Request) -> Mishap | None:
        if now() > TROUBLE or self.random.random() > self.failing:
            return None
        return Mishap(error=TIMED_OUT, effective=self.random.random() < 0.5)

    async def program(self, name: str) -> None:
        """One life after the other, each with an identity of its own."""
        while True:
            self.lives += 1
            program = Program(self.cluster, identity=f"{name}-{self.lives}")
            program.writer.mishap = self._mishap
            program.writer.slow(lambda: self.random.choice([0.01, 0.01, 0.3]))
            task = asyncio.create_task(program.medic.run())
            try:
                await asyncio.sleep(self.random.uniform(1, 60) if now() < TROUBLE else 1e6)
            finally:
                await program.kill(task)
            await asyncio.sleep(self.random.uniform(0, 10))

    async def person(self) -> None:
        await asyncio.sleep(self.random.uniform(10, TROUBLE))
        if self.random.random() < self.pausing:
            journal = changes.pause(self.cluster.journal(), by="ann", reason="", now=at(now()))
            self.cluster.put_journal(journal)

    def _over(self) -> bool:
        journal = self.cluster.journal()
        if not journal.runs:
            return journal.paused is not None  # before a run was opened: none is
        return journal.runs[0].outcome is not None

    async def run(self) -> None:
        """Until the first run has ended, which it must within a quarter of an hour once the API server answers."""
        await alert(Program(self.cluster, identity="intake"))
        tasks = [asyncio.create_task(each) for each in (self.program("a"), self.program("b"), self.person())]
        await until(self._over, within=TROUBLE + 900)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled() or task.exception() is None, task


def violations(cluster: InProcessCluster, originals: dict[str, str]) -> list[str]:
    """What the audit log has against the programs."""
    found: list[str] = []
    journal: Journal | None = None
    checked = -DEFAULT.outstanding
    for event in cluster.audit:
        reference = event["objectRef"]
        if event["responseStatus"]["code"] not in {101, 200, 201}:
            continue
        if reference["resource"] == "configmaps":
            journal = decode(event["requestObject"]["data"]["journal.json"])
        elif reference.get("subresource") == "exec":
            checked = _moment(event)
        elif event["verb"] == "delete":
            name, uid = reference["name"], event["requestObject"]["preconditions"]["uid"]
            run = journal.open_run if journal else None
            intended = {pod.uid for pod in run.pods if pod.intended_at} if run else set()
            if originals.get(name) != uid:
                found.append(f"{name} {uid} is a replacement")
            if uid not in intended:
                found.append(f"{name} was deleted before the intent was on record")
            if _moment(event) - checked > 2 * 10 + DEFAULT.proof_margin + DEFAULT.delete:
                found.append(f"{name} was deleted {_moment(event) - checked:g} s after the last check")
    return found


def _moment(event: dict[str, Any]) -> float:
    return from_rfc3339(event["requestReceivedTimestamp"])


@pytest.mark.parametrize("seed", range(20))
async def test_every_incident_ends_and_nothing_is_deleted_that_may_not_be(seed: int) -> None:
    incident = Incident(seed)
    await incident.run()
    journal = incident.cluster.journal()
    replaced = {name for name, uid in incident.originals.items() if incident.cluster.pod(name).uid != uid}

    assert violations(incident.cluster, incident.originals) == []
    assert len(journal.disruptions) == sum(each.disruptive for each in journal.runs)
    for run in journal.runs[:1]:
        assert run.cause is not RunReason.INTERNAL_ERROR, run.detail
        assert all(step.ended and step.result for step in run.steps), run.steps
        assert bool(replaced) >= (run.outcome is Outcome.RECOVERED)
        assert not replaced or run.outcome in {Outcome.RECOVERED, Outcome.FAILED}


@pytest.mark.parametrize("seed", range(5))
async def test_an_incident_without_failures_is_repaired(seed: int) -> None:
    """Safety alone is easy: a program that does nothing deletes nothing."""
    incident = Incident(seed)
    incident.failing = incident.pausing = 0.0
    async with asyncio.timeout(2 * TROUBLE):
        await incident.run()

    assert [run.outcome for run in runs_of(incident.cluster)] == [Outcome.RECOVERED]
    assert violations(incident.cluster, incident.originals) == []
