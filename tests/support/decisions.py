"""Journals at which something is asked, and what becomes of it: for tests of the decision."""

from datetime import datetime
from typing import Any

import msgspec

from exporter.config.model import Foundation
from tests.support.foundations import foundation
from tests.support.moments import at, firing, person
from webhook.record.journal import Disruption, Journal, Outcome, Pause, PodRecord, Request, Run, decode, encode
from webhook.requests.decision import Verdict, Why, ask, begin, decide
from webhook.requests.notification import Ask

REMEDIATION = {
    "mode": "auto", "cooldown": "15m", "retry": "1m", "request_ttl": "20m", "breaker": {"runs": 3, "window": "6h"}
}  # fmt: skip
CF = foundation(remediation=REMEDIATION)
EMPTY = Journal(foundation="cf")
HELD_BACK = PodRecord(name="diego-api-0", uid="u", statefulset="diego-api")


def with_mode(mode: str | None, **changes: Any) -> Foundation:
    return foundation(remediation=REMEDIATION | {"mode": mode} | changes)


def run(*, ended: float | None, disruptive: bool = False, mode: str = "auto", **changes: Any) -> Run:
    pod = msgspec.structs.replace(HELD_BACK, intent=at(0) if disruptive else None)
    return Run(
        id="cf-1",
        foundation="cf",
        runbook="restart-diego-api",
        mode=mode,
        started=at(0),
        ended=None if ended is None else at(ended),
        outcome=None if ended is None else Outcome.FAILED,
        pods=(pod,),
        **changes,
    )


def after(ended: float, *, disruptive: bool) -> Journal:
    """A run has ended, at this moment."""
    disruptions = (Disruption(run="cf-1", started=at(0), ended=at(ended)),) if disruptive else ()
    return Journal(foundation="cf", runs=(run(ended=ended, disruptive=disruptive),), disruptions=disruptions)


UNDER_WAY = Journal(foundation="cf", runs=(run(ended=None, alerts={"a": True}),))
OBSERVED = Journal(foundation="cf", runs=(run(ended=None, mode="observe", person=person(0, observe=True)),))
PAUSED = Journal(foundation="cf", paused=Pause(by="ann", at=at(0), reason="maintenance"))
BROKEN = Journal(foundation="cf", breaker_open=at(-50_000))


def decided(journal: Journal, seconds: float, settings: Foundation = CF) -> tuple[Verdict, Why, datetime | None]:
    decision = decide(journal, settings, at(seconds))
    return decision.verdict, decision.why, decision.until


def asked(
    journal: Journal, seconds: float, *asks: Ask, settings: Foundation = CF
) -> tuple[Journal, tuple[Verdict, Why] | None]:
    """The journal after it, as it is read from the record, and the decision."""
    after_it, decision, _ = ask(journal, asks, settings, at(seconds))
    return decode(encode(after_it)), None if decision is None else (decision.verdict, decision.why)


def started(journal: Journal, seconds: float, settings: Foundation = CF) -> Journal:
    return begin(journal, settings, run_id="cf-2", executor="me", now=at(seconds))[0]


def request_of(journal: Journal) -> Request:
    assert journal.request is not None
    return journal.request


def wanted(*asks: Ask) -> Journal:
    """Asked for in the cooldown that ends at 990."""
    return asked(after(90, disruptive=True), 500, *(asks or (firing("a"),)))[0]
