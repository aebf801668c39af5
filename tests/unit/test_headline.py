"""A foundation's state in sentences: every state beside the healthy one."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from tests.support.journals import listed, open_run
from tests.support.moments import NOON, alert, at
from tests.support.statuses import MINUTE, cf, known, seen
from webhook.record.journal import (
    Approval,
    Disruption,
    Journal,
    Outcome,
    Pause,
    Request,
    Run,
    Step,
    StepRecord,
    StepResult,
)
from webhook.status.headline import headline
from webhook.status.known import Known


def journal(*runs: Run, **changes: object) -> Journal:
    return Journal(foundation="cf", runs=runs, **changes)  # type: ignore[arg-type]


def under_way(**changes: object) -> Run:
    return open_run(step=Step.RESTART, proved_at=NOON, **changes)


def ended(outcome: Outcome, reason: str = "", *, after: float = 30, **changes: object) -> Run:
    return open_run(outcome=outcome, reason=reason, ended=at(after), **changes)


WAITING = under_way(approval=Approval(requested=NOON))
PAUSED = Pause(by="ann", at=NOON, reason="new <disks>")
BROKEN = seen(reachable=False)


def test_a_healthy_foundation_needs_nobody() -> None:
    head = headline(known())
    assert (head.kind, head.word, head.broken, head.you) == (
        "good",
        "healthy",
        "The BBS is reachable.",
        "Nothing to do.",
    )
    assert head.repair == "An alert starts a run; none is in progress (mode `auto`)."


@pytest.mark.parametrize(
    ("of", "kind", "word", "repair", "you"),
    [
        (known(BROKEN), "bad", "broken", "An alert starts a run", "`diego-runbook run cf`"),
        (known(seen(None)), "unknown", "unknown", "An alert starts a run", "`diego-runbook check cf`"),
        (known(seen(ago=61)), "unknown", "unknown", "", "check cf"),
        (known(seen(leader=False)), "needs", "degraded", "", "what is found here"),
        (known(BROKEN, journal(under_way())), "busy", "being repaired", "in progress: restart the pods.", "wait"),
        (known(BROKEN, journal(open_run())), "busy", "being checked", "it starts", "wait"),
        (
            known(BROKEN, journal(WAITING)),
            "needs",
            "waits for approval",
            "until 2026-01-31 12:30:00Z",
            "Approve the run",
        ),
        (known(seen(), journal(paused=PAUSED)), "needs", "paused", "paused by ann since", "Resume when"),
        (known(BROKEN, journal(paused=PAUSED)), "bad", "broken", "new <disks>", "`diego-runbook explain cf`"),
        (known(seen(), journal(breaker_opened=NOON)), "needs", "breaker open", "breaker is open", "Then reset"),
        (known(BROKEN, journal(breaker_opened=NOON)), "bad", "broken", "breaker is open", "Find out why"),
        (known(BROKEN, settings=cf(remediation={"mode": "observe"})), "bad", "broken", "`observe`", "explain cf"),
        (known(BROKEN, settings=cf(remediation={"mode": "approve"})), "bad", "broken", "has approved", "run cf"),
        (
            known(BROKEN, journal(request=Request(due=at(90), alerts={"a": alert()}, waiting_for="retry"))),
            *("bad", "broken", "decided at 2026-01-31 12:01:30Z (retry)", "Wait"),
        ),
        (
            known(seen(), journal(disruptions=(Disruption(run="cf-1", started=NOON, ended=NOON),))),
            *("good", "healthy", "none starts before 2026-01-31 12:15:00Z (cooldown)", "Nothing"),
        ),
        (
            known(BROKEN, journal(ended(Outcome.FAILED, "not-ready diego-api-0"))),
            *("bad", "broken", "", "See the last run (failed). `kubectl describe pod`"),
        ),
        (known(seen(), journal(ended(Outcome.FAILED, "deadline"))), "good", "healthy", "", "The last run failed."),
    ],
)
def test_every_other_state_names_itself_and_what_to_do(of: Known, kind: str, word: str, repair: str, you: str) -> None:
    head = headline(of)
    assert (head.kind, head.word) == (kind, word)
    assert repair in head.repair
    assert you in head.you


@pytest.mark.parametrize(
    ("lost", "trouble", "kind", "word", "you"),
    [
        (True, "ConfigMap x was there and is missing", "needs", "journal lost", "Then reset."),
        (False, "timed out", "unknown", "journal not readable", "`diego-runbook check cf`"),
    ],
)
def test_without_a_journal_nothing_is_healthy(lost: bool, trouble: str, kind: str, word: str, you: str) -> None:
    of = known(journal=None, lost=lost, trouble=trouble)
    of = Known(foundation=of.foundation, view=of.view, now=of.now, journal=None, lost=lost, trouble=trouble)
    head = headline(of)
    assert (head.kind, head.word) == (kind, word)
    assert trouble in head.repair
    assert you in head.you


@pytest.mark.parametrize(
    ("decides", "lost", "repair"),
    [
        (True, False, "Every request is refused: timed out."),
        (False, False, "It is unknown whether a run is in progress: timed out."),
        (False, True, "Every request is refused: timed out."),
    ],
)
def test_who_only_watches_does_not_say_what_becomes_of_requests(decides: bool, lost: bool, repair: str) -> None:
    """The webhook may read the journal while this process cannot; one that is lost, it refuses."""
    of = replace(known(), journal=None, trouble="timed out", lost=lost, decides=decides)
    assert headline(of).repair == repair


def test_a_moment_at_the_end_of_the_calendar_is_shown_as_it_is() -> None:
    """Somebody edited the journal."""
    last = NOON.replace(year=9999, month=12, day=31, hour=23, minute=59)
    head = headline(known(BROKEN, journal(under_way(approval=Approval(requested=last)))))
    assert "until 9999-12-31" in head.repair


def asked(step: Step, result: StepResult, *, after: float) -> StepRecord:
    return StepRecord(name=step, started=at(after), ended=at(after), result=result, detail="as it is")


def test_the_newest_of_probe_and_run_counts() -> None:
    """Right after a run has verified, our own probe may be half a minute old."""
    verified = asked(Step.VERIFY_REACHABLE, StepResult.OK, after=50)
    recovered = ended(Outcome.RECOVERED, after=50, steps=(verified,))
    assert known(seen(reachable=False, ago=20), journal(recovered)).reachable is True
    assert known(seen(reachable=False, ago=5), journal(recovered)).reachable is False
    old = msgspec.structs.replace(verified, ended=MINUTE - timedelta(seconds=61))
    assert known(seen(None), journal(ended(Outcome.RECOVERED, steps=(old,)))).reachable is None


@pytest.mark.parametrize(
    ("step", "result", "outcome", "reason", "reachable"),
    [
        (Step.CONFIRM_UNREACHABLE, StepResult.OK, None, "", False),
        (Step.CONFIRM_UNREACHABLE, StepResult.STOPPED, Outcome.NOT_NEEDED, "reachable", True),
        (Step.CONFIRM_UNREACHABLE, StepResult.FAILED, Outcome.UNPROVEN, "pods-disagree", None),
        (Step.VERIFY_REACHABLE, StepResult.OK, Outcome.RECOVERED, "", True),
        (Step.VERIFY_REACHABLE, StepResult.FAILED, Outcome.FAILED, "unreachable", False),
        (Step.VERIFY_REACHABLE, StepResult.FAILED, Outcome.FAILED, "not-verified (exec-failed)", None),
    ],
)
def test_what_the_cloud_controller_proved_is_read_from_the_runs(
    step: Step, result: StepResult, outcome: Outcome | None, reason: str, reachable: bool | None
) -> None:
    run = open_run(outcome=outcome, reason=reason, steps=(asked(step, result, after=1),), pods=listed())
    found = known(seen(None), journal(run)).asked
    assert found is not None
    assert (found.reachable, found.text) == (reachable, "as it is")
    assert known().asked is None
