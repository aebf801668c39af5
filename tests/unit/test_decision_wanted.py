"""What is wanted: refused for a reason that passes, and decided again when the time comes."""

from datetime import timedelta

import msgspec
import pytest

from exporter.config.errors import ConfigError
from tests.support.decisions import (
    CF,
    EMPTY,
    PAUSED,
    after,
    asked,
    fires,
    open_run,
    request_of,
    run,
    started,
    wanted,
    with_mode,
)
from tests.support.moments import alert, at, firing, person, resolved
from webhook.record import changes
from webhook.record.journal import AlertRecord, Journal, Outcome, Request, Run
from webhook.requests.decision import DecisionKind, DecisionReason, left_wanted, reconsider


def test_what_is_wanted_is_decided_again_when_the_time_comes() -> None:
    early, nothing = reconsider(wanted(), CF, at(989.999))
    assert (nothing, early) == (None, wanted())

    journal, decision = reconsider(wanted(), CF, at(990))

    assert decision is not None
    assert (decision.kind, decision.reason) == (DecisionKind.RUN, DecisionReason.ASKED)
    assert fires(open_run(started(journal, 990))) == {"a": True}


def test_an_alert_that_comes_again_meanwhile_does_not_shorten_the_wait() -> None:
    journal, decision = asked(wanted(), 600, firing("a"), firing("b"))

    assert decision == (DecisionKind.REFUSE, DecisionReason.COOLDOWN)
    assert {key: each.last_seen for key, each in request_of(journal).alerts.items()} == {"a": at(600), "b": at(600)}
    assert request_of(journal).due == at(990)


def test_a_resolved_takes_one_of_several_alerts_out() -> None:
    journal, decision = asked(wanted(firing("a"), firing("b")), 600, resolved("a", ended=590))

    assert decision is None
    assert list(request_of(journal).alerts) == ["b"]
    assert (request_of(journal).due, request_of(journal).waiting_for) == (at(990), "cooldown")


def test_what_is_wanted_goes_when_all_its_alerts_are_resolved() -> None:
    journal, decision = asked(wanted(firing("a"), firing("b")), 600, resolved("a", ended=590), resolved("b", ended=595))

    assert (journal.request, decision) == (None, None)


def test_a_resolved_of_another_alert_changes_nothing() -> None:
    journal, _ = asked(wanted(), 600, resolved("other", ended=590))

    assert journal.request == wanted().request


def test_what_is_wanted_goes_when_nobody_was_heard_of_for_its_time() -> None:
    """request_ttl is 20 minutes: heard of at 500, so expired after 1700."""
    late = msgspec.structs.replace(wanted(), request=msgspec.structs.replace(request_of(wanted()), due=at(1700)))

    _, in_time = reconsider(late, CF, at(1700))
    journal, decision = reconsider(late, CF, at(1700.001))

    assert in_time is not None
    assert in_time.kind is DecisionKind.RUN
    assert (journal.request, decision) == (None, None)
    assert journal.notes[-1].text == "queued request expired: its alerts were not received for request_ttl"


def test_only_those_that_are_heard_of_go_on_asking() -> None:
    """The alert `a` was heard of at 500, `b` at 600 as well."""
    journal, _ = asked(wanted(firing("a"), firing("b")), 600, firing("b"))

    journal, _ = reconsider(journal, CF, at(1750))

    assert list(request_of(journal).alerts) == ["b"]


def test_where_nothing_is_asked_there_is_nothing_to_decide() -> None:
    assert reconsider(EMPTY, CF, at(0)) == (EMPTY, None)


def test_what_is_wanted_waits_again_for_what_has_come_between() -> None:
    """A person's run has ended meanwhile, without a delete."""
    journal = msgspec.structs.replace(wanted(), runs=(run(ended=980),), disruptions=())

    journal, decision = reconsider(journal, CF, at(990))

    assert decision is not None
    assert (decision.kind, decision.reason) == (DecisionKind.REFUSE, DecisionReason.RETRY)
    assert (request_of(journal).due, request_of(journal).waiting_for) == (at(1040), "retry")


@pytest.mark.parametrize("say", ["resume", "reset"])
def test_after_resume_and_reset_nothing_old_is_replayed(say: str) -> None:
    person_says = {
        "resume": lambda: changes.resume(
            changes.pause(wanted(), by="ann", reason="", now=at(600)), by="ann", now=at(700)
        ),
        "reset": lambda: changes.reset(wanted(), by="ann", now=at(700)),
    }
    journal = person_says[say]()

    assert reconsider(journal, CF, at(990)) == (journal, None)
    assert asked(journal, 990, firing())[1] == (DecisionKind.RUN, DecisionReason.ASKED)


def test_what_was_asked_while_it_was_paused_is_not_replayed() -> None:
    journal, _ = asked(PAUSED, 100, firing())
    journal = changes.resume(journal, by="ann", now=at(200))

    assert reconsider(journal, CF, at(10_000)) == (journal, None)


def test_an_alert_that_was_received_as_a_run_ended_is_still_valid_when_the_cooldown_is_over() -> None:
    """`request_ttl` is longer than the cooldown, so that what the cooldown queues can run."""
    journal, _ = asked(after(90, disruptive=True), 90, firing("a"))

    _, decision = reconsider(journal, CF, at(991.5))

    assert decision is not None
    assert decision.kind is DecisionKind.RUN
    with pytest.raises(ConfigError, match="must be longer than the cooldown"):
        with_mode("auto", cooldown="15m", request_ttl="15m")


def test_a_request_that_was_recorded_by_a_clock_ahead_counts_from_now() -> None:
    """It is neither valid for longer, nor queued for longer than the longest wait."""
    request = msgspec.structs.replace(request_of(wanted()), alerts={"a": alert(seen=9000)}, due=at(9000))
    ahead = msgspec.structs.replace(wanted(), request=request, runs=(), disruptions=())

    journal, decision = reconsider(ahead, CF, at(500))

    assert decision is None
    assert (request_of(journal).due, request_of(journal).alerts["a"].last_seen) == (at(1400), at(500))
    assert reconsider(journal, CF, at(1400))[1] is not None
    assert reconsider(journal, CF, at(1701))[0].request is None


@pytest.mark.parametrize(("disruptive", "wait"), [(True, CF.remediation.cooldown), (False, CF.remediation.retry)])
def test_a_run_that_was_ended_by_a_clock_ahead_ended_now(disruptive: bool, wait: float) -> None:
    """The cooldown and the retry are not longer by what that clock is ahead."""
    ahead = msgspec.structs.replace(
        after(9000, disruptive=disruptive), request=msgspec.structs.replace(request_of(wanted()), due=at(600))
    )

    _, decision = reconsider(ahead, CF, at(600))

    assert decision is not None
    assert decision.until == at(600 + wait)


# ---- what a run leaves to be decided again


def ended_as(outcome: Outcome, reason: str = "", *, disruptive: bool = False, **alerts: AlertRecord) -> Run:
    return run(ended=100, outcome=outcome, reason=reason, disruptive=disruptive, alerts=alerts)


FIRES = alert(seen=30)


@pytest.mark.parametrize(
    ("ended", "due", "waiting_for"),
    [
        (ended_as(Outcome.UNPROVEN, "exec-failed", a=FIRES), 160, "retry"),
        (ended_as(Outcome.UNPROVEN, "pods-disagree", a=FIRES), 160, "retry"),
        (ended_as(Outcome.FAILED, "deadline", a=FIRES), 160, "retry"),
        (ended_as(Outcome.FAILED, "not-ready diego-api-1", a=FIRES, disruptive=True), 1000, "cooldown"),
        (ended_as(Outcome.REFUSED, "already-terminating", a=FIRES), 160, "retry"),
        (ended_as(Outcome.REFUSED, "rollout", a=FIRES), 160, "retry"),
        (ended_as(Outcome.REFUSED, "split-brain", a=FIRES), 160, "retry"),
        (ended_as(Outcome.REFUSED, "bbs-serving", a=FIRES), 160, "retry"),
    ],
)
def test_a_run_that_did_not_answer_its_alerts_leaves_them_queued(ended: Run, due: float, waiting_for: str) -> None:
    """`last_seen` stays as it was, so that `request_ttl` bounds how long they are valid without news."""
    assert left_wanted(ended, CF, at(100)) == Request(due=at(due), alerts={"a": FIRES}, waiting_for=waiting_for)


@pytest.mark.parametrize(
    "ended",
    [
        ended_as(Outcome.RECOVERED, a=FIRES, disruptive=True),
        ended_as(Outcome.NOT_NEEDED, "reachable", a=FIRES),
        ended_as(Outcome.CANCELLED, "not-approved", a=FIRES),
        ended_as(Outcome.OBSERVED, "observe", a=FIRES),
        ended_as(Outcome.REFUSED, "paused", a=FIRES),
        ended_as(Outcome.REFUSED, "excluded", a=FIRES),
        ended_as(Outcome.REFUSED, "scaled-down", a=FIRES),
        ended_as(Outcome.REFUSED, "max-pods", a=FIRES),
        ended_as(Outcome.UNPROVEN, "exec-failed", a=alert(fires=False)),
        ended_as(Outcome.UNPROVEN, "exec-failed"),
    ],
)
def test_a_run_that_answered_its_alerts_leaves_nothing(ended: Run) -> None:
    assert left_wanted(ended, CF, at(100)) is None


def test_only_the_alerts_that_still_fire_are_left() -> None:
    ended = ended_as(Outcome.FAILED, "deadline", a=FIRES, b=alert(fires=False), joined=FIRES)

    assert request_of_left(ended) == ["a", "joined"]


def request_of_left(ended: Run) -> list[str]:
    left = left_wanted(ended, CF, at(100))
    return [] if left is None else list(left.alerts)


def test_an_unproven_run_is_followed_by_the_next_without_another_notification() -> None:
    opened = started(asked(EMPTY, 0, firing("a"))[0], 1)
    ended = msgspec.structs.replace(open_run(opened), outcome=Outcome.UNPROVEN, reason="exec-failed", ended=at(5))

    journal = end_with(opened, ended)

    assert request_of(journal).alerts["a"].last_seen == at(0)
    assert reconsider(journal, CF, at(64.9))[1] is None
    later, decision = reconsider(journal, CF, at(65))
    assert decision is not None
    assert decision.kind is DecisionKind.RUN
    assert fires(open_run(started(later, 65))) == {"a": True}
    assert reconsider(journal, CF, at(1200.001))[0].request is None


def test_a_newer_request_is_kept_beside_what_the_run_leaves() -> None:
    """An alert that was disputed and a person's request came while the run was open: the newest record counts."""
    opened = started(asked(EMPTY, 0, firing("a"), firing("b"))[0], 1)
    newer = Request(due=at(3), alerts={"a": alert(seen=4), "c": alert(seen=4)}, person=person(3))
    opened = msgspec.structs.replace(opened, request=newer)
    ended = msgspec.structs.replace(open_run(opened), outcome=Outcome.FAILED, ended=at(5))

    journal = end_with(opened, ended)

    seen = {key: each.last_seen for key, each in request_of(journal).alerts.items()}
    assert seen == {"a": at(4), "b": at(0), "c": at(4)}
    assert request_of(journal).person == person(3)
    assert end_with(journal, ended) == journal


def test_nothing_is_left_where_a_person_has_paused_meanwhile() -> None:
    opened = started(asked(EMPTY, 0, firing("a"))[0], 1)
    ended = msgspec.structs.replace(open_run(opened), outcome=Outcome.FAILED, reason="paused after 1 of 2", ended=at(5))

    paused = changes.pause(opened, by="ann", reason="", now=at(4))

    assert end_with(paused, ended).request is None
    assert end_with(opened, ended).request is not None


def end_with(journal: Journal, ended: Run) -> Journal:
    return changes.end_run(
        journal,
        ended,
        breaker_runs=3,
        breaker_window=timedelta(hours=6),
        wanted=left_wanted(ended, CF, at(5)),
        now=at(5),
    )
