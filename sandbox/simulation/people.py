"""What people and operators do in an incident: with kubectl, with the command line, with the config."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from exporter.config.model import Foundation
from exporter.config.remediation import Mode
from sandbox.cluster.objects import thaw
from sandbox.cluster.resources import CONFIGMAPS, LEASES, STATEFULSETS
from sandbox.simulation.alerting import LIFETIME, Sent
from sandbox.simulation.history import Written
from sandbox.simulation.replica import Replica
from sandbox.simulation.stage import Stage
from webhook.operator.run_command import observing
from webhook.record import changes
from webhook.record.encoding import encode
from webhook.record.journal import Journal, PersonRecord
from webhook.requests.decision import request_as_person

APPROVED = 0.8
"""How often somebody approves a run that waits for it."""


class People:
    """Their deeds, each by a method. Some return when they are done, some at once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._box = stage.box
        self._random = stage.random

    # ---- operators of the cluster

    def reload(self, foundation: Foundation) -> None:
        """Every process takes another config, as soon as it runs."""
        for replica in self._stage.alive:
            replica.reload(foundation)

    def reload_mode(self, mode: Mode) -> None:
        """As `reload`, with another mode."""
        self.reload(_with(self._stage.foundation, mode=mode))

    def reload_settings(self) -> None:
        """As `reload`, with other limits and windows."""
        remediation, random = self._stage.foundation.remediation, self._random
        self.reload(
            _with(
                self._stage.foundation,
                confirm=replace(remediation.confirm, attempts=random.choice((2, 3, 5))),
                verify=replace(remediation.verify, attempts=random.choice((1, 2, 3))),
                await_ready=replace(remediation.await_ready, timeout=random.choice((10.0, 60.0))),
                max_pods=random.choice((1, 10)),
            )
        )

    async def delete_journal(self) -> None:
        """`kubectl delete configmap`, by mistake; the webhook may start again, and a person may find out and reset."""
        stage, store, namespace = self._stage, self._box.cluster.store, self._box.namespace
        self._box.catch_up()
        if store.all(CONFIGMAPS, namespace):
            stage.losses += 1
            stage.lost = True  # to every process that has read it
            if store.all(LEASES, namespace):  # and to those that start later
                self._box.history.lost.append(self._box.since)
        for obj in store.all(CONFIGMAPS, namespace):
            self._box.cluster.registry.delete(CONFIGMAPS, namespace, obj["metadata"]["name"], {})
        if self._random.random() < 0.5:
            await asyncio.sleep(self._random.uniform(1.0, 30.0))
            self.reload(stage.foundation)
        if self._random.random() < 0.5:
            await asyncio.sleep(self._random.uniform(1.0, 30.0))
            await self._reset()

    async def _reset(self) -> None:
        """`diego-runbook reset`."""
        if not self._stage.alive:
            return
        replica = self._random.choice(self._stage.alive)
        self._box.history.reset.append(self._box.since)

        async def work() -> None:
            medic, losses = replica.medics.get("cf"), self._stage.losses
            if medic is not None and await medic.store.reset_lost() and self._stage.losses == losses:
                self._stage.lost = False  # a machine that was suspended may hear of it after another loss

        await self._command(replica, work())

    def exclude(self) -> None:
        """`kubectl annotate`."""
        self._box.catch_up()
        name = self._stage.foundation.diego_api.statefulset[0]
        found = self._box.cluster.store.get(STATEFULSETS, self._box.namespace, name)
        if found is None:
            return
        body = thaw(found)
        body["metadata"].setdefault("annotations", {})["diego-medic/exclude"] = "ann: storm"
        self._box.cluster.registry.update(STATEFULSETS, self._box.namespace, name, body)
        self._box.history.excluded.append(self._box.since)

    def set_clock(self) -> None:
        """`date --set`, or NTP after a long while without it."""
        if self._stage.alive:
            process = self._random.choice(self._stage.alive).process
            process.wall_offset += self._random.choice((-3600.0, -60.0, -5.0, 5.0, 60.0, 3600.0))
            self._box.history.skewed = True

    def resolved(self) -> None:
        """An Alertmanager that is cut off from Prometheus resolves what it has heard too long ago."""
        now = self._stage.clock.now()
        self._stage.helpers.append(asyncio.create_task(self._resolve(Sent(now - LIFETIME, now))))

    async def _resolve(self, alert: Sent) -> None:
        await self._stage.deliver(alert, firing=False)

    # ---- users of the command line

    def write(self, change: Callable[[Journal], Journal]) -> None:
        """A person's command that wins the race for the journal."""
        found = next(iter(self._box.cluster.store.all(CONFIGMAPS, self._box.namespace)), None)
        before = self._box.history.journal
        if found is None or before is None:
            return
        journal = change(before)
        body = thaw(found)
        body["data"]["journal.json"] = encode(journal)
        self._box.cluster.registry.update(CONFIGMAPS, self._box.namespace, body["metadata"]["name"], body)
        self._box.history.written.append(Written(self._box.since, "ann", journal, sent=self._box.since))

    def pause_at_once(self) -> None:
        now = self._stage.now
        self.write(lambda journal: changes.pause(journal, by="ann", reason="", now=now))

    async def pause(self) -> None:
        """`diego-runbook pause`."""
        if self._stage.alive:
            now = self._stage.now
            replica = self._random.choice(self._stage.alive)
            await self._change(replica, lambda journal: changes.pause(journal, by="ann", reason="storm", now=now))

    async def approve(self) -> None:
        """Looks again and again at what waits, and approves it or not."""
        asked: set[str] = set()
        stage = self._stage
        while True:
            await asyncio.sleep(3.0)
            run = stage.journal.open_run if stage.journal is not None else None
            if run is None or not run.awaits_approval or run.id in asked or not stage.alive:
                continue
            asked.add(run.id)
            if self._random.random() < APPROVED:
                replica = self._random.choice(stage.alive)
                stage.note(f"a person approves {run.id}")
                await self._change(replica, partial(changes.approve, run_id=run.id, by="ann", now=stage.now))

    async def run(self, *, observe: bool) -> None:
        """`diego-runbook run`, from a machine of its own."""
        stage = self._stage
        foundation = observing(stage.foundation) if observe else stage.foundation
        person = PersonRecord(by="ann@desk", at=stage.now, observe=observe)
        cli = stage.make(
            f"cli.{len(stage.replicas)}",
            foundation=foundation,
            executes=lambda run: not observe or run.person == person,
            decides=lambda request: request.person == person,
        )
        try:
            await asyncio.sleep(0.5)
            await self._change(cli, lambda journal: request_as_person(journal, person, foundation)[0])
        finally:  # also where the storm ends meanwhile: a command does not stay for ever
            stage.helpers.append(asyncio.create_task(self._leave(cli, person)))

    async def _leave(self, cli: Replica, person: PersonRecord) -> None:
        """A command ends with its run, or where its request was dropped."""
        while cli.process.alive:
            await asyncio.sleep(2.0)
            journal = self._stage.journal
            mine = [run for run in journal.runs if run.person == person] if journal is not None else []
            waits = journal is not None and journal.request is not None and journal.request.person == person
            joined = journal is not None and journal.open_run is not None and not person.observe
            if not waits and not joined and all(run.outcome is not None for run in mine):
                self._stage.loop.kill(cli.process)

    async def _change(self, replica: Replica, change: Callable[[Journal], Journal]) -> None:
        async def work() -> None:
            medic = replica.medics.get("cf")
            if medic is not None:
                await medic.store.update(lambda journal: (change(journal), None))

        await self._command(replica, work())

    async def _command(self, replica: Replica, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(20):
                await replica.run_inside(work)
        except Exception as error:  # noqa: BLE001 - a person's command may fail like any other
            self._stage.note(f"a command failed: {error!r}")


def _with(foundation: Foundation, **changes: Any) -> Foundation:
    return replace(foundation, remediation=replace(foundation.remediation, **changes))
