"""What people ask, beside alerts and on their own; and runs that only observe."""

import msgspec

from tests.support.decisions import CF, EMPTY, OBSERVED, UNDER_WAY, after, asked, request_of, started, with_mode
from tests.support.moments import at, firing, person
from webhook.requests.decision import Verdict, Why, ask_as_person, reconsider, withdraw


def test_a_person_asks() -> None:
    journal, decision = ask_as_person(EMPTY, person(10), CF)

    assert decision.verdict is Verdict.RUN
    _, again = reconsider(journal, CF, at(10))
    assert again is not None
    assert again.verdict is Verdict.RUN
    opened = started(journal, 11).open_run
    assert opened is not None
    assert (opened.person, opened.asked_by, opened.mode, opened.alerts) == (person(10), "ann@desk", "auto", {})


def test_a_person_is_told_a_refusal_and_nothing_is_kept() -> None:
    journal, decision = ask_as_person(after(90, disruptive=True), person(100), CF)

    assert (decision.verdict, decision.why) == (Verdict.REFUSE, Why.COOLDOWN)
    assert journal.request is None
    assert journal.notes[-1].text == "ann@desk asked, refused: cooldown after a restart until 12:16:30 UTC"


def test_a_person_joins_what_is_under_way() -> None:
    journal, decision = ask_as_person(UNDER_WAY, person(100), CF)

    assert (journal, decision.verdict) == (UNDER_WAY, Verdict.JOIN)


def test_a_person_beside_alerts_asks_for_the_same_run() -> None:
    journal, _ = asked(EMPTY, 0, firing("a"))
    journal, _ = ask_as_person(journal, person(1), CF)

    opened = started(journal, 2).open_run

    assert opened is not None
    assert (opened.alerts, opened.asked_by) == ({"a": True}, "ann@desk, Alert-a")
    assert not msgspec.structs.replace(opened, alerts={"a": False}).withdrawn


def test_a_person_who_takes_it_back_leaves_the_alerts() -> None:
    alone, _ = ask_as_person(EMPTY, person(1), CF)
    beside, _ = ask_as_person(asked(EMPTY, 0, firing("a"))[0], person(1), CF)

    assert withdraw(alone, person(1)).request is None
    left = request_of(withdraw(beside, person(1)))
    assert (left.person, list(left.alerts)) == (None, ["a"])


def test_nobody_takes_back_what_another_asked() -> None:
    journal, _ = ask_as_person(EMPTY, person(1), CF)

    assert withdraw(journal, person(1, by="bob@desk")) == journal
    assert withdraw(EMPTY, person(1)) == EMPTY


def test_a_persons_request_expires_as_well() -> None:
    journal, _ = ask_as_person(EMPTY, person(0), CF)

    assert reconsider(journal, CF, at(1200))[1] is not None
    assert reconsider(journal, CF, at(1200.001))[0].request is None


# ---- observing


def test_in_mode_observe_a_run_observes_and_alerts_join_it() -> None:
    observing = with_mode("observe")
    journal = started(asked(EMPTY, 0, firing("a"), settings=observing)[0], 1, observing)

    assert journal.open_run is not None
    assert journal.open_run.mode == "observe"
    assert asked(journal, 2, firing("b"), settings=observing)[1] == (Verdict.JOIN, Why.IN_PROGRESS)


def test_in_mode_observe_a_person_looks_for_the_alerts_as_well() -> None:
    observing = with_mode("observe")
    journal, _ = asked(EMPTY, 0, firing("a"), settings=observing)
    journal, _ = ask_as_person(journal, person(1, observe=True), observing)

    journal = started(journal, 2, observing)

    assert journal.open_run is not None
    assert (journal.open_run.alerts, journal.request) == ({"a": True}, None)


def test_a_person_who_only_looks_answers_no_alert() -> None:
    """The alerts that wait beside it stay wanted, and are decided when the look is over."""
    journal, _ = asked(EMPTY, 0, firing("a"))
    journal, _ = ask_as_person(journal, person(1, observe=True), CF)

    journal = started(journal, 2)

    assert journal.open_run is not None
    assert (journal.open_run.mode, journal.open_run.alerts, journal.open_run.asked_by) == ("observe", {}, "ann@desk")
    left = request_of(journal)
    assert (list(left.alerts), left.person, left.waits_for, left.due) == (["a"], None, "retry", at(62))


def test_an_alert_does_not_join_a_person_who_only_looks() -> None:
    journal, decision = asked(OBSERVED, 10, firing("a"))

    assert decision == (Verdict.REFUSE, Why.RETRY)
    assert (request_of(journal).due, list(request_of(journal).alerts)) == (at(70), ["a"])
    assert journal.open_run is not None
    assert journal.open_run.alerts == {}


def test_a_person_may_only_look_where_no_mode_is_set() -> None:
    journal, decision = ask_as_person(EMPTY, person(1, observe=True), with_mode(None))

    assert decision.verdict is Verdict.RUN
    opened = started(journal, 2, with_mode(None)).open_run
    assert opened is not None
    assert opened.mode == "observe"
