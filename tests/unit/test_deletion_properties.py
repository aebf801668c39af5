"""However often the executor dies and the API server fails: each listed pod at most once, and never its successor."""

import asyncio
from collections import Counter
from random import Random

import pytest

from exporter.kubernetes.objects import Pod
from tests.support.executing import UIDS, Bench, bench, holding_on, two_pods
from tests.support.memory_writer import TIMED_OUT, Mishap
from tests.support.moments import at
from webhook.record import journal as journals
from webhook.record.journal import Outcome
from webhook.runbook.deletion import delete_listed
from webhook.runbook.execution import End

pytestmark = pytest.mark.looptime(noop_cycles=1)  # nothing here waits for anything but time


class World:
    """One run, executed by one process after the other, on an API server that fails at random."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = two_pods()
        self.cluster.on_delete = self._deleted
        self.effective: list[str] = []
        self.replaced = 0
        self.lives = 0
        self.paused = False
        self.intended_at_pause = 0

    def _deleted(self, pod: Pod) -> None:
        """A delete has taken effect: was it allowed to?"""
        records = {record.uid: record for record in self.cluster.journal().runs[-1].pods}
        assert pod.uid in UIDS, f"a successor was deleted: {pod.name} {pod.uid}"
        assert records[pod.uid].intent is not None, f"{pod.name} was deleted before that was on record"
        if pod.terminating:
            return  # to ask twice for what is on its way is harmless, as with kubectl
        self.effective.append(pod.uid)
        self.cluster.terminate(pod)
        delay = self.random.choice([0.0, 0.5, 5.0, 60.0])
        asyncio.get_running_loop().call_later(delay, self._replace, pod.name)

    def _replace(self, name: str) -> None:
        self.replaced += 1
        self.cluster.replace_pod(name, uid=f"new-{self.replaced}")

    def _mishap(self, _call: str) -> Mishap | None:
        chance = self.random.random()
        return Mishap(TIMED_OUT, effective=chance < 0.15) if chance < 0.3 else None

    async def live(self) -> None:
        """One process, until it is killed or done."""
        self.lives += 1
        made = await bench(cluster=self.cluster)
        made.writer.mishap = self._mishap
        made.writer.latency = lambda: self.random.choice([0.0, 0.01, 0.5])
        renewal = holding_on(made.held)
        work = asyncio.create_task(self._work(made))
        try:
            await asyncio.wait([work], timeout=self.random.choice([0.5, 2, 10, 100, 1000]))
            if work.done():
                work.result()
        finally:
            for task in (work, renewal):
                task.cancel()
            await asyncio.wait([work, renewal])

    async def _work(self, made: Bench) -> None:
        try:
            for number in range(2):
                record = made.execution.run.pods[number]
                if not record.answer:
                    await delete_listed(record, execution=made.execution, writer=made.writer)
            await made.execution.end(End(Outcome.RECOVERED, ""))
        except End as end:
            await made.execution.end(end)

    async def run(self) -> None:
        await bench(cluster=self.cluster)  # the run is on record
        others = [asyncio.create_task(self._pause_some_time()), asyncio.create_task(self._delete_as_somebody_else())]
        while self.cluster.journal().open_run is not None:
            assert self.lives < 100
            await self.live()
            await asyncio.sleep(1)
        for other in others:
            other.cancel()
        await asyncio.wait(others)

    async def _delete_as_somebody_else(self) -> None:
        """A person, or a node that dies, takes a pod away: it comes back under another UID."""
        for _ in range(self.random.choice([0, 1, 2, 5])):
            await asyncio.sleep(self.random.choice([0.01, 0.3, 1, 5, 20]))
            self._replace(self.random.choice(["diego-api-0", "diego-api-1"]))

    async def _pause_some_time(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0.1, 0.5, 2, 10, 40]))
        if self.random.random() < 0.4:
            journal = self.cluster.journal()
            self.intended_at_pause = sum(pod.intent is not None for pod in journal.runs[-1].pods)
            self.cluster.put_journal(journals.pause(journal, by="ann", reason="", now=at(0)))
            self.paused = True


async def judge(world: World) -> str:
    """What must be true of every end; returns how it ended."""
    await world.run()
    await asyncio.sleep(100)
    run = world.cluster.journal().runs[-1]
    assert len(world.effective) == len(set(world.effective))
    assert set(world.effective) <= {pod.uid for pod in run.pods if pod.intent}
    if run.outcome is Outcome.RECOVERED:
        assert {pod.name for pod in run.pods if world.cluster.pod(pod.name).uid == pod.uid} == set()
        assert all(pod.deleted for pod in run.pods)
    if run.outcome in {Outcome.UNPROVEN, Outcome.REFUSED}:
        assert world.effective == []
    if world.paused:
        assert sum(pod.intent is not None for pod in run.pods) == world.intended_at_pause
    return f"{run.outcome} {run.reason}"


@pytest.mark.parametrize("seed", range(100))
async def test_each_listed_pod_once_and_no_other(seed: int) -> None:
    await judge(World(seed))


async def test_all_kinds_of_ends_are_reached() -> None:
    """Else the test above would prove little."""
    ended = Counter([await judge(World(seed)) for seed in range(100)])

    assert ended["recovered "] >= 20
    assert ended["refused paused"] >= 1
    assert ended["failed paused after 1 of 2"] >= 1
