"""What becomes of what is asked: every decision with its reason, and what is kept of the request."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
import pytest

from exporter.config import Foundation
from tests.support.foundations import foundation
from tests.support.moments import at, firing, person, resolved
from webhook import journal as journals
from webhook.decision import (
    MAX_ALERTS,
    Verdict,
    Why,
    ask,
    ask_as_person,
    begin,
    cooldown_end,
    decide,
    reconsider,
    withdraw,
)
from webhook.journal import MAX_TEXT, Disruption, Journal, Outcome, Pause, PodRecord, Request, Run, decode, encode
from webhook.notification import Ask, Reason

REMEDIATION = {
    "mode": "auto", "cooldown": "15m", "retry": "1m", "request_ttl": "10m", "breaker": {"runs": 3, "window": "6h"}
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


# ---- the reasons


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        (EMPTY, (Verdict.RUN, Why.ASKED, None)),
        (UNDER_WAY, (Verdict.JOIN, Why.IN_PROGRESS, None)),
        (OBSERVED, (Verdict.REFUSE, Why.RETRY, at(160))),
        (PAUSED, (Verdict.REFUSE, Why.PAUSED, None)),
        (BROKEN, (Verdict.REFUSE, Why.BREAKER_OPEN, None)),
        (after(90, disruptive=True), (Verdict.REFUSE, Why.COOLDOWN, at(990))),
        (after(90, disruptive=False), (Verdict.REFUSE, Why.RETRY, at(150))),
    ],
)
def test_every_decision_has_its_reason(journal: Journal, expected: tuple[Verdict, Why, datetime | None]) -> None:
    assert decided(journal, 100) == expected


def test_the_words_tell_a_person_what_to_do() -> None:
    assert decide(PAUSED, CF, at(1)).text == "paused by ann (maintenance) until `resume`"
    assert "a person must look and `reset`" in decide(BROKEN, CF, at(1)).text
    assert decide(after(90, disruptive=True), CF, at(100)).text == "cooldown after a restart until 12:16:30 UTC"


def test_the_reason_that_only_a_person_can_lift_comes_first() -> None:
    everything = msgspec.structs.replace(
        after(90, disruptive=True), runs=(run(ended=None),), paused=PAUSED.paused, breaker_open=at(0)
    )
    found = []
    for lifted in (
        {"runs": (run(ended=90),)},
        {"paused": None},
        {"breaker_open": None},
        {"disruptions": ()},
        {"runs": ()},
    ):
        found.append(decided(everything, 100)[1])
        everything = msgspec.structs.replace(everything, **lifted)
    found.append(decided(everything, 100)[1])

    assert found == [Why.IN_PROGRESS, Why.PAUSED, Why.BREAKER_OPEN, Why.COOLDOWN, Why.RETRY, Why.ASKED]


@pytest.mark.parametrize(
    ("journal", "boundary", "why"),
    [(after(90, disruptive=True), 990, Why.COOLDOWN), (after(90, disruptive=False), 150, Why.RETRY)],
)
def test_a_wait_ends_at_its_moment(journal: Journal, boundary: float, why: Why) -> None:
    assert decided(journal, boundary - 0.001)[1] is why
    assert decided(journal, boundary)[1] is Why.ASKED


def test_after_a_disruptive_run_the_cooldown_counts_and_not_retry() -> None:
    no_cooldown = with_mode("auto", cooldown="0s")

    assert decided(after(90, disruptive=True), 91, no_cooldown)[1] is Why.ASKED
    assert decided(after(90, disruptive=False), 91, no_cooldown)[1] is Why.RETRY


def test_a_cooldown_outlasts_later_runs_that_did_nothing() -> None:
    both = msgspec.structs.replace(after(90, disruptive=True), runs=(run(ended=90, disruptive=True), run(ended=200)))

    assert [decided(both, moment)[1] for moment in (100, 300, 989, 990)] == [Why.COOLDOWN] * 3 + [Why.ASKED]
    assert cooldown_end(both, CF) == at(990)


def test_a_restart_whose_end_nobody_wrote_cools_down_from_its_beginning() -> None:
    lost = Journal(foundation="cf", disruptions=(Disruption(run="gone", started=at(0)),))

    assert decided(lost, 100) == (Verdict.REFUSE, Why.COOLDOWN, at(900))


def test_without_a_restart_there_is_no_cooldown() -> None:
    assert cooldown_end(after(90, disruptive=False), CF) is None


# ---- the breaker

THREE = tuple(Disruption(run=f"cf-{n}", started=at(n * 1000), ended=at(n * 1000 + 50)) for n in range(3))


@pytest.mark.parametrize(("seconds", "expected"), [(21_600, Why.BREAKER_OPEN), (21_600.001, Why.ASKED)])
def test_the_settings_as_they_are_now_decide_whether_the_breaker_opens(seconds: float, expected: Why) -> None:
    assert decided(Journal(foundation="cf", disruptions=THREE), seconds)[1] is expected


def test_a_breaker_that_was_found_open_stays_open() -> None:
    """Also one that the settings, and no run, have opened: it is on record with the refusal."""
    counted = Journal(foundation="cf", disruptions=THREE)
    by_alert, _ = asked(counted, 4000, firing())
    by_person, _ = ask_as_person(counted, person(4000), CF)
    waiting = msgspec.structs.replace(counted, request=asked(EMPTY, 4000, firing())[0].request)
    again, _ = reconsider(waiting, CF, at(4000))

    for journal in (by_alert, by_person, again):
        assert journal.breaker_open == at(4000)
        assert decided(journal, 1_000_000)[1] is Why.BREAKER_OPEN
        assert decided(journals.reset(journal, by="ann", now=at(1_000_000)), 1_000_000)[1] is Why.ASKED


# ---- what alerts ask


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


# ---- wanted


def wanted(*asks: Ask) -> Journal:
    """Asked for in the cooldown that ends at 990."""
    return asked(after(90, disruptive=True), 500, *(asks or (firing("a"),)))[0]


def test_what_is_wanted_is_decided_again_when_the_time_comes() -> None:
    early, nothing = reconsider(wanted(), CF, at(989.999))
    assert (nothing, early) == (None, wanted())

    journal, decision = reconsider(wanted(), CF, at(990))

    assert decision is not None
    assert (decision.verdict, decision.why) == (Verdict.RUN, Why.ASKED)
    opened = started(journal, 990).open_run
    assert opened is not None
    assert opened.alerts == {"a": True}


def test_an_alert_that_comes_again_meanwhile_does_not_shorten_the_wait() -> None:
    journal, decision = asked(wanted(), 600, firing("a"), firing("b"))

    assert decision == (Verdict.REFUSE, Why.COOLDOWN)
    assert {key: each.heard for key, each in request_of(journal).alerts.items()} == {"a": at(600), "b": at(600)}
    assert request_of(journal).due == at(990)


def test_a_resolved_takes_one_of_several_alerts_out() -> None:
    journal, decision = asked(wanted(firing("a"), firing("b")), 600, resolved("a", ended=590))

    assert decision is None
    assert list(request_of(journal).alerts) == ["b"]
    assert (request_of(journal).due, request_of(journal).waits_for) == (at(990), "cooldown")


def test_what_is_wanted_goes_when_all_its_alerts_are_resolved() -> None:
    journal, decision = asked(wanted(firing("a"), firing("b")), 600, resolved("a", ended=590), resolved("b", ended=595))

    assert (journal.request, decision) == (None, None)


def test_a_resolved_of_another_alert_changes_nothing() -> None:
    journal, _ = asked(wanted(), 600, resolved("other", ended=590))

    assert journal.request == wanted().request


def test_what_is_wanted_goes_when_nobody_was_heard_of_for_its_time() -> None:
    """request_ttl is 10 minutes: heard of at 500, so dead after 1100."""
    late = msgspec.structs.replace(wanted(), request=msgspec.structs.replace(request_of(wanted()), due=at(1100)))

    _, in_time = reconsider(late, CF, at(1100))
    journal, decision = reconsider(late, CF, at(1100.001))

    assert in_time is not None
    assert in_time.verdict is Verdict.RUN
    assert (journal.request, decision) == (None, None)
    assert journal.notes[-1].text == "a wanted request expired: unheard of"


def test_only_those_that_are_heard_of_go_on_asking() -> None:
    """The alert `a` was heard of at 500, `b` at 600 as well."""
    journal, _ = asked(wanted(firing("a"), firing("b")), 600, firing("b"))

    journal, _ = reconsider(journal, CF, at(1150))

    assert list(request_of(journal).alerts) == ["b"]


def test_where_nothing_is_asked_there_is_nothing_to_decide() -> None:
    assert reconsider(EMPTY, CF, at(0)) == (EMPTY, None)


def test_what_is_wanted_waits_again_for_what_has_come_between() -> None:
    """A person's run has ended meanwhile, without a delete."""
    journal = msgspec.structs.replace(wanted(), runs=(run(ended=980),), disruptions=())

    journal, decision = reconsider(journal, CF, at(990))

    assert decision is not None
    assert (decision.verdict, decision.why) == (Verdict.REFUSE, Why.RETRY)
    assert (request_of(journal).due, request_of(journal).waits_for) == (at(1040), "retry")


@pytest.mark.parametrize("say", ["resume", "reset"])
def test_after_resume_and_reset_nothing_old_is_replayed(say: str) -> None:
    person_says = {
        "resume": lambda: journals.resume(
            journals.pause(wanted(), by="ann", reason="", now=at(600)), by="ann", now=at(700)
        ),
        "reset": lambda: journals.reset(wanted(), by="ann", now=at(700)),
    }
    journal = person_says[say]()

    assert reconsider(journal, CF, at(990)) == (journal, None)
    assert asked(journal, 990, firing())[1] == (Verdict.RUN, Why.ASKED)


def test_what_was_asked_while_it_was_paused_is_not_replayed() -> None:
    journal, _ = asked(PAUSED, 100, firing())
    journal = journals.resume(journal, by="ann", now=at(200))

    assert reconsider(journal, CF, at(10_000)) == (journal, None)


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

    still, too_early = asked(journal, 900, firing("a", since=0))
    _, decision = asked(still, 900.001, firing("a", since=0))

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


# ---- people


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

    assert reconsider(journal, CF, at(600))[1] is not None
    assert reconsider(journal, CF, at(600.001))[0].request is None


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
