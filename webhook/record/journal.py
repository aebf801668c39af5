"""The journal of a foundation: what is requested, what was done, and what a person decided. Values only.

It is stored in one ConfigMap (`webhook.record.store`), so a run survives the process that executed it. Times are UTC;
in the ConfigMap they are RFC 3339. How a journal changes is in `webhook.record.changes`.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from webhook.record.reasons import RunReason, reason_of

VERSION = 2
MAX_RUNS = 50
MAX_BYTES = 256 * 1024
MAX_STEPS = 60
"""Steps that are kept of one run: a run that is resumed again and again must not outgrow the ConfigMap."""
MAX_TEXT = 2000
"""Characters that are kept of a text, except evidence: texts of others must not displace records of ours."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


def later(moment: datetime, by: timedelta) -> datetime:
    """`moment + by`, or the end of the calendar: a journal that a person edited may have any moment in it."""
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta() else datetime.min.replace(tzinfo=UTC)


class Outcome(StrEnum):
    """How a run ended; docs/runs.md says what stands below each."""

    RECOVERED = "recovered"
    """Pods were restarted, and every check passed: new, ready, exactly one active, reachable from the api pods."""
    NOT_NEEDED = "not-needed"
    """The BBS is reachable, or recovered before the run deleted a pod: nothing was deleted."""
    OBSERVED = "observed"
    """The mode is `observe`: pods would have been deleted."""
    UNPROVEN = "unproven"
    """It could not be proved whether the BBS is reachable: nothing was deleted."""
    REFUSED = "refused"
    """A guard refused before the first delete: nothing was deleted."""
    CANCELLED = "cancelled"
    """All alerts were resolved, or nobody approved the run in time: nothing was deleted."""
    FAILED = "failed"
    """A check failed, or could not be made, after the restart started: pods were deleted, or may have been."""


class Step(StrEnum):
    """The steps of a run, in their order. Evidence and approval are not in IBM's runbook: docs/runbook.md."""

    CHECK_CLOUD_CONTROLLER = "check-cloud-controller"
    CONFIRM_UNREACHABLE = "confirm-unreachable"
    PRESERVE_EVIDENCE = "preserve-evidence"
    AWAIT_APPROVAL = "await-approval"
    RESTART = "restart"
    AWAIT_READY = "await-ready"
    VERIFY_REACHABLE = "verify-reachable"


class StepResult(StrEnum):
    """How a step ended; docs/runs.md says what stands below each."""

    OK = "ok"
    """It is done."""
    STOPPED = "stopped"
    """It ended the run without a fault: nothing to do, a guard refused, all alerts resolved."""
    FAILED = "failed"
    """It ended the run as `unproven` or `failed`."""
    INTERRUPTED = "interrupted"
    """Its process exited; the next one repeated the step."""


class PodState(StrEnum):
    """What became of a pod that the run listed. Only `deleted` claims that this run deleted it."""

    LISTED = "listed"
    """The run may delete it, and has not."""
    INTENDED = "intended"
    """A delete may have been sent."""
    DELETED = "deleted"
    """This run deleted it."""
    GONE = "gone"
    """It did not exist any more."""
    REPLACED = "replaced"
    """A pod of the same name with another UID had taken its place."""
    SPARED = "spared"
    """It was not deleted: the BBS was reachable by then, or a person stopped the run."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is stored: immutable, and strict.

    A field that this program does not know was written by a newer version and would be lost at the next write, so such
    a journal is not written to.
    """


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - start).total_seconds()


class StepRecord(Record, frozen=True):
    name: Step
    started: Moment
    ended: Moment | None = None
    result: StepResult | None = None
    detail: str = ""

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end; None while it has not ended."""
        return _seconds(self.started, self.ended)


class PodRecord(Record, frozen=True):
    """A pod that the run may delete. `intended_at` is written before the first delete is sent."""

    name: str
    uid: str
    statefulset: str
    grace: int = 30  # seconds that the pod has to terminate; Kubernetes' own default
    state: PodState = PodState.LISTED
    intended_at: Moment | None = None

    @property
    def settled(self) -> bool:
        """Whether it is on record what became of the pod."""
        return self.state not in {PodState.LISTED, PodState.INTENDED}


class PersonRecord(Record, frozen=True):
    """A person who requested a run with `diego-runbook run`."""

    by: str
    at: Moment
    observe: bool = False


class AlertRecord(Record, frozen=True):
    """An alert that requests a run: its name, when it began to fire, when it was last received."""

    alertname: str
    starts_at: Moment
    last_seen: Moment
    firing: bool = True


class Approval(Record, frozen=True):
    """A run in mode `approve` that waits for a person, and who approved it."""

    requested: Moment
    by: str = ""
    at: Moment | None = None


class Run(Record, frozen=True):
    id: str
    foundation: str
    runbook: str
    mode: str
    started: Moment
    alerts: dict[str, AlertRecord] = {}  # by fingerprint
    requested_by: str = ""  # the names of the alerts, or the person
    person: PersonRecord | None = None
    approval: Approval | None = None
    proved_at: Moment | None = None  # the last attempt that proved the BBS unreachable
    ended: Moment | None = None
    outcome: Outcome | None = None
    reason: str = ""  # a RunReason, and the place where it applies
    detail: str = ""
    step: Step | None = None
    steps: tuple[StepRecord, ...] = ()
    pods: tuple[PodRecord, ...] = ()
    evidence: str = ""
    executor: str = ""

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end; None while it has not ended."""
        return _seconds(self.started, self.ended)

    @property
    def cause(self) -> RunReason | None:
        """`reason` without its place."""
        return reason_of(self.reason)

    @property
    def disruptive(self) -> bool:
        """From the moment at which the intent of the first delete is on record."""
        return any(pod.intended_at is not None for pod in self.pods)

    @property
    def withdrawn(self) -> bool:
        """Whether every alert that requested it is resolved. A person does not withdraw this way."""
        return self.person is None and bool(self.alerts) and not any(alert.firing for alert in self.alerts.values())

    @property
    def awaits_approval(self) -> bool:
        return self.outcome is None and self.approval is not None and self.approval.at is None


class Request(Record, frozen=True):
    """Who requests a run, and when it may be decided. `waiting_for`: empty, `cooldown` or `retry`."""

    due: Moment
    alerts: dict[str, AlertRecord] = {}
    person: PersonRecord | None = None
    waiting_for: str = ""

    @property
    def by(self) -> str:
        """Who requests: the person, and the names of the alerts."""
        names = sorted({alert.alertname or "alert" for alert in self.alerts.values()})
        return ", ".join(([self.person.by] if self.person is not None else []) + names)


class Disruption(Record, frozen=True):
    """A disruptive run, as the breaker and the cooldown count it. It outlives the run's own record."""

    run: str
    started: Moment
    ended: Moment | None = None
    counted: bool = True  # by the breaker; False once a person has reset it


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
    """A `resolved` that was received: when the alert ended, and when the first message of it arrived.

    `claimed` is the end that its sender says, where that was in the future: its clock is ahead.
    """

    ended: Moment
    first_seen: Moment
    claimed: Moment | None = None


class Journal(Record, frozen=True):
    foundation: str
    version: int = VERSION
    epoch: int = 0
    request: Request | None = None
    resolved: dict[str, Resolution] = {}  # by fingerprint
    paused: Pause | None = None
    breaker_opened: Moment | None = None
    disruptions: tuple[Disruption, ...] = ()
    runs: tuple[Run, ...] = ()  # oldest first
    notes: tuple[Note, ...] = ()  # oldest first

    @property
    def open_run(self) -> Run | None:
        return self.runs[-1] if self.runs and self.runs[-1].outcome is None else None

    def find(self, run_id: str) -> Run | None:
        return next((run for run in self.runs if run.id == run_id), None)
