"""Whole incidents with everything that may go wrong: every run comes to an end, and no pod is deleted twice."""

import asyncio
from collections import Counter
from random import Random

import pytest

from exporter.kubernetes.objects import Pod
from tests.support.medics import BrokenFoundation, Program
from tests.support.memory_writer import TIMED_OUT, Mishap
from tests.support.moments import at, firing
from webhook.record import journal as journals
from webhook.record.journal import Journal, Outcome
from webhook.requests.decision import ask

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time

TROUBLE = 200.0
"""Seconds for which things go wrong; then the API server answers, and programs live on."""


class Incident:
    """Two programs that are killed and come back, and an API server that fails, for a while."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = BrokenFoundation()
        self.restart = self.cluster.on_delete
        self.cluster.on_delete = self._deleted
        self.originals = {f"diego-api-{number}-uid" for number in range(2)}
        self.effective: list[str] = []
        self.lives = 0
        self.better_at = 0.0
        self.bad = self.random.choice([0.0, 0.1, 0.3, 0.5])

    def _deleted(self, pod: Pod) -> None:
        assert pod.uid in self.originals, f"a successor was deleted: {pod.uid}"
        run = self.cluster.journal().open_run
        assert run is not None
        assert [record.intent is not None for record in run.pods if record.uid == pod.uid] == [True]
        if not pod.terminating:
            self.effective.append(pod.uid)
            self.restart(pod)

    def _mishap(self, _call: str) -> Mishap | None:
        if asyncio.get_running_loop().time() > self.better_at or self.random.random() > self.bad:
            return None
        return Mishap(TIMED_OUT, effective=self.random.random() < 0.5)

    async def program(self, name: str) -> None:
        """One life after the other, each with an identity of its own."""
        loop = asyncio.get_running_loop()
        while True:
            self.lives += 1
            program = Program(self.cluster, identity=f"{name}-{self.lives}")
            program.writer.mishap = self._mishap
            program.writer.latency = lambda: self.random.choice([0.01, 0.01, 0.3])
            task = asyncio.create_task(program.medic.run())
            try:
                await asyncio.sleep(self.random.uniform(1, 60) if loop.time() < self.better_at else 1e6)
            finally:
                await program.kill(task)
            await asyncio.sleep(self.random.uniform(0, 10))

    async def person(self) -> None:
        """Pauses it, sometimes."""
        await asyncio.sleep(self.random.uniform(10, 200))
        if self.random.random() < 0.2:
            now = at(asyncio.get_running_loop().time())
            self.cluster.put_journal(journals.pause(self.cluster.journal(), by="ann", reason="", now=now))

    async def run(self) -> Journal:
        """Alerts come until there was a run, which has to end within a quarter of an hour."""
        self.better_at = asyncio.get_running_loop().time() + TROUBLE
        tasks = [asyncio.create_task(self.program(name)) for name in "ab"]
        tasks.append(asyncio.create_task(self.person()))
        alerting = Program(self.cluster, identity="intake")

        def fires(journal: Journal) -> tuple[Journal, None]:
            now = at(asyncio.get_running_loop().time())
            return ask(journal, [firing("a")], alerting.settings, now)[0], None

        await alerting.store.update(fires)
        async with asyncio.timeout(TROUBLE + 900):
            while not (runs := self.cluster.journal().runs) or runs[-1].outcome is None:
                await asyncio.sleep(5)
                for task in tasks[:2]:
                    assert not task.done(), task
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return self.cluster.journal()


async def judge(seed: int) -> str:
    """What must be true of every incident; returns how it ended."""
    incident = Incident(seed)
    journal = await incident.run()
    (run,) = journal.runs
    assert len(incident.effective) == len(set(incident.effective))
    assert len(journal.disruptions) == int(run.disruptive)
    assert all(step.ended and step.result for step in run.steps), run.steps
    if run.outcome is Outcome.RECOVERED:
        assert set(incident.effective) == incident.originals
    elif run.outcome is not Outcome.FAILED:
        assert incident.effective == []
    return f"{run.outcome} {run.reason}"


@pytest.mark.parametrize("seed", range(40))
async def test_every_incident_comes_to_an_end(seed: int) -> None:
    await judge(seed)


async def test_most_incidents_are_healed() -> None:
    """Safety alone is easy: who does nothing deletes nothing."""
    ended = Counter([await judge(seed) for seed in range(40)])

    assert ended["recovered "] >= 10, ended
