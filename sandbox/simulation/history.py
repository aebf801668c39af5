"""What really happened in an incident, recorded by the cluster itself and not by the programs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from exporter.clock import Clock
from exporter.config.model import Foundation
from sandbox.api.calls import Call
from sandbox.api.server import Answer, Exec, Response
from sandbox.cluster.objects import is_terminating, name_of, uid_of
from sandbox.cluster.resources import PODS
from sandbox.cluster.store import Change
from sandbox.inprocess import InProcess
from webhook.record.encoding import decode
from webhook.record.journal import Journal


@dataclass(frozen=True, slots=True)
class Deleted:
    """A DELETE that took effect on a pod that was not terminating."""

    at: float
    sent: float
    """When the process sent it: what is on its way cannot be fenced (docs/safety.md)."""
    by: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question from an api pod: what `nc` found (0: reached, 1: not reached, 127: no `nc`), and when it ended."""

    at: float
    by: str
    pod: str
    code: int
    serving: frozenset[str] = frozenset()
    """The UIDs of the BBS pods that served at that time: one of them was reached."""


@dataclass(frozen=True, slots=True)
class Written:
    """A journal as it was stored."""

    at: float
    by: str
    journal: Journal
    created: bool = False
    """Whether there was no ConfigMap before."""
    sent: float = 0.0
    """When the process sent it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A firing alert that was answered with a 2xx."""

    sent: float
    at: float
    by: str
    status: int


@dataclass
class History:
    """Times are seconds since the start of the incident."""

    deleted: list[Deleted] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    created: dict[str, float] = field(default_factory=dict)  # pods by UID
    excluded: list[float] = field(default_factory=list)  # when the annotation was written
    lost: list[float] = field(default_factory=list)  # the ConfigMap was deleted by somebody, and a Lease was there
    reset: list[float] = field(default_factory=list)  # a person started a new journal
    changed: dict[str, float] = field(default_factory=dict)  # pods by UID: the last change that was not a deletion
    removed: dict[str, float] = field(default_factory=dict)  # pods by UID
    holders: list[tuple[float, str]] = field(default_factory=list)  # of the Lease, as it was stored
    looked: list[tuple[float, str]] = field(default_factory=list)  # a process read the BBS's StatefulSet
    listed: list[tuple[float, str, str]] = field(default_factory=list)  # a process read pods, by this selector
    configs: list[tuple[float, str, Foundation]] = field(default_factory=list)  # of a process, from then on
    accepted: list[Accepted] = field(default_factory=list)
    skewed: bool = False  # a process's wall clock was wrong

    def config(self, by: str, at: float) -> Foundation | None:
        """The config of a process at a moment; None for one that is no process."""
        return next((found for since, name, found in reversed(self.configs) if name == by and since <= at), None)

    @property
    def journal(self) -> Journal | None:
        return self.written[-1].journal if self.written else None


class RecordedBox(InProcess):
    """The in-process sandbox, which writes the history of what it did."""

    def __init__(self, *, clock: Clock, epoch: float, **options: Any) -> None:
        super().__init__(clock=clock, **options)
        self.history = History()
        self.watchers: list[Callable[[str, str], None]] = []
        """Called with a moment of `sandbox.simulation.ambush.PLAYS`, and the process that acts."""
        self._epoch = epoch
        self.cluster.store.subscribe(self._pods)

    @property
    def since(self) -> float:
        return self.cluster.now - self._epoch

    def _pods(self, change: Change) -> None:
        if change.resource is PODS and change.type == "ADDED":
            self.history.created[uid_of(change.object)] = self.since
        elif change.resource is PODS and change.type == "MODIFIED" and not is_terminating(change.object):
            self.history.changed[uid_of(change.object)] = self.since
        elif change.resource is PODS and change.type == "DELETED":
            self.history.removed[uid_of(change.object)] = self.since

    def tell(self, moment: str, by: str) -> None:
        for watcher in tuple(self.watchers):
            watcher(moment, by)

    def handle(self, call: Call, *, upgrade: bool = False) -> Answer:
        """Answers the call and records what it did."""
        if call.method == "GET":
            answer = super().handle(call, upgrade=upgrade)
            self._read(call, answer)
            return answer
        self.catch_up()
        by = self._by(call)
        pod = self._pod(call) if call.method == "DELETE" else None
        before = None if pod is None else (name_of(pod), uid_of(pod), is_terminating(pod))
        written = call.method in {"PUT", "POST"}
        intends = written and "/configmaps" in call.path and b'\\"intended\\"' in call.body
        if intends:
            self.tell("before-intent", by)
        answer = super().handle(call, upgrade=upgrade)
        if not isinstance(answer, Response) or answer.code >= 300:
            return answer
        if before is not None and not before[2]:
            self.history.deleted.append(Deleted(self.since, float(call.user_agent), by, *before[:2]))
            self.tell("delete", by)
        elif written and "/configmaps" in call.path:
            self._journal(by, call)
            if intends:
                self.tell("intent", by)
        elif written and "/leases" in call.path:
            spec = msgspec.json.decode(call.body)["spec"]
            self.history.holders.append((self.since, spec.get("holderIdentity") or ""))
        return answer

    def _read(self, call: Call, answer: Answer) -> None:
        # bash is asked where nc is missing, and can only prove that the BBS is reachable
        if isinstance(answer, Exec) and ("nc" in answer.argv or ("bash" in answer.argv and not answer.result.code)):
            name, by = unquote(call.path).split("/")[-2], self._by(call)
            ended = self.since + answer.result.seconds
            self.history.asked.append(Asked(ended, by, name, answer.result.code, self._serving()))
            self.tell("nc", by)
            if not answer.result.code:
                self.tell("reached", by)
        elif isinstance(answer, Response) and answer.code < 300:
            if call.path.endswith("/statefulsets/diego-api"):
                self.history.looked.append((self.since, self._by(call)))
            elif call.path.endswith("/pods") and "watch" not in call.query:
                self._listed(self._by(call), "".join(call.query.get("labelSelector", ())))

    def _serving(self) -> frozenset[str]:
        uids = (uid_of(pod) for pod in self.cluster.store.all(PODS, self.namespace))
        return frozenset(uid for uid in uids if self.cluster.locket.serves(uid))

    def _listed(self, by: str, selector: str) -> None:
        self.history.listed.append((self.since, by, selector))
        if selector.endswith("=diego-api"):
            self.tell("looked", by)

    def _by(self, call: Call) -> str:
        return self.access.users.get(call.token or "", "")

    def _pod(self, call: Call) -> Any:
        parts = call.path.split("/")
        if parts[-2:-1] != ["pods"]:
            return None
        return self.cluster.store.get(PODS, self.namespace, parts[-1])

    def _journal(self, by: str, call: Call) -> None:
        data = msgspec.json.decode(call.body).get("data") or {}
        if "journal.json" in data:
            journal = decode(data["journal.json"])
            created, sent = call.method == "POST", float(call.user_agent)
            self.history.written.append(Written(self.since, by, journal, created=created, sent=sent))


def as_lines(history: History) -> list[tuple[float, str]]:
    """The history as a time line."""
    lines = [(each.at, f"{each.by}: DELETE {each.name} {each.uid[:8]}") for each in history.deleted]
    lines += [(each.at, f"{each.by}: nc in {each.pod}: exit {each.code}") for each in history.asked]
    before = ""
    for each in history.written:
        run = each.journal.open_run or (each.journal.runs[-1] if each.journal.runs else None)
        state = "no run" if run is None else f"{run.id} {run.step} {run.outcome or ''} {run.reason}"
        pods = json.dumps({pod.name: pod.state for pod in run.pods}) if run is not None else ""
        paused = " paused" if each.journal.paused else ""
        request = f" request due, waiting for {each.journal.request.waiting_for}" if each.journal.request else ""
        text = f"{state} {pods}{paused}{request} epoch {each.journal.epoch}"
        if text != before:
            lines.append((each.at, f"{each.by}: journal: {text}"))
            before = text
    return sorted(lines, key=lambda item: item[0])
