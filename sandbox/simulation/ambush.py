"""Events at the worst moment: a random one hits the milliseconds between an intent and a DELETE once in a thousand."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace

from exporter.config.remediation import Mode
from sandbox.cluster.objects import is_terminating, name_of, thaw
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.cluster.resources import PODS
from sandbox.simulation.faults import STOPPED
from sandbox.simulation.people import People
from sandbox.simulation.stage import Stage
from webhook.record import changes
from webhook.record.journal import Journal

PATIENCE = 80.0
"""Seconds for which an ambush is laid."""
RECOVERS, SOON, BLIND = "a BBS recovers", "a BBS recovers soon", "own probes are blind"
CUT_OFF, LOST, FAILS, CHANGE = "an api pod is cut off", "packets are lost", "the DELETE fails", "the pods change"
JOURNAL, LATE, AHEAD = "the journal is refused", "DELETEs are late", "its clock is two hours ahead"
Moment = tuple[str, ...]
PLAYS: tuple[Moment | tuple[Moment, ...], ...] = (
    # at which moment, and what happens then; or several of these, one after another
    (("nc", RECOVERS, BLIND), ("reached", LOST)),
    (("nc", RECOVERS, BLIND), ("reached", LOST)),
    ("nc", RECOVERS, BLIND, CUT_OFF),
    ("nc", "no-nc"),
    (("looked", AHEAD, "no-nc"), ("nc", "crash soon")),
    ("before-intent", CHANGE),
    ("before-intent", FAILS),
    ("before-intent", FAILS),
    ("before-intent", "outlives", SOON),
    ("before-intent", "outlives", RECOVERS),
    ("before-intent", LATE, RECOVERS),
    ("before-intent", LATE, SOON),
    (("delete",), ("looked", JOURNAL)),
    (("delete",), ("looked", JOURNAL)),
    (("delete",), ("delete", LOST)),
    ("delete", JOURNAL, BLIND),
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
    ("intent", "the journal is deleted", "crash"),
    ("intent", "crash", "late delete", RECOVERS),
    ("intent", "late delete", SOON),
    ("intent", "late delete", "stop", SOON),
    ("intent", "doubled delete"),
    ("intent", "doubled delete", RECOVERS),
    ("intent", "reload"),
    ("nc", "reload"),
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
FAILURES = ("lost", "answer-lost", "hangs", "answer-hangs", "503", "429", "malformed", "answer-malformed")
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
            "crash soon": lambda by: self._soon(self._crash, by),
            "outage": self._outage,
            RECOVERS: self._recover,
            SOON: lambda by: self._soon(self._recover, by),
            BLIND: self._blind,
            CUT_OFF: self._cut_off,
            LOST: self._lose_packets,
            CHANGE: self._change,
            JOURNAL: lambda _by: self._refuse(("get configmaps", "update configmaps"), 9.0, 45.0),
            FAILS: lambda _by: self._force(self._random.choice(FAILURES)),
            LATE: lambda _by: self._force("slow", "hangs", "hangs"),
            "outlives": lambda _by: self._force("outlives"),
            "late delete": lambda _by: self._force(self._random.choice(("late", "late", "very-late"))),
            "doubled delete": lambda _by: self._force(self._random.choice(("twice", "echo"))),
            AHEAD: self._set_ahead,
            "no-nc": lambda _by: self._box.fault("no-nc"),
            "resolved": lambda _by: people.resolved(),
            "exclude": lambda _by: people.exclude(),
            "reload": self._reload,
            "the node dies": self._node_dies,
            "the journal is deleted": lambda _by: self._later(people.delete_journal()),
            "pause": lambda _by: people.pause_at_once(),
            "withdraw": lambda _by: people.write(withdrawn),
        }

    async def lay(self) -> None:
        play = self._random.choice(PLAYS)
        stages = [each for each in play if isinstance(each, tuple)] or [tuple(map(str, play))]
        nc = stages[0][0] == "nc"
        skipped = self._random.choice((0, 0, 1, 2, 4) if nc else (0, 0, 0, 1))
        sprung = asyncio.Event()

        def watch(found: str, by: str) -> None:
            nonlocal skipped
            if not stages or found != stages[0][0] or not by.startswith(("replica", "cli")):
                return
            if skipped:
                skipped -= 1
                return
            moment, *chosen = stages.pop(0)
            if not stages:
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

    def _force(self, *faults: str) -> None:
        """The next DELETEs go wrong, also where their process is not there any more."""
        self._stage.faults.forced["delete pods"] = [*faults]

    def _refuse(self, calls: tuple[str, ...], least: float, most: float) -> None:
        until = self._stage.loop.now + self._random.uniform(least, most)
        self._stage.faults.refused |= dict.fromkeys(calls, until)

    def _change(self, _by: str) -> None:
        """`kubectl annotate pods`: they have another resourceVersion than those that the guards saw."""
        self._box.catch_up()
        for pod in self._box.cluster.store.all(PODS, self._box.namespace):
            if not is_terminating(pod):
                body = thaw(pod)
                body["metadata"].setdefault("annotations", {})["looked-at-by"] = "ann"
                self._box.cluster.registry.update(PODS, self._box.namespace, name_of(pod), body)

    def _set_ahead(self, by: str) -> None:
        """A clock that is two hours ahead, as after NTP failed for long."""
        for replica in self._stage.alive:
            if replica.name == by:
                replica.process.wall_offset = 7200.0
                self._box.history.skewed = True

    def _cut_off(self, _by: str) -> None:
        pod = self._random.choice(("api-0", "api-1"))
        self._box.cluster.faults.blind[pod] = self._random.choice((Dialled.TIMEOUT, Dialled.REFUSED))

    def _lose_packets(self, _by: str) -> None:
        """The other api pods still get the same answer."""
        self._stage.loop.call_later(0.3, self._box.fault, "blackhole")
        self._stage.loop.call_later(self._random.uniform(20.0, 60.0), self._box.fault, "no-blackhole")

    def _blind(self, _by: str) -> None:
        self._box.cluster.faults.blind[""] = self._random.choice((Dialled.TIMEOUT, Dialled.REFUSED))

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
