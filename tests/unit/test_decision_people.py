"""What people ask, beside alerts and on their own; and runs that only observe."""

import msgspec
import pytest

from tests.support.decisions import (
    CF,
    EMPTY,
    IN_PROGRESS,
    OBSERVED,
    after,
    asked,
    fires,
    open_run,
    request_of,
    started,
    with_mode,
)
from tests.support.moments import alert, at, firing, person
from webhook.requests.decision import DecisionKind, DecisionReason, reconsider, request_as_person, withdraw


def test_a_person_asks() -> None:
    journal, decision = request_as_person(EMPTY, person(10), CF)

    assert decision.kind is DecisionKind.RUN
    _, again = reconsider(journal, CF, at(10))
    assert again is not None
    assert again.kind is DecisionKind.RUN
    opened = started(journal, 11).open_run
    assert opened is not None
    assert (opened.person, opened.requested_by, opened.mode, opened.alerts) == (person(10), "ann@desk", "auto", {})


def test_a_person_is_told_a_refusal_and_nothing_is_kept() -> None:
    journal, decision = request_as_person(after(90, disruptive=True), person(100), CF)

    assert (decision.kind, decision.reason) == (DecisionKind.REFUSE, DecisionReason.COOLDOWN)
    assert journal.request is None
    assert journal.notes[-1].text == "request of ann@desk refused: cooldown after a restart until 12:16:30 UTC"


def test_a_person_joins_what_is_under_way() -> None:
    journal, decision = request_as_person(IN_PROGRESS, person(100), CF)

    assert (journal, decision.kind) == (IN_PROGRESS, DecisionKind.JOIN)


def test_a_person_beside_alerts_asks_for_the_same_run() -> None:
    journal, _ = asked(EMPTY, 0, firing("a"))
    journal, _ = request_as_person(journal, person(1), CF)

    opened = open_run(started(journal, 2))

    assert (fires(opened), opened.requested_by) == ({"a": True}, "ann@desk, Alert-a")
    assert not msgspec.structs.replace(opened, alerts={"a": alert(fires=False)}).withdrawn


def test_a_person_who_takes_it_back_leaves_the_alerts() -> None:
    alone, _ = request_as_person(EMPTY, person(1), CF)
    beside, _ = request_as_person(asked(EMPTY, 0, firing("a"))[0], person(1), CF)

    assert withdraw(alone, person(1)).request is None
    left = request_of(withdraw(beside, person(1)))
    assert (left.person, list(left.alerts)) == (None, ["a"])


def test_nobody_takes_back_what_another_asked() -> None:
    journal, _ = request_as_person(EMPTY, person(1), CF)

    assert withdraw(journal, person(1, by="bob@desk")) == journal
    assert withdraw(EMPTY, person(1)) == EMPTY


def test_a_persons_request_expires_as_well() -> None:
    journal, _ = request_as_person(EMPTY, person(0), CF)

    assert reconsider(journal, CF, at(1200))[1] is not None
    assert reconsider(journal, CF, at(1200.001))[0].request is None


@pytest.mark.parametrize("observe", [True, False])
def test_a_second_person_is_refused_while_a_request_of_the_first_is_pending(observe: bool) -> None:
    """Else the later request would replace the earlier one, and both would be told that a run starts."""
    journal, _ = request_as_person(EMPTY, person(1), CF)

    after_it, decision = request_as_person(journal, person(2, by="bob@desk", observe=observe), CF)

    assert (decision.kind, decision.reason) == (DecisionKind.REFUSE, DecisionReason.IN_PROGRESS)
    assert "ann@desk" in decision.text
    assert after_it == journal
    assert open_run(started(after_it, 3)).person == person(1)


def test_the_same_request_recorded_twice_is_one_request() -> None:
    """A write whose answer was lost is applied again."""
    journal, _ = request_as_person(EMPTY, person(1), CF)

    again, decision = request_as_person(journal, person(1), CF)

    assert (again, decision.kind) == (journal, DecisionKind.RUN)


def test_a_second_person_may_request_once_the_first_has_withdrawn() -> None:
    journal, _ = request_as_person(EMPTY, person(1), CF)

    _, decision = request_as_person(withdraw(journal, person(1)), person(2, by="bob@desk"), CF)

    assert decision.kind is DecisionKind.RUN


@pytest.mark.parametrize("mode", ["auto", None])
def test_a_person_who_only_observes_does_not_join_a_run_that_deletes(mode: str | None) -> None:
    """Whatever their own config says. Without --observe they join."""
    settings = with_mode(mode)

    journal, decision = request_as_person(IN_PROGRESS, person(10, observe=True), settings)
    _, without = request_as_person(IN_PROGRESS, person(10), settings)

    assert (decision.kind, decision.reason) == (DecisionKind.REFUSE, DecisionReason.IN_PROGRESS)
    assert "--observe cannot join it" in decision.text
    assert journal == IN_PROGRESS
    assert without.kind is DecisionKind.JOIN


@pytest.mark.parametrize("ahead", [-1000, 1000])
def test_the_request_of_a_person_with_a_wrong_clock_is_due_at_once(ahead: float) -> None:
    """By the clock of the process that decides; the time on record only bounds how long the request is valid."""
    journal, _ = request_as_person(EMPTY, person(100 + ahead), CF)

    _, decision = reconsider(journal, CF, at(100))

    assert decision is not None
    assert decision.kind is DecisionKind.RUN


# ---- observing


def test_in_mode_observe_a_run_observes_and_alerts_join_it() -> None:
    observing = with_mode("observe")
    journal = started(asked(EMPTY, 0, firing("a"), settings=observing)[0], 1, observing)

    assert journal.open_run is not None
    assert journal.open_run.mode == "observe"
    assert asked(journal, 2, firing("b"), settings=observing)[1] == (DecisionKind.JOIN, DecisionReason.IN_PROGRESS)


def test_in_mode_observe_a_person_looks_for_the_alerts_as_well() -> None:
    observing = with_mode("observe")
    journal, _ = asked(EMPTY, 0, firing("a"), settings=observing)
    journal, _ = request_as_person(journal, person(1, observe=True), observing)

    journal = started(journal, 2, observing)

    assert (fires(open_run(journal)), journal.request) == ({"a": True}, None)


def test_a_person_who_only_looks_answers_no_alert() -> None:
    """The alerts that wait beside it stay wanted, and are decided when the look is over."""
    journal, _ = asked(EMPTY, 0, firing("a"))
    journal, _ = request_as_person(journal, person(1, observe=True), CF)

    journal = started(journal, 2)

    opened = open_run(journal)
    assert (opened.mode, opened.alerts, opened.requested_by) == ("observe", {}, "ann@desk")
    left = request_of(journal)
    assert (list(left.alerts), left.person, left.waiting_for, left.due) == (["a"], None, "retry", at(62))


def test_an_alert_does_not_join_a_person_who_only_looks() -> None:
    journal, decision = asked(OBSERVED, 10, firing("a"))

    assert decision == (DecisionKind.REFUSE, DecisionReason.RETRY)
    assert (request_of(journal).due, list(request_of(journal).alerts)) == (at(70), ["a"])
    assert journal.open_run is not None
    assert journal.open_run.alerts == {}


def test_a_person_may_only_look_where_no_mode_is_set() -> None:
    journal, decision = request_as_person(EMPTY, person(1, observe=True), with_mode(None))

    assert decision.kind is DecisionKind.RUN
    opened = started(journal, 2, with_mode(None)).open_run
    assert opened is not None
    assert opened.mode == "observe"
