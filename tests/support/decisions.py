"""Journals and requests, and what is decided: for tests of the decision."""

from datetime import datetime
from typing import Any

import msgspec

from exporter.config.model import Foundation
from tests.support.foundations import foundation
from tests.support.moments import alert, at, firing, person
from webhook.record.encoding import decode, encode
from webhook.record.journal import Disruption, Journal, Outcome, Pause, PodRecord, Request, Run
from webhook.requests.alerts import request_as_alerts
from webhook.requests.decision import DecisionKind, DecisionReason, begin, decide
from webhook.requests.notification import Ask

REMEDIATION = {
    "mode": "auto", "cooldown": "15m", "retry": "1m", "request_ttl": "20m", "breaker": {"runs": 3, "window": "6h"}
}  # fmt: skip
CF = foundation(remediation=REMEDIATION)
EMPTY = Journal(foundation="cf")
LISTED = PodRecord(name="diego-api-0", uid="u", statefulset="diego-api")


def with_mode(mode: str | None, **changes: Any) -> Foundation:
    return foundation(remediation=REMEDIATION | {"mode": mode} | changes)


def run(*, ended: float | None, disruptive: bool = False, mode: str = "auto", **changes: Any) -> Run:
    """A run that was started at noon: open, or failed unless `outcome` is given."""
    pod = msgspec.structs.replace(LISTED, intended_at=at(0) if disruptive else None)
    fields: dict[str, Any] = {
        "id": "cf-1",
        "foundation": "cf",
        "runbook": "restart-diego-api",
        "mode": mode,
        "started": at(0),
        "ended": None if ended is None else at(ended),
        "outcome": None if ended is None else Outcome.FAILED,
        "pods": (pod,),
    }
    return Run(**fields | changes)


def after(ended: float, *, disruptive: bool) -> Journal:
    """A run has ended, at this moment."""
    disruptions = (Disruption(run="cf-1", started=at(0), ended=at(ended)),) if disruptive else ()
    return Journal(foundation="cf", runs=(run(ended=ended, disruptive=disruptive),), disruptions=disruptions)


IN_PROGRESS = Journal(foundation="cf", runs=(run(ended=None, alerts={"a": alert()}),))
OBSERVED = Journal(foundation="cf", runs=(run(ended=None, mode="observe", person=person(0, observe=True)),))
PAUSED = Journal(foundation="cf", paused=Pause(by="ann", at=at(0), reason="maintenance"))
BROKEN = Journal(foundation="cf", breaker_opened=at(-50_000))


def decided(
    journal: Journal, seconds: float, settings: Foundation = CF
) -> tuple[DecisionKind, DecisionReason, datetime | None]:
    decision = decide(journal, settings, at(seconds))
    return decision.kind, decision.reason, decision.until


def asked(
    journal: Journal, seconds: float, *asks: Ask, settings: Foundation = CF
) -> tuple[Journal, tuple[DecisionKind, DecisionReason] | None]:
    """The journal after it, as it is read from the record, and the decision."""
    after_it, decision, _ = request_as_alerts(journal, asks, settings, at(seconds))
    return decode(encode(after_it)), None if decision is None else (decision.kind, decision.reason)


def started(journal: Journal, seconds: float, settings: Foundation = CF) -> Journal:
    return begin(journal, settings, run_id="cf-2", executor="me", now=at(seconds))[0]


def open_run(journal: Journal) -> Run:
    assert journal.open_run is not None
    return journal.open_run


def fires(run: Run) -> dict[str, bool]:
    """Whether each alert of the run still fires."""
    return {key: alert.firing for key, alert in run.alerts.items()}


def request_of(journal: Journal) -> Request:
    assert journal.request is not None
    return journal.request


def wanted(*asks: Ask) -> Journal:
    """Requested in the cooldown that ends at 990."""
    return asked(after(90, disruptive=True), 500, *(asks or (firing("a"),)))[0]
