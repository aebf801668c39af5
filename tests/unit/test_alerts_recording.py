"""What alerts ask, what is kept of it while it must wait, and what resolved and late alerts do to it."""

from dataclasses import replace

import pytest

from tests.support.decisions import (
    BROKEN,
    CF,
    EMPTY,
    PAUSED,
    after,
    asked,
    fires,
    open_run,
    request_of,
    started,
    wanted,
)
from tests.support.moments import alert, at, firing, resolved
from webhook.record.encoding import decode, encode
from webhook.record.journal import MAX_TEXT, Journal
from webhook.requests.alerts import MAX_ALERTS, request_as_alerts
from webhook.requests.decision import DecisionKind, DecisionReason, begin, cooldown_end
from webhook.requests.notification import AlertReason


def test_an_alert_asks_for_a_run_at_once() -> None:
    journal, decision = asked(EMPTY, 10, firing("a", since=5))

    assert decision == (DecisionKind.RUN, DecisionReason.ASKED)
    request = request_of(journal)
    assert (request.due, request.waiting_for, request.person) == (at(10), "", None)
    assert {key: (each.alertname, each.starts_at, each.last_seen) for key, each in request.alerts.items()} == {
        "a": ("Alert-a", at(5), at(10))
    }


def test_the_run_answers_the_request() -> None:
    journal, _ = asked(EMPTY, 10, firing("a"), firing("b"))

    journal, opened = begin(journal, CF, run_id="cf-7", executor="host-1", now=at(11))

    assert journal.request is None
    assert journal.open_run == opened
    assert (opened.id, opened.mode, opened.started, opened.executor) == ("cf-7", "auto", at(11), "host-1")
    assert (fires(opened), opened.requested_by, opened.person) == ({"a": True, "b": True}, "Alert-a, Alert-b", None)
    assert opened.alerts["a"] == alert(seen=10)
    assert decode(encode(journal)) == journal


def test_without_a_request_there_is_no_run() -> None:
    with pytest.raises(ValueError, match="no run is requested"):
        started(EMPTY, 0)


def test_the_same_alert_any_number_of_times_is_one_request() -> None:
    journal = EMPTY
    for number in range(200):
        journal, decision = asked(journal, number / 100, firing("a"))
        assert decision == (DecisionKind.RUN, DecisionReason.ASKED)

    assert list(request_of(journal).alerts) == ["a"]
    journal = started(journal, 3)
    for number in range(200):
        journal, decision = asked(journal, 4 + number / 100, firing("a"), firing("b"))
        assert decision == (DecisionKind.JOIN, DecisionReason.IN_PROGRESS)

    assert journal.request is None
    assert [fires(each) for each in journal.runs] == [{"a": True, "b": True}]


def test_two_foundations_know_nothing_of_each_other() -> None:
    other = Journal(foundation="cf-2")
    under_way = started(asked(EMPTY, 0, firing())[0], 1)

    assert asked(under_way, 2, firing())[1] == (DecisionKind.JOIN, DecisionReason.IN_PROGRESS)
    assert asked(other, 2, firing())[1] == (DecisionKind.RUN, DecisionReason.ASKED)


def test_a_refusal_that_passes_keeps_the_request_as_wanted() -> None:
    journal, decision = asked(after(90, disruptive=True), 100, firing())

    assert decision == (DecisionKind.REFUSE, DecisionReason.COOLDOWN)
    assert (request_of(journal).due, request_of(journal).waiting_for) == (at(990), "cooldown")
    assert journal.notes[-1].text == "Alert-a refused: cooldown after a restart until 12:16:30 UTC"
    assert len(journal.runs) == 1


@pytest.mark.parametrize(("journal", "why"), [(PAUSED, DecisionReason.PAUSED), (BROKEN, DecisionReason.BREAKER_OPEN)])
def test_a_refusal_that_does_not_pass_keeps_nothing(journal: Journal, why: DecisionReason) -> None:
    journal, decision = asked(journal, 100, firing())

    assert decision == (DecisionKind.REFUSE, why)
    assert journal.request is None
    assert journal.notes[-1].text.startswith("Alert-a refused: ")


def test_a_refusal_touches_neither_cooldown_nor_breaker() -> None:
    before = after(90, disruptive=True)
    journal = before
    for number in range(10):
        journal, _ = asked(journal, 100 + number, firing())

    assert (journal.disruptions, journal.runs, journal.breaker_opened) == (before.disruptions, before.runs, None)
    assert cooldown_end(journal, CF) == cooldown_end(before, CF)


# ---- resolved, late, and again


def test_a_resolved_marks_its_alert_in_the_open_run() -> None:
    journal = started(asked(EMPTY, 0, firing("a"), firing("b"))[0], 1)

    journal, _ = asked(journal, 10, resolved("a", ended=9))
    partly = open_run(journal)
    journal, _ = asked(journal, 11, resolved("b", ended=9))
    wholly = open_run(journal)

    assert (fires(partly), partly.withdrawn) == ({"a": False, "b": True}, False)
    assert (fires(wholly), wholly.withdrawn) == ({"a": False, "b": False}, True)


def test_an_alert_that_fires_again_takes_its_withdrawal_back() -> None:
    journal = started(asked(EMPTY, 0, firing("a"))[0], 1)
    journal, _ = asked(journal, 10, resolved("a", ended=9))

    journal, decision = asked(journal, 11, firing("a", since=10))

    assert decision == (DecisionKind.JOIN, DecisionReason.IN_PROGRESS)
    assert journal.open_run is not None
    assert journal.open_run.withdrawn is False


def test_a_resolved_that_overtakes_its_firing_wins() -> None:
    """The firing was sent first, and comes last."""
    journal, _ = asked(EMPTY, 10, resolved("a", since=0, ended=9))

    journal, decision, reasons = request_as_alerts(journal, [firing("a", since=0)], CF, at(11))

    assert (journal.request, decision, reasons) == (None, None, {"a": AlertReason.LATE_DUPLICATE})


@pytest.mark.parametrize(
    ("since", "expected"), [(8.999, AlertReason.LATE_DUPLICATE), (9, AlertReason.ASKS), (20, AlertReason.ASKS)]
)
def test_a_firing_older_than_the_resolved_is_a_late_duplicate(since: float, expected: AlertReason) -> None:
    journal, _ = asked(wanted(), 510, resolved("a", ended=9))

    journal, _, reasons = request_as_alerts(journal, [firing("a", since=since)], CF, at(520))

    assert reasons == {"a": expected}
    assert (journal.request is not None) is (expected is AlertReason.ASKS)


def test_the_latest_end_counts_whichever_came_last() -> None:
    journal, _ = asked(EMPTY, 10, resolved("a", ended=9))
    journal, _ = asked(journal, 11, resolved("a", ended=5))

    assert request_as_alerts(journal, [firing("a", since=7)], CF, at(12))[2] == {"a": AlertReason.LATE_DUPLICATE}


def test_a_late_duplicate_does_not_hold_back_the_others() -> None:
    journal, _ = asked(EMPTY, 10, resolved("a", ended=9))

    journal, decision, reasons = request_as_alerts(journal, [firing("a"), firing("b")], CF, at(11))

    assert reasons == {"a": AlertReason.LATE_DUPLICATE, "b": AlertReason.ASKS}
    assert decision is not None
    assert list(request_of(journal).alerts) == ["b"]


def test_what_goes_on_firing_after_the_window_is_no_late_duplicate() -> None:
    """Alertmanager was cut off from Prometheus, took the alert for resolved, and continues with the same start."""
    journal, _ = asked(EMPTY, 300, resolved("a", since=0, ended=290))

    still, too_early = asked(journal, 420, firing("a", since=0))
    _, decision = asked(still, 420.001, firing("a", since=0))

    assert too_early is None
    assert decision == (DecisionKind.RUN, DecisionReason.ASKED)


def test_firing_and_resolved_of_different_alerts_in_one_notification() -> None:
    journal, decision = asked(wanted(firing("a")), 600, resolved("a", ended=590), firing("b"))

    assert decision == (DecisionKind.REFUSE, DecisionReason.COOLDOWN)
    assert list(request_of(journal).alerts) == ["b"]


def test_an_alert_that_fires_and_is_resolved_in_one_breath_asks_nothing() -> None:
    journal, decision = asked(EMPTY, 10, firing("a", since=1), resolved("a", since=1, ended=9))

    assert (journal.request, decision) == (None, None)


def test_what_is_remembered_is_bounded() -> None:
    many = [firing(f"f{number}") for number in range(MAX_ALERTS + 20)]
    gone = [resolved(f"r{number}", ended=number) for number in range(MAX_ALERTS + 20)]

    journal, _ = asked(EMPTY, 0, *many, *gone)
    assert (len(request_of(journal).alerts), len(journal.resolved)) == (MAX_ALERTS, MAX_ALERTS)

    long_names = [replace(item, alertname=f"{number:0200}") for number, item in enumerate(many)]
    journal, _ = asked(started(asked(EMPTY, 1, *long_names)[0], 1), 2, *(firing(f"g{number}") for number in range(50)))
    assert journal.open_run is not None
    assert len(journal.open_run.alerts) == MAX_ALERTS
    assert len(journal.open_run.requested_by) == MAX_TEXT
