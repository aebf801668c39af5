"""Events at the worst moment: a random one hits the milliseconds between an intent and a DELETE once in a thousand."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from exporter.config.remediation import Mode
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.simulation.faults import STOPPED
from sandbox.simulation.people import People
from sandbox.simulation.stage import Stage
from webhook.record import changes
from webhook.record.journal import Journal

PATIENCE = 80.0
"""Seconds for which an ambush is laid."""
RECOVERS, SOON, BLIND = "a BBS recovers", "a BBS recovers soon", "own probes are blind"
PLAYS = (
    # at which moment, and what happens then
    ("nc", RECOVERS),
    ("nc", RECOVERS),
    ("nc", "withdraw"),
    ("nc", "resolved"),
    ("nc", "pause"),
    ("nc", "stop", RECOVERS),
    ("before-intent", "pause"),
    ("before-intent", "withdraw"),
    ("before-intent", "stop"),
    ("intent", "stop"),
    ("intent", "stop", RECOVERS),
    ("answered", "stop"),
    ("answered", "stop", RECOVERS),
    ("intent", "crash"),
    ("intent", "crash", "exclude"),
    ("intent", "crash", RECOVERS, BLIND),
    ("intent", "the journal is deleted"),
    ("intent", "crash", "late delete", RECOVERS),
    ("intent", "late delete", SOON),
    ("intent", "late delete", "stop", SOON),
    ("intent", "doubled delete"),
    ("intent", "doubled delete", RECOVERS),
    ("intent", "reload"),
    ("delete", "stop", RECOVERS, BLIND),
    ("delete", "crash", RECOVERS, BLIND),
    ("delete", "crash", "exclude"),
    ("delete", "outage"),
    ("delete", "outage", RECOVERS, BLIND),
    ("delete", "outage", "exclude"),
    ("delete", "exclude"),
    ("delete", "reload"),
    ("delete", "the node dies"),
    ("delete", "pause"),
    ("delete", "the journal is deleted"),
    ("delete", RECOVERS),
)
OUTAGES = (5.0, 12.0, 20.0, 32.0, 50.0, 90.0)
"""Seconds without the API server: around the age at which a proof expires, and the lease."""


class Ambush:
    """Waits for a moment of a run, and then does one to three things within that very callback."""

    def __init__(self, stage: Stage, people: People) -> None:
        self._stage = stage
        self._box = stage.box
        self._random = stage.random
        self._people = people
        self._deeds: dict[str, Callable[[str], None]] = {
            "stop": self._stop,
            "crash": self._crash,
            "outage": self._outage,
            RECOVERS: self._recover,
            SOON: lambda by: self._soon(self._recover, by),
            BLIND: self._blind,
            "late delete": self._late_delete,
            "doubled delete": self._doubled_delete,
            "resolved": lambda _by: people.resolved(),
            "exclude": lambda _by: people.exclude(),
            "reload": self._reload,
            "the node dies": self._node_dies,
            "the journal is deleted": lambda _by: self._later(people.delete_journal()),
            "pause": lambda _by: people.pause_at_once(),
            "withdraw": lambda _by: people.write(withdrawn),
        }

    async def lay(self) -> None:
        moment, *chosen = self._random.choice(PLAYS)
        skipped = self._random.choice((0, 0, 1, 2, 4)) if moment == "nc" else self._random.choice((0, 0, 0, 1))
        sprung = asyncio.Event()

        def watch(found: str, by: str) -> None:
            nonlocal skipped
            if found != moment or sprung.is_set() or not by.startswith(("replica", "cli")):
                return
            if skipped:
                skipped -= 1
                return
            sprung.set()
            for name in chosen:
                self._stage.note(f"ambush at {moment} of {by}: {name}")
                self._deeds[name](by)

        self._box.watchers.append(watch)
        try:
            async with asyncio.timeout(PATIENCE):
                await sprung.wait()
        except TimeoutError:
            pass
        finally:
            self._box.watchers.remove(watch)

    def _stop(self, by: str) -> None:
        for replica in self._stage.alive:
            if replica.name == by:
                self._stage.loop.stop_process(replica.process, self._random.choice(STOPPED))

    def _crash(self, by: str) -> None:
        for replica in self._stage.alive:
            if replica.name == by:
                self._stage.faults.crash(replica.process)

    def _outage(self, _by: str) -> None:
        """What is answered already still arrives; then the API server is away."""
        self._box.mishaps.set(killed=True)
        self._stage.loop.call_later(self._random.choice(OUTAGES), partial(self._box.mishaps.set, killed=False))

    def _recover(self, _by: str) -> None:
        self._box.fault("crash", self._random.choice(("diego-api-0", "diego-api-1")))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._stage.helpers.append(asyncio.create_task(work))

    def _soon(self, deed: Callable[[str], None], by: str) -> None:
        self._stage.loop.call_later(self._random.uniform(0.03, 2.0), deed, by)

    def _late_delete(self, _by: str) -> None:
        """The next DELETE is long on its way, also where its process is not there any more."""
        self._stage.faults.forced["delete pods"] = self._random.choice(("late", "late", "very-late"))

    def _blind(self, _by: str) -> None:
        self._box.cluster.faults.blind[""] = self._random.choice((Dialled.TIMEOUT, Dialled.REFUSED))

    def _doubled_delete(self, _by: str) -> None:
        """A proxy sends the next DELETE twice."""
        self._stage.faults.forced["delete pods"] = self._random.choice(("twice", "echo"))

    def _reload(self, _by: str) -> None:
        if self._random.random() < 0.3:
            self._people.reload_settings()
        else:
            self._people.reload_mode(self._random.choice((Mode.OBSERVE, Mode.APPROVE)))

    def _node_dies(self, _by: str) -> None:
        self._box.fault("node-dies", self._random.choice(("diego-api-0", "diego-api-1")))


def withdrawn(journal: Journal) -> Journal:
    """As after a `resolved` that another replica took."""
    run = journal.open_run
    if run is None or run.person is not None:
        return journal
    alerts = {key: replace(alert, firing=False) for key, alert in run.alerts.items()}
    return changes.update_run(journal, replace(run, alerts=alerts))
