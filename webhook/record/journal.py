"""The journal of a foundation: what is asked, what was done, and what a person said. Values and pure transitions only.

It is kept in one ConfigMap (`webhook.record.store`), so a run survives whoever executed it. Times are UTC; in the
ConfigMap they are RFC 3339.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

VERSION = 1
MAX_RUNS = 50
MAX_BYTES = 256 * 1024
MAX_TEXT = 2000
"""Characters of a text that is kept, evidence apart: what others say must not crowd out what was done."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Outcome(StrEnum):
    """How a run ended; the meanings are the contract's, in docs/runs.md."""

    RECOVERED = "recovered"
    NOT_NEEDED = "not-needed"
    OBSERVED = "observed"
    UNPROVEN = "unproven"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Step(StrEnum):
    """The steps of the documented procedure, in its order."""

    CHECK_CLOUD_CONTROLLER = "check-cloud-controller"
    CONFIRM_UNREACHABLE = "confirm-unreachable"
    PRESERVE_EVIDENCE = "preserve-evidence"
    RESTART = "restart"
    AWAIT_READY = "await-ready"
    VERIFY_REACHABLE = "verify-reachable"


class StepResult(StrEnum):
    """How a step ended: `stopped` where it ended the run without a fault, `interrupted` where its process died."""

    OK = "ok"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is kept: immutable, and strict, so that what is not a journal of ours is noticed.

    A field that this program does not know is of a newer one, and would be lost at the next write: then it writes
    nothing at all.
    """


class StepRecord(Record, frozen=True):
    name: Step
    started: Moment
    ended: Moment | None = None
    result: StepResult | None = None
    detail: str = ""


class PodRecord(Record, frozen=True):
    """A pod that is to go: `intent` is written before the delete, `answer` and `deleted` after it."""

    name: str
    uid: str
    statefulset: str
    grace: int = 30  # seconds that the pod is given to end, as Kubernetes's own default
    intent: Moment | None = None
    deleted: bool = False
    answer: str = ""


class PersonRecord(Record, frozen=True):
    """A person who asks with `diego-runbook run`."""

    by: str
    at: Moment
    observe: bool = False


class Run(Record, frozen=True):
    id: str
    foundation: str
    runbook: str
    mode: str
    started: Moment
    alerts: dict[str, bool] = {}  # fingerprint: whether it still fires
    asked_by: str = ""  # the alerts' names, or the person
    person: PersonRecord | None = None
    ended: Moment | None = None
    outcome: Outcome | None = None
    reason: str = ""
    detail: str = ""
    step: Step | None = None
    steps: tuple[StepRecord, ...] = ()
    pods: tuple[PodRecord, ...] = ()
    evidence: str = ""
    executor: str = ""

    @property
    def disruptive(self) -> bool:
        """From the moment at which the first delete is on record as intent."""
        return any(pod.intent is not None for pod in self.pods)

    @property
    def withdrawn(self) -> bool:
        """Whether every alert that asked for it is resolved. A person does not withdraw this way."""
        return self.person is None and bool(self.alerts) and not any(self.alerts.values())


class AlertRecord(Record, frozen=True):
    """An alert that asks: its name, since when it fires, and when it was last heard of."""

    alertname: str
    starts_at: Moment
    heard: Moment


class Request(Record, frozen=True):
    """Who asks for a run now, and from when on it may be decided; `waits_for` is empty, `cooldown` or `retry`."""

    due: Moment
    alerts: dict[str, AlertRecord] = {}
    person: PersonRecord | None = None
    waits_for: str = ""


class Disruption(Record, frozen=True):
    """A disruptive run, as the breaker and the cooldown count it. Kept when the run itself has been trimmed."""

    run: str
    started: Moment
    ended: Moment | None = None


class Pause(Record, frozen=True):
    by: str
    at: Moment
    reason: str


class Note(Record, frozen=True):
    """What a person did, or what was decided without a run: for `diego-runbook history`."""

    at: Moment
    text: str
    count: int = 1


class Resolution(Record, frozen=True):
    """A `resolved` that was seen: when the alert ended, and when that was heard."""

    ended: Moment
    heard: Moment


class Journal(Record, frozen=True):
    foundation: str
    version: int = VERSION
    epoch: int = 0
    request: Request | None = None
    resolved: dict[str, Resolution] = {}  # by fingerprint: a firing that is older is a late duplicate
    paused: Pause | None = None
    breaker_open: Moment | None = None
    breaker_reset: Moment | None = None
    disruptions: tuple[Disruption, ...] = ()
    runs: tuple[Run, ...] = ()  # oldest first
    notes: tuple[Note, ...] = ()  # oldest first

    @property
    def open_run(self) -> Run | None:
        return self.runs[-1] if self.runs and self.runs[-1].outcome is None else None

    def find(self, run_id: str) -> Run | None:
        return next((run for run in self.runs if run.id == run_id), None)


class JournalUnreadableError(ValueError):
    """What stands in the ConfigMap is not a journal of this version."""


def encode(journal: Journal) -> str:
    """The journal as it is kept, within `MAX_BYTES`: first old evidence goes, then old runs, never the open one."""
    runs = list(journal.runs)
    keep = 1 if journal.open_run else 0
    while len(runs) > MAX_RUNS:
        del runs[0]
    while True:
        text = msgspec.json.encode(msgspec.structs.replace(journal, runs=tuple(runs)))
        if len(text) <= MAX_BYTES:
            return text.decode()
        heavy = next((index for index, run in enumerate(runs[:-1]) if run.evidence), None)
        if heavy is not None:
            runs[heavy] = msgspec.structs.replace(runs[heavy], evidence="")
        elif len(runs) > keep:
            del runs[0]
        else:
            return text.decode()  # a single run's evidence is bounded, so this is well below the API's own limit


class _Versioned(msgspec.Struct):
    version: int


def decode(text: str) -> Journal:
    """Raises JournalUnreadableError."""
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version != VERSION:
            raise JournalUnreadableError(f"version {version}, this program reads {VERSION}")
        return msgspec.json.decode(text, type=Journal)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise JournalUnreadableError(str(error)) from error


def note(journal: Journal, text: str, now: datetime) -> Journal:
    """Adds a note; the same text again only raises its count."""
    text = text[:MAX_TEXT]
    notes = journal.notes
    if notes and notes[-1].text == text:
        notes = (*notes[:-1], Note(at=now, text=text, count=notes[-1].count + 1))
    else:
        notes = (*notes, Note(at=now, text=text))
    return msgspec.structs.replace(journal, notes=notes[-20:])


def update_run(journal: Journal, run: Run) -> Journal:
    """Replaces the run of the same id."""
    return msgspec.structs.replace(journal, runs=tuple(run if run.id == old.id else old for old in journal.runs))


def end_run(journal: Journal, run: Run, *, breaker_runs: int, breaker_window: timedelta, now: datetime) -> Journal:
    """Puts an ended run on record; a disruptive one counts for the cooldown and the breaker, whatever its outcome."""
    journal = update_run(journal, run)
    disruptions = tuple(
        msgspec.structs.replace(item, ended=run.ended) if item.run == run.id else item for item in journal.disruptions
    )
    journal = msgspec.structs.replace(journal, disruptions=disruptions)
    # How long the last one took does not count: within the window is where they began.
    began = next((item.started for item in disruptions if item.run == run.id), now)
    return trip(journal, runs=breaker_runs, since=began - breaker_window, now=now)


def trip(journal: Journal, *, runs: int, since: datetime, now: datetime) -> Journal:
    """Opens the breaker where `runs` disruptive runs began at `since` or later, and after the last reset.

    Once open it stays so, until a person says `reset`.
    """
    since = max(filter(None, (journal.breaker_reset, since)))
    counted = [item for item in journal.disruptions if item.started >= since]
    if journal.breaker_open or len(counted) < runs:
        return journal
    return note(msgspec.structs.replace(journal, breaker_open=now), f"breaker opened after {len(counted)} runs", now)


def record_intent(journal: Journal, run: Run, pod_uid: str, *, window: timedelta, now: datetime) -> Journal:
    """Writes that this pod is going to be deleted; with the first one the run becomes disruptive, and counts."""
    if not run.disruptive:
        kept = tuple(item for item in journal.disruptions if now - item.started <= window) or journal.disruptions[-1:]
        journal = msgspec.structs.replace(journal, disruptions=(*kept, Disruption(run=run.id, started=now)))
    pods = tuple(msgspec.structs.replace(pod, intent=now) if pod.uid == pod_uid else pod for pod in run.pods)
    return update_run(journal, msgspec.structs.replace(run, pods=pods))


def pause(journal: Journal, *, by: str, reason: str, now: datetime) -> Journal:
    return note(
        msgspec.structs.replace(journal, paused=Pause(by=by, at=now, reason=reason[:MAX_TEXT]), request=None),
        f"paused by {by}: {reason}",
        now,
    )


def resume(journal: Journal, *, by: str, now: datetime) -> Journal:
    """Ends the pause. What was asked before is not replayed: an alert that still fires comes again."""
    return note(msgspec.structs.replace(journal, paused=None, request=None), f"resumed by {by}", now)


def reset(journal: Journal, *, by: str, now: datetime) -> Journal:
    """Closes the breaker; only what comes later counts for it. What was asked before is not replayed."""
    closed = msgspec.structs.replace(journal, breaker_open=None, breaker_reset=now, request=None)
    return note(closed, f"breaker reset by {by}", now)
