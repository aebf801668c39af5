"""What becomes of a request: every decision with its reason, at its moment, and the breaker."""

from datetime import UTC, datetime

import msgspec
import pytest

from tests.support.decisions import (
    BROKEN,
    CF,
    EMPTY,
    IN_PROGRESS,
    OBSERVED,
    PAUSED,
    after,
    asked,
    decided,
    open_run,
    run,
    started,
    with_mode,
)
from tests.support.moments import at, firing, person
from webhook.record import changes
from webhook.record.journal import Disruption, Journal
from webhook.requests.decision import DecisionKind, DecisionReason, cooldown_end, decide, reconsider, request_as_person


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        (EMPTY, (DecisionKind.RUN, DecisionReason.ASKED, None)),
        (IN_PROGRESS, (DecisionKind.JOIN, DecisionReason.IN_PROGRESS, None)),
        (OBSERVED, (DecisionKind.REFUSE, DecisionReason.RETRY, at(160))),
        (PAUSED, (DecisionKind.REFUSE, DecisionReason.PAUSED, None)),
        (BROKEN, (DecisionKind.REFUSE, DecisionReason.BREAKER_OPEN, None)),
        (after(90, disruptive=True), (DecisionKind.REFUSE, DecisionReason.COOLDOWN, at(990))),
        (after(90, disruptive=False), (DecisionKind.REFUSE, DecisionReason.RETRY, at(150))),
    ],
)
def test_every_decision_has_its_reason(
    journal: Journal, expected: tuple[DecisionKind, DecisionReason, datetime | None]
) -> None:
    assert decided(journal, 100) == expected


def test_the_words_tell_a_person_what_to_do() -> None:
    assert decide(PAUSED, CF, at(1)).text == "paused by ann (maintenance) until `resume`"
    assert "a person must run `reset`" in decide(BROKEN, CF, at(1)).text
    assert decide(after(90, disruptive=True), CF, at(100)).text == "cooldown after a restart until 12:16:30 UTC"


def test_the_reason_that_only_a_person_can_lift_comes_first() -> None:
    everything = msgspec.structs.replace(
        after(90, disruptive=True), runs=(run(ended=None),), paused=PAUSED.paused, breaker_opened=at(0)
    )
    found = []
    for lifted in (
        {"runs": (run(ended=90),)},
        {"paused": None},
        {"breaker_opened": None},
        {"disruptions": ()},
        {"runs": ()},
    ):
        found.append(decided(everything, 100)[1])
        everything = msgspec.structs.replace(everything, **lifted)
    found.append(decided(everything, 100)[1])

    assert found == [
        DecisionReason.IN_PROGRESS,
        DecisionReason.PAUSED,
        DecisionReason.BREAKER_OPEN,
        DecisionReason.COOLDOWN,
        DecisionReason.RETRY,
        DecisionReason.ASKED,
    ]


@pytest.mark.parametrize(
    ("journal", "boundary", "why"),
    [
        (after(90, disruptive=True), 990, DecisionReason.COOLDOWN),
        (after(90, disruptive=False), 150, DecisionReason.RETRY),
    ],
)
def test_a_wait_ends_at_its_moment(journal: Journal, boundary: float, why: DecisionReason) -> None:
    assert decided(journal, boundary - 0.001)[1] is why
    assert decided(journal, boundary)[1] is DecisionReason.ASKED


def test_after_a_disruptive_run_the_cooldown_counts_and_not_retry() -> None:
    no_cooldown = with_mode("auto", cooldown="0s")

    assert decided(after(90, disruptive=True), 91, no_cooldown)[1] is DecisionReason.ASKED
    assert decided(after(90, disruptive=False), 91, no_cooldown)[1] is DecisionReason.RETRY


def test_a_cooldown_outlasts_later_runs_that_did_nothing() -> None:
    both = msgspec.structs.replace(after(90, disruptive=True), runs=(run(ended=90, disruptive=True), run(ended=200)))

    assert [decided(both, moment)[1] for moment in (100, 300, 989, 990)] == [DecisionReason.COOLDOWN] * 3 + [
        DecisionReason.ASKED
    ]
    assert cooldown_end(both, CF) == at(990)


def test_a_restart_whose_end_nobody_wrote_cools_down_from_its_beginning() -> None:
    lost = Journal(foundation="cf", disruptions=(Disruption(run="gone", started=at(0)),))

    assert decided(lost, 100) == (DecisionKind.REFUSE, DecisionReason.COOLDOWN, at(900))


def test_without_a_restart_there_is_no_cooldown() -> None:
    assert cooldown_end(after(90, disruptive=False), CF) is None


# ---- the breaker

THREE = tuple(Disruption(run=f"cf-{n}", started=at(n * 1000), ended=at(n * 1000 + 50)) for n in range(3))


@pytest.mark.parametrize(
    ("seconds", "expected"), [(21_600, DecisionReason.BREAKER_OPEN), (21_600.001, DecisionReason.ASKED)]
)
def test_todays_settings_decide_whether_the_breaker_opens(seconds: float, expected: DecisionReason) -> None:
    assert decided(Journal(foundation="cf", disruptions=THREE), seconds)[1] is expected


def test_a_breaker_that_was_found_open_stays_open() -> None:
    """Also one that the settings, and no run, have opened: it is on record with the refusal."""
    counted = Journal(foundation="cf", disruptions=THREE)
    by_alert, _ = asked(counted, 4000, firing())
    by_person, _ = request_as_person(counted, person(4000), CF)
    waiting = msgspec.structs.replace(counted, request=asked(EMPTY, 4000, firing())[0].request)
    again, _ = reconsider(waiting, CF, at(4000))

    for journal in (by_alert, by_person, again):
        assert journal.breaker_opened == at(4000)
        assert decided(journal, 1_000_000)[1] is DecisionReason.BREAKER_OPEN
        assert decided(changes.reset(journal, by="ann", now=at(1_000_000)), 1_000_000)[1] is DecisionReason.ASKED


@pytest.mark.parametrize("ahead", [-90 * 60, 0, 3 * 3600])
def test_the_breaker_opens_after_a_reset_from_a_machine_with_a_wrong_clock(ahead: float) -> None:
    """A person's laptop is hours ahead or behind: the runs before the reset do not count, those after it do."""
    journal = changes.reset(
        Journal(foundation="cf", breaker_opened=at(2050), disruptions=THREE), by="ann", now=at(2100 + ahead)
    )
    kinds = []
    for number in range(6):
        began = 3000 + number * 1000
        kinds.append(decided(journal, began)[1])
        restart = Disruption(run=f"cf-{number + 3}", started=at(began), ended=at(began + 50))
        journal = msgspec.structs.replace(journal, disruptions=(*journal.disruptions, restart))

    assert kinds == [DecisionReason.ASKED] * 3 + [DecisionReason.BREAKER_OPEN] * 3


# ---- the mode


@pytest.mark.parametrize("mode", ["auto", "approve", "observe", None])
def test_a_run_has_the_mode_of_todays_config(mode: str | None) -> None:
    settings = with_mode(mode)
    requested, _ = asked(EMPTY, 0, firing(), settings=settings)

    assert open_run(started(requested, 1, settings)).mode == str(mode)


@pytest.mark.parametrize("mode", ["auto", "approve", "observe", None])
def test_a_person_who_only_observes_makes_every_mode_stricter(mode: str | None) -> None:
    settings = with_mode(mode)
    requested, _ = request_as_person(EMPTY, person(0, observe=True), settings)

    assert open_run(started(requested, 1, settings)).mode == "observe"


@pytest.mark.parametrize(
    ("run_mode", "config_mode", "joins"),
    [
        ("auto", "auto", True),
        ("auto", "approve", True),
        ("auto", "observe", False),
        ("approve", "observe", False),
        ("observe", "auto", False),
        ("observe", "approve", False),
        ("observe", "observe", True),
    ],
)
def test_a_request_joins_a_run_unless_one_of_the_two_only_observes(
    run_mode: str, config_mode: str, joins: bool
) -> None:
    """Also after a reload, and where a person's own config says `observe`: a run that deletes is not joined."""
    open_one = Journal(foundation="cf", runs=(run(ended=None, mode=run_mode),))
    settings = with_mode(config_mode)
    expected = DecisionKind.JOIN if joins else DecisionKind.REFUSE

    assert decided(open_one, 10, settings)[0] is expected
    journal, decision = request_as_person(open_one, person(10), settings)
    assert decision.kind is expected
    assert journal.request is None


def test_a_moment_at_the_end_of_the_calendar_is_no_defect() -> None:
    """A person has edited the journal: whatever is decided, it must be decided."""
    end = datetime.max.replace(tzinfo=UTC)
    journal = Journal(foundation="cf", disruptions=(Disruption(run="cf-1", started=end),))

    assert cooldown_end(journal, CF) == end
    assert decide(journal, CF, at(0)).reason is DecisionReason.COOLDOWN
