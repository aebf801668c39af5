"""What happens in a random incident besides the programs' own faults: the world, the people, the operators."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from exporter.config.model import Foundation
from exporter.config.remediation import Mode
from sandbox.cluster.objects import thaw
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.cluster.resources import STATEFULSETS, STORED
from sandbox.simulation import settings
from sandbox.simulation.alerting import LIFETIME, Alertmanager, Prometheus, Sent
from sandbox.simulation.ambush import APPROVED, CONFIG_MAPS, Ambush
from sandbox.simulation.replica import Replica
from webhook.operator.run_command import observing
from webhook.record import changes
from webhook.record.journal import Journal, PersonRecord
from webhook.requests.decision import request_as_person

if TYPE_CHECKING:
    from sandbox.simulation.incident import Incident

DURATION = 90.0
"""Seconds in which things go wrong."""
LEASES = next(each for each in STORED if each.plural == "leases")
SWITCHES = ("freeze-label", "label-all", "label-none", "split-brain", "no-nc", "lock-elsewhere", "unhealthy")
POD_SWITCHES = ("stuck", "never-ready")

Event = Callable[[], Awaitable[None]]


class Storm:
    """A few events, each at a random moment."""

    def __init__(self, incident: "Incident", managers: list[Alertmanager], proms: list[Prometheus]) -> None:
        self.incident = self._incident = incident
        self._ambush = Ambush(self)
        self._box = incident.box
        self._random = incident.random
        self._managers = managers
        self._proms = proms
        self.over = False
        """Whether every event has happened; an ambush may still be laid."""
        self.events: dict[str, Event] = {
            "api hangs": self._api_hangs,
            "api dies": self._api_dies,
            "own probes are blind": self._blind,
            "a BBS recovers": self._recovers,
            "compaction": self._compaction,
            "reload": self._reload,
            "one Prometheus has no data": self._mute,
            "one Alertmanager is cut off": self._cut,
            "the journal is deleted": self.delete_journal,
            "pause": self._pause,
            "exclude": self._excluded,
            "a clock is set": self._set_clock,
            "a person runs": lambda: self._person(observe=False),
            "a person observes": lambda: self._person(observe=True),
        }
        self.events |= {name: self._switch(name) for name in SWITCHES}
        self.events |= {f"{name} diego-api-1": self._switch(name, "diego-api-1") for name in POD_SWITCHES}

    async def run(self) -> None:
        """Until it is cancelled."""
        count = self._random.choice((0, 1, 1, 2, 3, 5)) if self._incident.plan.random else 0
        if not self._incident.plan.random:
            return
        focused = self._incident.faults.focused
        tasks = [asyncio.create_task(self._approve())]
        if focused or (count and self._random.random() < 0.3):
            tasks += [asyncio.create_task(self._ambush.lay()) for _ in range(self._random.choice((1, 1, 2)))]
        try:
            await self._events(0 if focused else count)
            self.over = True
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _events(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(self._random.uniform(0.0, DURATION / 3))
            name = self._random.choice(list(self.events))
            self._incident.note(f"event: {name}")
            await self.events[name]()

    # ---- the world

    def _switch(self, name: str, argument: str = "") -> Event:
        async def apply() -> None:
            self._box.fault(name, argument)

        return apply

    async def _api_hangs(self) -> None:
        self._box.mishaps.set(hanging=True)
        await self._a_while()
        self._box.mishaps.set(hanging=False)

    async def _api_dies(self) -> None:
        self._box.mishaps.set(killed=True)
        await self._a_while()
        self._box.mishaps.set(killed=False)

    async def _a_while(self) -> None:
        await asyncio.sleep(self._random.choice((1.0, 5.0, 12.0, 20.0, 40.0)))

    async def _blind(self) -> None:
        self._box.cluster.faults.blind[""] = self._random.choice((Dialled.TIMEOUT, Dialled.REFUSED))

    async def _recovers(self) -> None:
        self._box.fault("crash", self._random.choice(("diego-api-0", "diego-api-1")))

    async def _compaction(self) -> None:
        self._box.cluster.forget_history()

    async def _mute(self) -> None:
        self._random.choice(self._proms).blind = True

    async def _cut(self) -> None:
        self._random.choice(self._managers).cut = True

    # ---- operators

    async def _reload(self) -> None:
        self.reload(self._random.choice((Mode.OBSERVE, Mode.AUTO, Mode.APPROVE)))

    def reload(self, mode: Mode) -> None:
        """Every process takes the config with this mode, as soon as it runs."""
        for replica in self._incident.alive:
            replica.reload(with_mode(self._incident.foundation, mode))

    async def delete_journal(self) -> None:
        """`kubectl delete configmap`, by mistake; sometimes a person finds out and resets it."""
        self._box.catch_up()
        store, namespace = self._box.cluster.store, self._box.namespace
        if store.all(LEASES, namespace) and store.all(CONFIG_MAPS, namespace):
            self._incident.lost = True
            self._box.history.lost.append(self._box.since)
        for obj in store.all(CONFIG_MAPS, namespace):
            self._box.cluster.registry.delete(CONFIG_MAPS, namespace, obj["metadata"]["name"], {})
        if self._random.random() < 0.5:
            await asyncio.sleep(self._random.uniform(1.0, 30.0))
            await self._reset()

    async def _reset(self) -> None:
        """`diego-runbook reset`."""
        if not self._incident.alive:
            return
        replica = self._random.choice(self._incident.alive)
        history = self._box.history
        history.reset.append(self._box.since)

        async def work() -> None:
            medic = replica.medics.get("cf")
            if medic is not None and await medic.store.reset_lost():
                self._incident.lost = False

        await self._command(replica, work())

    async def _set_clock(self) -> None:
        """`date --set`, or NTP after a long while without it."""
        if self._incident.alive:
            process = self._random.choice(self._incident.alive).process
            process.wall_offset += self._random.choice((-3600.0, -60.0, -5.0, 5.0, 60.0, 3600.0))
            self._box.history.skewed = True

    async def _approve(self) -> None:
        """A person looks at what waits, and approves it or not."""
        asked: set[str] = set()
        while True:
            await asyncio.sleep(3.0)
            journal = self._box.history.journal
            run = journal.open_run if journal is not None else None
            if run is None or not run.awaits_approval or run.id in asked or not self._incident.alive:
                continue
            asked.add(run.id)
            if self._random.random() < APPROVED:
                replica = self._random.choice(self._incident.alive)
                self._incident.note(f"a person approves {run.id}")
                await self._change(replica, partial(changes.approve, run_id=run.id, by="ann", now=self.now))

    async def _excluded(self) -> None:
        self.exclude()

    def resolved(self) -> None:
        """An Alertmanager that is cut off from Prometheus resolves what it has heard too long ago."""
        now = self._incident.clock.now()
        self._incident.helpers.append(asyncio.create_task(self._resolve(Sent(now - LIFETIME, now))))

    async def _resolve(self, alert: Sent) -> None:
        await self._incident.deliver(alert, firing=False)

    def exclude(self) -> None:
        """`kubectl annotate`."""
        self._box.catch_up()
        name = self._incident.foundation.diego_api.statefulset[0]
        found = self._box.cluster.store.get(STATEFULSETS, self._box.namespace, name)
        if found is None:
            return
        body = thaw(found)
        body["metadata"].setdefault("annotations", {})["diego-medic/exclude"] = "ann: storm"
        self._box.cluster.registry.update(STATEFULSETS, self._box.namespace, name, body)
        self._box.history.excluded.append(self._box.since)

    async def _pause(self) -> None:
        alive = self._incident.alive
        if alive:
            now = self.now
            replica = self._random.choice(alive)
            await self._change(replica, lambda journal: changes.pause(journal, by="ann", reason="storm", now=now))

    async def _person(self, *, observe: bool) -> None:
        """`diego-runbook run`, from a machine of its own."""
        incident = self._incident
        foundation = observing(incident.foundation) if observe else incident.foundation
        person = PersonRecord(by="ann@desk", at=self.now, observe=observe)
        cli = Replica(
            f"cli.{len(incident.replicas)}",
            loop=incident.loop,
            box=self._box,
            faults=incident.faults,
            foundation=foundation,
            timings=settings.TIMINGS,
            dial=incident.dial,
            random=self._random,
            executes=lambda run: not observe or run.person == person,
            decides=lambda request: request.person == person,
        )
        incident.replicas.append(cli)
        await asyncio.sleep(0.5)
        await self._change(cli, lambda journal: request_as_person(journal, person, foundation)[0])
        incident.helpers.append(asyncio.create_task(self._leave(cli, person)))

    async def _leave(self, cli: Replica, person: PersonRecord) -> None:
        """A command ends with its run, or where its request was dropped."""
        while cli.process.alive:
            await asyncio.sleep(2.0)
            journal = self._box.history.journal
            mine = [run for run in journal.runs if run.person == person] if journal is not None else []
            waits = journal is not None and journal.request is not None and journal.request.person == person
            joined = journal is not None and journal.open_run is not None and not person.observe
            if not waits and not joined and all(run.outcome is not None for run in mine):
                self._incident.loop.kill(cli.process)

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
            self._incident.note(f"a command failed: {error!r}")

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._incident.clock.now(), UTC)


def with_mode(foundation: Foundation, mode: Mode) -> Foundation:
    remediation = foundation.remediation.model_copy(update={"mode": mode})
    return foundation.model_copy(update={"remediation": remediation})
