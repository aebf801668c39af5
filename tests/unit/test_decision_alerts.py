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
    request_of,
    started,
    wanted,
)
from tests.support.moments import at, firing, resolved
from webhook.record.journal import MAX_TEXT, Journal, decode, encode
from webhook.requests.decision import MAX_ALERTS, Verdict, Why, ask, begin, cooldown_end
from webhook.requests.notification import Reason


def test_an_alert_asks_for_a_run_at_once() -> None:
    journal, decision = asked(EMPTY, 10, firing("a", since=5))

    assert decision == (Verdict.RUN, Why.ASKED)
    request = request_of(journal)
    assert (request.due, request.waits_for, request.person) == (at(10), "", None)
    assert {key: (each.alertname, each.starts_at, each.heard) for key, each in request.alerts.items()} == {
        "a": ("Alert-a", at(5), at(10))
    }


def test_the_run_answers_the_request() -> None:
    journal, _ = asked(EMPTY, 10, firing("a"), firing("b"))

    journal, opened = begin(journal, CF, run_id="cf-7", executor="host-1", now=at(11))

    assert journal.request is None
    assert journal.open_run == opened
    assert (opened.id, opened.mode, opened.started, opened.executor) == ("cf-7", "auto", at(11), "host-1")
    assert (opened.alerts, opened.asked_by, opened.person) == ({"a": True, "b": True}, "Alert-a, Alert-b", None)
    assert decode(encode(journal)) == journal


def test_without_a_request_there_is_no_run() -> None:
    with pytest.raises(ValueError, match="nothing asks"):
        started(EMPTY, 0)


def test_the_same_alert_any_number_of_times_is_one_request() -> None:
    journal = EMPTY
    for number in range(200):
        journal, decision = asked(journal, number / 100, firing("a"))
        assert decision == (Verdict.RUN, Why.ASKED)

    assert list(request_of(journal).alerts) == ["a"]
    journal = started(journal, 3)
    for number in range(200):
        journal, decision = asked(journal, 4 + number / 100, firing("a"), firing("b"))
        assert decision == (Verdict.JOIN, Why.IN_PROGRESS)

    assert journal.request is None
    assert [each.alerts for each in journal.runs] == [{"a": True, "b": True}]


def test_two_foundations_know_nothing_of_each_other() -> None:
    other = Journal(foundation="cf-2")
    under_way = started(asked(EMPTY, 0, firing())[0], 1)

    assert asked(under_way, 2, firing())[1] == (Verdict.JOIN, Why.IN_PROGRESS)
    assert asked(other, 2, firing())[1] == (Verdict.RUN, Why.ASKED)


def test_a_refusal_that_passes_keeps_the_request_as_wanted() -> None:
    journal, decision = asked(after(90, disruptive=True), 100, firing())

    assert decision == (Verdict.REFUSE, Why.COOLDOWN)
    assert (request_of(journal).due, request_of(journal).waits_for) == (at(990), "cooldown")
    assert journal.notes[-1].text == "Alert-a refused: cooldown after a restart until 12:16:30 UTC"
    assert len(journal.runs) == 1


@pytest.mark.parametrize(("journal", "why"), [(PAUSED, Why.PAUSED), (BROKEN, Why.BREAKER_OPEN)])
def test_a_refusal_that_does_not_pass_keeps_nothing(journal: Journal, why: Why) -> None:
    journal, decision = asked(journal, 100, firing())

    assert decision == (Verdict.REFUSE, why)
    assert journal.request is None
    assert journal.notes[-1].text.startswith("Alert-a refused: ")


def test_a_refusal_touches_neither_cooldown_nor_breaker() -> None:
    before = after(90, disruptive=True)
    journal = before
    for number in range(10):
        journal, _ = asked(journal, 100 + number, firing())

    assert (journal.disruptions, journal.runs, journal.breaker_open) == (before.disruptions, before.runs, None)
    assert cooldown_end(journal, CF) == cooldown_end(before, CF)


# ---- resolved, late, and again


def test_a_resolved_marks_its_alert_in_the_open_run() -> None:
    journal = started(asked(EMPTY, 0, firing("a"), firing("b"))[0], 1)

    journal, _ = asked(journal, 10, resolved("a", ended=9))
    partly = journal.open_run
    journal, _ = asked(journal, 11, resolved("b", ended=9))
    wholly = journal.open_run

    assert partly is not None
    assert wholly is not None
    assert (partly.alerts, partly.withdrawn) == ({"a": False, "b": True}, False)
    assert (wholly.alerts, wholly.withdrawn) == ({"a": False, "b": False}, True)


def test_an_alert_that_fires_again_takes_its_withdrawal_back() -> None:
    journal = started(asked(EMPTY, 0, firing("a"))[0], 1)
    journal, _ = asked(journal, 10, resolved("a", ended=9))

    journal, decision = asked(journal, 11, firing("a", since=10))

    assert decision == (Verdict.JOIN, Why.IN_PROGRESS)
    assert journal.open_run is not None
    assert journal.open_run.withdrawn is False


def test_a_resolved_that_overtakes_its_firing_wins() -> None:
    """The firing was sent first, and comes last."""
    journal, _ = asked(EMPTY, 10, resolved("a", since=0, ended=9))

    journal, decision, reasons = ask(journal, [firing("a", since=0)], CF, at(11))

    assert (journal.request, decision, reasons) == (None, None, {"a": Reason.LATE_DUPLICATE})


@pytest.mark.parametrize(("since", "expected"), [(8.999, Reason.LATE_DUPLICATE), (9, Reason.ASKS), (20, Reason.ASKS)])
def test_a_firing_older_than_the_resolved_is_a_late_duplicate(since: float, expected: Reason) -> None:
    journal, _ = asked(wanted(), 510, resolved("a", ended=9))

    journal, _, reasons = ask(journal, [firing("a", since=since)], CF, at(520))

    assert reasons == {"a": expected}
    assert (journal.request is not None) is (expected is Reason.ASKS)


def test_the_latest_end_counts_whichever_came_last() -> None:
    journal, _ = asked(EMPTY, 10, resolved("a", ended=9))
    journal, _ = asked(journal, 11, resolved("a", ended=5))

    assert ask(journal, [firing("a", since=7)], CF, at(12))[2] == {"a": Reason.LATE_DUPLICATE}


def test_a_late_duplicate_does_not_hold_back_the_others() -> None:
    journal, _ = asked(EMPTY, 10, resolved("a", ended=9))

    journal, decision, reasons = ask(journal, [firing("a"), firing("b")], CF, at(11))

    assert reasons == {"a": Reason.LATE_DUPLICATE, "b": Reason.ASKS}
    assert decision is not None
    assert list(request_of(journal).alerts) == ["b"]


def test_what_fires_on_and_on_is_no_late_duplicate() -> None:
    """Alertmanager was cut off from Prometheus, took the alert for resolved, and takes it up as it began."""
    journal, _ = asked(EMPTY, 300, resolved("a", since=0, ended=290))

    still, too_early = asked(journal, 1500, firing("a", since=0))
    _, decision = asked(still, 1500.001, firing("a", since=0))

    assert too_early is None
    assert decision == (Verdict.RUN, Why.ASKED)


def test_firing_and_resolved_of_different_alerts_in_one_notification() -> None:
    journal, decision = asked(wanted(firing("a")), 600, resolved("a", ended=590), firing("b"))

    assert decision == (Verdict.REFUSE, Why.COOLDOWN)
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
    assert len(journal.open_run.asked_by) == MAX_TEXT
