"""What becomes of a request: every decision with its reason, at its moment, and the breaker."""

from datetime import datetime

import msgspec
import pytest

from tests.support.decisions import (
    BROKEN,
    CF,
    EMPTY,
    OBSERVED,
    PAUSED,
    UNDER_WAY,
    after,
    asked,
    decided,
    run,
    with_mode,
)
from tests.support.moments import at, firing, person
from webhook.record import journal as journals
from webhook.record.journal import Disruption, Journal
from webhook.requests.decision import Verdict, Why, ask_as_person, cooldown_end, decide, reconsider


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
