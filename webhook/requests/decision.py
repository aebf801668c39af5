"""The decision: whether what is asked becomes a run. A pure function of the journal, the settings and the time.

A decision carries its reason, and the same words become the log line, the metric's label and what a person reads. What
the foundation itself looks like is not asked here: that is the run's first steps, and they are free to find nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import msgspec

from exporter.config.model import Foundation
from webhook.record.journal import (
    MAX_TEXT,
    AlertRecord,
    Journal,
    PersonRecord,
    Request,
    Resolution,
    Run,
    note,
    trip,
    update_run,
)
from webhook.requests.notification import Ask, Reason

H = TypeVar("H", AlertRecord, Resolution)


class Verdict(StrEnum):
    RUN = "run"
    JOIN = "join"
    REFUSE = "refuse"


class Why(StrEnum):
    """The closed list of reasons: `diego_remediation_decisions_total{reason}`."""

    ASKED = "asked"
    IN_PROGRESS = "in-progress"
    PAUSED = "paused"
    BREAKER_OPEN = "breaker-open"
    COOLDOWN = "cooldown"
    RETRY = "retry"
    JOURNAL_LOST = "journal-lost"
    FOREIGN_JOURNAL = "foreign-journal"


PASSING = frozenset({Why.COOLDOWN, Why.RETRY})
"""Reasons that pass by themselves: a request refused for one of them is kept as wanted."""


MAX_ALERTS = 100
"""How many alerts are remembered for a foundation: far more than it has of those that ask, and bounded."""


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    why: Why
    text: str
    until: datetime | None = None


def decide(journal: Journal, foundation: Foundation, now: datetime) -> Decision:
    """What becomes of a request that is made, or has become due, at `now`."""
    settings = foundation.remediation
    if (run := journal.open_run) is not None:
        if run.mode == "observe" != settings.mode:  # a person only looks; that answers nobody else
            until = now + timedelta(seconds=settings.retry)
            return Decision(Verdict.REFUSE, Why.RETRY, f"run {run.id} only observes, retry at {_time(until)}", until)
        return Decision(Verdict.JOIN, Why.IN_PROGRESS, f"run {run.id} is under way")
    if journal.paused is not None:
        return Decision(
            Verdict.REFUSE, Why.PAUSED, f"paused by {journal.paused.by} ({journal.paused.reason}) until `resume`"
        )
    tripped = _tripped(journal, foundation, now)
    if tripped.breaker_open is not None:
        since = _time(tripped.breaker_open)
        text = f"the breaker is open since {since}: too many restarts, a person must look and `reset`"
        return Decision(Verdict.REFUSE, Why.BREAKER_OPEN, text)
    cooled = cooldown_end(journal, foundation)
    if cooled is not None and now < cooled:
        return Decision(Verdict.REFUSE, Why.COOLDOWN, f"cooldown after a restart until {_time(cooled)}", cooled)
    last = journal.runs[-1] if journal.runs else None
    if (
        last is not None and last.ended is not None and not last.disruptive
    ):  # after a disruptive one the cooldown counts
        until = last.ended + timedelta(seconds=settings.retry)
        if now < until:
            return Decision(
                Verdict.REFUSE, Why.RETRY, f"the last run ended a moment ago, retry at {_time(until)}", until
            )
    return Decision(Verdict.RUN, Why.ASKED, "nothing stands against a run")


def _tripped(journal: Journal, foundation: Foundation, now: datetime) -> Journal:
    """With the breaker open where it has to be by the settings as they are now: they may have changed since a run."""
    breaker = foundation.remediation.breaker
    return trip(journal, runs=breaker.runs, since=now - timedelta(seconds=breaker.window), now=now)


def cooldown_end(journal: Journal, foundation: Foundation) -> datetime | None:
    """When the cooldown after the last disruptive run ends, or ended; None where there was none."""
    ends = [item.ended or item.started for item in journal.disruptions]
    return max(ends) + timedelta(seconds=foundation.remediation.cooldown) if ends else None


def ask(
    journal: Journal, asks: Iterable[Ask], foundation: Foundation, now: datetime
) -> tuple[Journal, Decision | None, dict[str, Reason]]:
    """Records what alerts ask. Returns the journal, the decision on the request (None: nobody asks), and why for each.

    A `resolved` takes its alert out of the request and marks it in the open run; a firing older than a `resolved` that
    was seen already is a late duplicate and asks for nothing.
    """
    reasons: dict[str, Reason] = {}
    request = journal.request or Request(due=now)
    run = journal.open_run
    resolved = journal.resolved
    heard: dict[str, AlertRecord] = {}
    for item in asks:
        fingerprint = item.fingerprint
        if item.firing and _is_late(item, resolved.get(fingerprint), foundation, now):
            reasons[fingerprint] = Reason.LATE_DUPLICATE
        elif item.firing:
            heard[fingerprint] = AlertRecord(alertname=item.alertname, starts_at=item.starts_at, heard=now)
            reasons[fingerprint] = Reason.ASKS
        else:
            heard.pop(fingerprint, None)
            before = resolved.get(fingerprint)
            ended = max(item.ends_at, before.ended) if before else item.ends_at
            resolved = resolved | {fingerprint: Resolution(ended=ended, heard=now)}
            reasons[fingerprint] = Reason.RESOLVED
            remaining = {key: value for key, value in request.alerts.items() if key != fingerprint}
            request = msgspec.structs.replace(request, alerts=remaining)
            if run is not None and fingerprint in run.alerts:
                run = msgspec.structs.replace(run, alerts=run.alerts | {fingerprint: False})
    journal = msgspec.structs.replace(_tripped(journal, foundation, now), resolved=_newest(resolved))
    decision = decide(journal, foundation, now) if heard else None
    if run is not None:
        if decision is not None and decision.verdict is Verdict.JOIN:
            joined = run.alerts | dict.fromkeys(heard, True)
            run = msgspec.structs.replace(run, alerts=dict(list(joined.items())[-MAX_ALERTS:]))
        journal = update_run(journal, run)
    request = msgspec.structs.replace(request, alerts=_newest(request.alerts | heard))
    return _keep(journal, request, decision, now), decision, reasons


def _is_late(item: Ask, resolution: Resolution | None, foundation: Foundation, now: datetime) -> bool:
    """Whether a firing is a late duplicate: older than the `resolved` that was seen already.

    One that goes on coming for longer than a request lives is no duplicate. Alertmanager resolves what it did not hear
    of, and takes it up again as it began: where Prometheus was cut off from it for a while.
    """
    if resolution is None or item.starts_at >= resolution.ended:
        return False
    return now - resolution.heard <= timedelta(seconds=foundation.remediation.request_ttl)


def ask_as_person(journal: Journal, person: PersonRecord, foundation: Foundation) -> tuple[Journal, Decision]:
    """Records what a person asks. A refusal is told at once and not kept: the person is there to ask again."""
    journal = _tripped(journal, foundation, person.at)
    decision = decide(journal, foundation, person.at)
    if decision.verdict is Verdict.RUN:
        request = journal.request or Request(due=person.at)
        request = msgspec.structs.replace(request, person=person, due=person.at, waits_for="")
        journal = msgspec.structs.replace(journal, request=request)
    elif decision.verdict is Verdict.REFUSE:
        journal = note(journal, f"{person.by} asked, refused: {decision.text}", person.at)
    return journal, decision


def withdraw(journal: Journal, person: PersonRecord) -> Journal:
    """Takes back what a person asked, where it has not become a run."""
    request = journal.request
    if request is None or request.person != person:
        return journal
    left = msgspec.structs.replace(request, person=None) if request.alerts else None
    return msgspec.structs.replace(journal, request=left)


def reconsider(journal: Journal, foundation: Foundation, now: datetime) -> tuple[Journal, Decision | None]:
    """Decides a kept request again. None: there is none that is due.

    Alerts that nothing was heard of for `request_ttl` are dropped, and a person who asked that long ago: what vanished
    without a word is no longer asked for.
    """
    if journal.request is None:
        return journal, None
    ttl = timedelta(seconds=foundation.remediation.request_ttl)
    alive = {key: alert for key, alert in journal.request.alerts.items() if now - alert.heard <= ttl}
    person = journal.request.person
    person = person if person is not None and now - person.at <= ttl else None
    request = msgspec.structs.replace(journal.request, alerts=alive, person=person)
    if not alive and request.person is None:
        return note(msgspec.structs.replace(journal, request=None), "a wanted request expired: unheard of", now), None
    if now < request.due:
        return msgspec.structs.replace(journal, request=request), None
    journal = _tripped(journal, foundation, now)
    decision = decide(journal, foundation, now)
    return _keep(journal, request, decision, now), decision


def begin(
    journal: Journal, foundation: Foundation, *, run_id: str, executor: str, now: datetime
) -> tuple[Journal, Run]:
    """Opens the run that the request asked for. The request is answered by it, and cleared.

    An observing run that a person asked for answers only the person: alerts that wait beside it stay wanted.
    """
    request = journal.request
    if request is None:
        raise ValueError("nothing asks for a run")
    settings = foundation.remediation
    person = request.person
    only_person = person is not None and person.observe and settings.mode != "observe"
    alerts = {} if only_person else request.alerts
    names = sorted({alert.alertname or "alert" for alert in alerts.values()})
    run = Run(
        id=run_id,
        foundation=journal.foundation,
        runbook="restart-diego-api",
        mode="observe" if person is not None and person.observe else str(settings.mode),
        started=now,
        alerts=dict.fromkeys(alerts, True),
        asked_by=", ".join(([person.by] if person else []) + names)[:MAX_TEXT],
        person=person,
        executor=executor,
    )
    left = None
    if only_person and request.alerts:
        due = now + timedelta(seconds=settings.retry)
        left = Request(due=due, alerts=request.alerts, waits_for=Why.RETRY)
    return msgspec.structs.replace(journal, request=left, runs=(*journal.runs, run)), run


def _keep(journal: Journal, request: Request, decision: Decision | None, now: datetime) -> Journal:
    """What of a request stays on record after a decision."""
    if not request.alerts and request.person is None:
        return msgspec.structs.replace(journal, request=None)
    if decision is None:  # nothing new was asked: whoever waits goes on waiting
        return msgspec.structs.replace(journal, request=request)
    if decision.verdict is Verdict.RUN:
        kept: Request | None = msgspec.structs.replace(request, due=now, waits_for="")
    elif decision.why in PASSING and request.alerts:
        kept = Request(due=decision.until or now, alerts=request.alerts, waits_for=decision.why)
    else:
        kept = None
    if decision.verdict is Verdict.REFUSE:
        names = ", ".join(sorted({alert.alertname or "alert" for alert in request.alerts.values()}))
        journal = note(journal, f"{names or 'a request'} refused: {decision.text}", now)
    return msgspec.structs.replace(journal, request=kept)


def _newest(known: dict[str, H]) -> dict[str, H]:
    """Remembers those that were heard of last."""
    return dict(sorted(known.items(), key=lambda item: item[1].heard)[-MAX_ALERTS:])


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"
