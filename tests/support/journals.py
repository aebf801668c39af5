"""Runs and journals as they are on record, for tests of the record."""

from typing import Any

from tests.support.moments import NOON, alert, at, person
from webhook.record.journal import (
    Disruption,
    Journal,
    Outcome,
    Pause,
    PodRecord,
    PodState,
    Request,
    Resolution,
    Run,
    Step,
    StepRecord,
    StepResult,
)


def run(number: int = 1, *, outcome: Outcome | None = Outcome.RECOVERED, evidence: str = "", **changes: Any) -> Run:
    return Run(
        id=f"cf-{number}",
        foundation="cf",
        runbook="restart-diego-api",
        mode="auto",
        started=at(number),
        ended=None if outcome is None else at(number + 0.5),
        outcome=outcome,
        evidence=evidence,
        **changes,
    )


def pods(*, intended: bool = False) -> tuple[PodRecord, ...]:
    moment = at(0) if intended else None
    return tuple(
        PodRecord(name=f"diego-api-{n}", uid=f"uid-{n}", statefulset="diego-api", intended_at=moment) for n in (0, 1)
    )


def listed(*, intended: int = 0, deleted: int = 0) -> tuple[PodRecord, ...]:
    """The two pods on a run's list: of so many the intent is on record, and so many are deleted."""
    states = [PodState.DELETED] * deleted + [PodState.INTENDED] * (intended - deleted) + [PodState.LISTED] * 2
    return tuple(
        PodRecord(
            name=f"diego-api-{number}",
            uid=f"diego-api-{number}-uid",
            statefulset="diego-api",
            state=states[number],
            intended_at=NOON if number < intended else None,
        )
        for number in (0, 1)
    )


def open_run(**changes: Any) -> Run:
    """A run of an alert, in progress since noon, with its two pods listed."""
    fields: dict[str, Any] = {
        "id": "cf-1",
        "foundation": "cf",
        "runbook": "restart-diego-api",
        "mode": "auto",
        "started": NOON,
        "alerts": {"a": alert()},
        "pods": listed(),
    }
    return Run(**fields | changes)


FULL = Journal(
    foundation="cf",
    epoch=7,
    request=Request(due=at(5), alerts={"f": alert()}, person=person(3, observe=True), waiting_for="retry"),
    resolved={"g": Resolution(ended=at(1), first_seen=at(2))},
    paused=Pause(by="ann", at=at(1), reason="maintenance"),
    breaker_opened=at(2),
    disruptions=(Disruption(run="cf-0", started=at(0), ended=at(1), counted=False),),
    runs=(
        run(
            1,
            pods=pods(intended=True),
            step=Step.RESTART,
            steps=(StepRecord(name=Step.RESTART, started=at(1.25), ended=at(1.5), result=StepResult.OK, detail="…"),),
            person=person(1),
            alerts={"f": alert(fires=False)},
        ),
    ),
)
