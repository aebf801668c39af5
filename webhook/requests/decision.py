"""The decision: whether a request becomes a run. Pure functions of the journal, the settings and the time.

A decision carries its reason: the same words are the metric's label, the log line and what a person reads. The state of
the foundation is not an input: that is checked by the run's first steps.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from exporter.config.model import Foundation
from webhook.record.changes import clamp, note, trip
from webhook.record.journal import MAX_TEXT, Approval, Journal, Outcome, PersonRecord, Request, Run, later
from webhook.record.reasons import PASSING_REFUSALS
from webhook.requests.notification import RUNBOOK


class DecisionKind(StrEnum):
    RUN = "run"
    JOIN = "join"
    REFUSE = "refuse"


class DecisionReason(StrEnum):
    """The closed list of reasons: `diego_remediation_decisions_total{reason}`; docs/runs.md says what is below each."""

    ASKED = "asked"
    """A run is allowed, and starts."""
    IN_PROGRESS = "in-progress"
    """A run is in progress; its outcome is the answer. A person who cannot join it is told so."""
    PAUSED = "paused"
    """A person paused remediation: the request is dropped."""
    BREAKER_OPEN = "breaker-open"
    """Too many disruptive runs, until a person resets the breaker: the request is dropped."""
    COOLDOWN = "cooldown"
    """A disruptive run ended less than `cooldown` ago: the request is queued."""
    RETRY = "retry"
    """Another run ended less than `retry` ago, or one of another mode is in progress: the request is queued."""
    JOURNAL_LOST = "journal-lost"
    """The journal is unreadable or was deleted: answered with 503; after `reset` the next notification counts."""
    FOREIGN_JOURNAL = "foreign-journal"
    """The ConfigMap of this name belongs to another foundation: answered with 503 until the names differ."""


PASSING = frozenset({DecisionReason.COOLDOWN, DecisionReason.RETRY})
"""Reasons that stop applying by themselves: a request refused for one of them is queued (`wanted`)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, why, the sentence for a person, and until when a passing refusal applies."""

    kind: DecisionKind
    reason: DecisionReason
    text: str
    until: datetime | None = None


def decide(journal: Journal, foundation: Foundation, now: datetime) -> Decision:
    """What becomes of a request that is made, or is due, at `now`."""
    settings = foundation.remediation
    if (run := journal.open_run) is not None:
        return _beside(run, foundation, now)
    if journal.paused is not None:
        text = f"paused by {journal.paused.by} ({journal.paused.reason}) until `resume`"
        return Decision(DecisionKind.REFUSE, DecisionReason.PAUSED, text)
    tripped = tripped_now(journal, foundation, now)
    if tripped.breaker_opened is not None:
        text = f"breaker open since {_time(tripped.breaker_opened)}: too many restarts; a person must run `reset`"
        return Decision(DecisionKind.REFUSE, DecisionReason.BREAKER_OPEN, text)
    cooled = cooldown_end(journal, foundation)
    if cooled is not None and now < cooled:
        text = f"cooldown after a restart until {_time(cooled)}"
        return Decision(DecisionKind.REFUSE, DecisionReason.COOLDOWN, text, cooled)
    last = journal.runs[-1] if journal.runs else None
    if last is not None and last.ended is not None and not last.disruptive:  # else the cooldown applies
        until = later(last.ended, timedelta(seconds=settings.retry))
        if now < until:
            text = f"the previous run ended less than {settings.retry:g} s ago; next attempt at {_time(until)}"
            return Decision(DecisionKind.REFUSE, DecisionReason.RETRY, text, until)
    return Decision(DecisionKind.RUN, DecisionReason.ASKED, "a run is allowed")


def _beside(run: Run, foundation: Foundation, now: datetime) -> Decision:
    """A request while a run is in progress joins it, unless one of the two only observes."""
    mode = foundation.remediation.mode
    if (run.mode == "observe") == (mode == "observe"):
        return Decision(DecisionKind.JOIN, DecisionReason.IN_PROGRESS, f"run {run.id} is in progress")
    until = now + timedelta(seconds=foundation.remediation.retry)
    text = f"run {run.id} is in progress in mode {run.mode}, and this request is for mode {mode}"
    return Decision(DecisionKind.REFUSE, DecisionReason.RETRY, f"{text}; next attempt at {_time(until)}", until)


def tripped_now(journal: Journal, foundation: Foundation, now: datetime) -> Journal:
    """The journal with the breaker open where today's settings demand it: they may have changed since the last run."""
    breaker = foundation.remediation.breaker
    return trip(journal, runs=breaker.runs, since=now - timedelta(seconds=breaker.window), now=now)


def cooldown_end(journal: Journal, foundation: Foundation) -> datetime | None:
    """When the cooldown after the last disruptive run ends, or ended; None where there was none."""
    ends = [item.ended or item.started for item in journal.disruptions]
    return later(max(ends), timedelta(seconds=foundation.remediation.cooldown)) if ends else None


def request_as_person(journal: Journal, person: PersonRecord, foundation: Foundation) -> tuple[Journal, Decision]:
    """Records the request of a person. A refusal is reported at once and not queued: the person can ask again."""
    now = person.at
    journal = tripped_now(journal, foundation, now)
    pending = journal.request.person if journal.request is not None else None
    if pending is not None and pending != person:
        text = f"{pending.by} has just requested a run; wait for it, or see `history`"
        return journal, Decision(DecisionKind.REFUSE, DecisionReason.IN_PROGRESS, text)
    if (run := journal.open_run) is not None and person.observe and run.mode != "observe":
        text = f"run {run.id} is in progress in mode {run.mode}; --observe cannot join it"
        return journal, Decision(DecisionKind.REFUSE, DecisionReason.IN_PROGRESS, text)
    decision = decide(journal, foundation, now)
    if decision.kind is DecisionKind.RUN:
        request = journal.request or Request(due=now)
        request = msgspec.structs.replace(request, person=person, due=now, waiting_for="")
        journal = msgspec.structs.replace(journal, request=request)
    elif decision.kind is DecisionKind.REFUSE:
        journal = note(journal, f"request of {person.by} refused: {decision.text}", now)
    return journal, decision


def withdraw(journal: Journal, person: PersonRecord) -> Journal:
    """Withdraws the request of a person, unless it has become a run."""
    request = journal.request
    if request is None or request.person != person:
        return journal
    left = msgspec.structs.replace(request, person=None) if request.alerts else None
    return msgspec.structs.replace(journal, request=left)


def reconsider(journal: Journal, foundation: Foundation, now: datetime) -> tuple[Journal, Decision | None]:
    """Decides a queued request again. None: there is none that is due.

    Alerts that were not received for `request_ttl` are dropped, and so is a person who asked that long ago: what
    disappeared without a `resolved` does not request a run any more.
    """
    requested = journal.request
    if requested is None:
        return journal, None
    journal = clamp(journal, now)
    ttl = timedelta(seconds=foundation.remediation.request_ttl)
    # A moment in the future was written by a clock that is ahead of ours: it counts from now.
    alerts = {
        key: msgspec.structs.replace(alert, last_seen=min(alert.last_seen, now))
        for key, alert in requested.alerts.items()
        if now - alert.last_seen <= ttl
    }
    person = requested.person
    person = person if person is not None and abs(now - person.at) <= ttl else None
    latest = now + timedelta(seconds=max(foundation.remediation.cooldown, foundation.remediation.retry))
    due = now if person is not None else min(requested.due, latest)
    request = msgspec.structs.replace(requested, alerts=alerts, person=person, due=due)
    if not alerts and person is None:
        text = "queued request expired: its alerts were not received for request_ttl"
        return note(msgspec.structs.replace(journal, request=None), text, now), None
    if now < due:
        return msgspec.structs.replace(journal, request=request), None
    journal = tripped_now(journal, foundation, now)
    decision = decide(journal, foundation, now)
    return keep(journal, request, decision, now), decision


def begin(
    journal: Journal, foundation: Foundation, *, run_id: str, executor: str, now: datetime
) -> tuple[Journal, Run]:
    """Opens the run that was requested. The run answers the request, which is removed.

    An observing run that a person requested answers only the person: the alerts beside it stay queued.
    """
    request = journal.request
    if request is None:
        raise ValueError("no run is requested")
    settings = foundation.remediation
    person = request.person
    only_person = person is not None and person.observe and settings.mode != "observe"
    alerts = {} if only_person else request.alerts
    run = Run(
        id=run_id,
        foundation=journal.foundation,
        runbook=RUNBOOK,
        mode="observe" if person is not None and person.observe else str(settings.mode),
        started=now,
        alerts=alerts,
        requested_by=msgspec.structs.replace(request, alerts=alerts).by[:MAX_TEXT],
        person=person,
        executor=executor,
    )
    left = None
    if only_person and request.alerts:
        due = now + timedelta(seconds=settings.retry)
        left = Request(due=due, alerts=request.alerts, waiting_for=DecisionReason.RETRY)
    return msgspec.structs.replace(journal, request=left, runs=(*journal.runs, run)), run


def left_wanted(run: Run, foundation: Foundation, now: datetime) -> Request | None:
    """The request that an ended run leaves behind: its alerts that still fire, unless the run has answered them."""
    unanswered = run.outcome in {Outcome.UNPROVEN, Outcome.FAILED}
    passing = run.outcome is Outcome.REFUSED and run.cause in PASSING_REFUSALS
    alerts = {key: alert for key, alert in run.alerts.items() if alert.firing}
    if not (unanswered or passing) or not alerts:
        return None
    settings = foundation.remediation
    wait, reason = (
        (settings.cooldown, DecisionReason.COOLDOWN) if run.disruptive else (settings.retry, DecisionReason.RETRY)
    )
    return Request(due=now + timedelta(seconds=wait), alerts=alerts, waiting_for=reason)


def ask_approval(run: Run, now: datetime) -> Run:
    """The run, waiting for a person."""
    return run if run.approval is not None else msgspec.structs.replace(run, approval=Approval(requested=now))


def keep(journal: Journal, request: Request, decision: Decision | None, now: datetime) -> Journal:
    """What stays of a request after a decision on it."""
    if not request.alerts and request.person is None:
        return msgspec.structs.replace(journal, request=None)
    if decision is None:  # nothing new was requested: what is queued stays queued
        return msgspec.structs.replace(journal, request=request)
    kept: Request | None = None
    if decision.kind is DecisionKind.RUN:
        kept = msgspec.structs.replace(request, due=now, waiting_for="")
    elif decision.reason in PASSING and request.alerts:
        kept = Request(due=decision.until or now, alerts=request.alerts, waiting_for=decision.reason)
    if decision.kind is DecisionKind.REFUSE:
        names = ", ".join(sorted({alert.alertname or "alert" for alert in request.alerts.values()}))
        journal = note(journal, f"{names or 'a request'} refused: {decision.text}", now)
    return msgspec.structs.replace(journal, request=kept)


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"
