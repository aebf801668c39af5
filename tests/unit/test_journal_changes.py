"""How a journal changes: notes, a person's pause and reset, intents, and what the breaker counts."""

from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest

from tests.support.journals import pods, run
from tests.support.moments import at
from webhook.record import changes
from webhook.record.changes import MAX_NOTES, approve, end_run, note, record_intent, settle_pod
from webhook.record.journal import MAX_TEXT, Approval, Disruption, Journal, Outcome, Pause, PodState, Request, Run

HOUR = timedelta(hours=1)


def test_notes_are_counted_bounded_and_cut() -> None:
    journal = Journal(foundation="cf")
    for number in range(30):
        journal = note(journal, f"note {number}", at(number))
    journal = note(journal, "note 29", at(50))
    journal = note(journal, "x" * 5000, at(51))
    journal = note(journal, "x" * 5000, at(52))

    assert len(journal.notes) == MAX_NOTES == 20
    assert (journal.notes[-2].text, journal.notes[-2].count, journal.notes[-2].at) == ("note 29", 2, at(50))
    assert (len(journal.notes[-1].text), journal.notes[-1].count) == (MAX_TEXT, 2)


def test_pause_resume_and_reset_drop_what_was_requested() -> None:
    requested = Journal(foundation="cf", request=Request(due=at(0)), breaker_opened=at(0))

    paused = changes.pause(requested, by="ann", reason="r" * 5000, now=at(1))
    resumed = changes.resume(msgspec.structs.replace(paused, request=Request(due=at(2))), by="bob", now=at(3))
    reset = changes.reset(msgspec.structs.replace(resumed, request=Request(due=at(2))), by="cid", now=at(4))

    assert paused.paused == Pause(by="ann", at=at(1), reason="r" * MAX_TEXT)
    assert [each.request for each in (paused, resumed, reset)] == [None, None, None]
    assert (resumed.paused, resumed.breaker_opened) == (None, at(0))
    assert reset.breaker_opened is None
    assert [each.text[:12] for each in reset.notes] == ["paused by an", "resumed by b", "breaker rese"]


@dataclass
class Restarts:
    """Disruptive runs one after the other, each with its intent and its end."""

    journal: Journal = field(default_factory=lambda: Journal(foundation="cf"))
    window: timedelta = HOUR
    limit: int = 3

    def restart(self, number: int, began: float, *, took: float = 60, outcome: Outcome = Outcome.FAILED) -> None:
        opened = run(number, outcome=None, pods=pods())
        self.journal = msgspec.structs.replace(self.journal, runs=(*self.journal.runs, opened))
        self.journal = record_intent(self.journal, opened, "uid-0", window=self.window, now=at(began))
        intended = self.journal.open_run
        assert intended is not None
        assert intended.disruptive
        ended = msgspec.structs.replace(intended, outcome=outcome, ended=at(began + took))
        self.journal = end_run(
            self.journal, ended, breaker_runs=self.limit, breaker_window=self.window, now=at(began + took)
        )


def test_an_intent_makes_a_run_disruptive_once() -> None:
    opened = run(1, outcome=None, pods=pods())
    journal = Journal(foundation="cf", runs=(opened,))
    for uid, moment in (("uid-0", 1), ("uid-1", 2), ("uid-1", 3)):
        current = journal.open_run
        assert current is not None
        journal = record_intent(journal, current, uid, window=HOUR, now=at(moment))

    assert journal.disruptions == (Disruption(run="cf-1", started=at(1)),)
    assert [(pod.state, pod.intended_at) for pod in journal.runs[-1].pods] == [
        (PodState.INTENDED, at(1)),
        (PodState.INTENDED, at(2)),
    ]


@pytest.mark.parametrize("outcome", [Outcome.RECOVERED, Outcome.FAILED])
def test_the_breaker_openeds_with_the_third_disruptive_run_whatever_its_outcome(outcome: Outcome) -> None:
    restarts = Restarts()
    opened = []
    for number, began in enumerate((0, 1000, 2000)):
        restarts.restart(number, began, outcome=outcome)
        opened.append(restarts.journal.breaker_opened)

    assert opened == [None, None, at(2060)]
    assert restarts.journal.disruptions[-1] == Disruption(run="cf-2", started=at(2000), ended=at(2060))


@pytest.mark.parametrize(("third", "expected"), [(3600, True), (3601, False)])
def test_the_window_is_measured_from_beginning_to_beginning(third: float, expected: bool) -> None:
    """How long the last run took is no matter."""
    restarts = Restarts()
    for number, began in enumerate((0, 1000, third)):
        restarts.restart(number, began, took=600)

    assert (restarts.journal.breaker_opened is not None) is expected


def test_after_a_reset_only_what_comes_later_counts() -> None:
    restarts = Restarts()
    for number, began in enumerate((0, 100, 200)):
        restarts.restart(number, began)
    restarts.journal = changes.reset(restarts.journal, by="ann", now=at(300))
    assert restarts.journal.breaker_opened is None

    for number, began in enumerate((400, 500)):
        restarts.restart(number + 3, began)
        assert restarts.journal.breaker_opened is None
    restarts.restart(5, 600)

    assert restarts.journal.breaker_opened == at(660)


def test_the_breaker_stays_open() -> None:
    restarts = Restarts(limit=1)
    restarts.restart(0, 0)
    restarts.restart(1, 50_000)

    assert restarts.journal.breaker_opened == at(60)


def test_runs_that_end_without_a_delete_do_not_count() -> None:
    journal = Journal(foundation="cf")
    for number in range(5):
        journal = msgspec.structs.replace(journal, runs=(*journal.runs, run(number, outcome=None, pods=pods())))
        ended = run(number, outcome=Outcome.UNPROVEN, pods=pods())
        journal = end_run(journal, ended, breaker_runs=1, breaker_window=HOUR, now=at(number))

    assert (journal.breaker_opened, journal.disruptions) == (None, ())


def test_the_last_disruption_is_remembered_beyond_the_window() -> None:
    """A cooldown may be longer than the breaker's window."""
    restarts = Restarts(window=timedelta(minutes=1))
    for number, began in enumerate((0, 1000, 2000)):
        restarts.restart(number, began)

    assert [each.started for each in restarts.journal.disruptions] == [at(1000), at(2000)]


def test_a_reset_counts_by_what_is_on_record_and_not_by_a_clock() -> None:
    """The three runs before it do not count, whatever the time of the person's machine; the next three do."""
    for now in (-100_000, 300, 100_000):
        restarts = Restarts()
        for number, began in enumerate((0, 100, 200)):
            restarts.restart(number, began)
        restarts.journal = changes.reset(restarts.journal, by="ann", now=at(now))
        opened = []
        for number, began in enumerate((400, 500, 600)):
            restarts.restart(number + 3, began)
            opened.append(restarts.journal.breaker_opened)

        assert opened == [None, None, at(660)]


def test_a_run_that_is_open_during_a_reset_still_counts() -> None:
    """It was not over when the person looked."""
    opened = run(1, outcome=None, pods=pods())
    journal = Journal(foundation="cf", runs=(opened,), disruptions=(Disruption(run="old", started=at(0), ended=at(1)),))
    journal = record_intent(journal, opened, "uid-0", window=HOUR, now=at(5))

    journal = changes.reset(journal, by="ann", now=at(10))

    assert [(each.run, each.counted) for each in journal.disruptions] == [("old", False), ("cf-1", True)]
    assert changes.reset(journal, by="ann", now=at(10)).disruptions == journal.disruptions


def test_what_became_of_a_pod_is_recorded_by_its_uid() -> None:
    opened = run(1, outcome=None, pods=pods(intended=True))

    settled = settle_pod(opened, uid="uid-1", state=PodState.DELETED)

    assert [(pod.state, pod.settled) for pod in settled.pods] == [(PodState.LISTED, False), (PodState.DELETED, True)]
    assert settled.disruptive
    assert settle_pod(settled, uid="uid-1", state=PodState.DELETED) == settled


# ---- approval


def awaiting(**changes: object) -> Journal:
    opened = run(1, outcome=None, approval=Approval(requested=at(0)))
    return Journal(foundation="cf", runs=(msgspec.structs.replace(opened, **changes),))


def test_an_approval_says_who_and_when_and_is_given_once() -> None:
    journal = approve(awaiting(), "cf-1", by="ann", now=at(10))

    assert journal.runs[-1].approval == Approval(requested=at(0), by="ann", at=at(10))
    assert not journal.runs[-1].awaits_approval
    assert journal.notes[-1].text == "run cf-1 approved by ann"
    assert approve(journal, "cf-1", by="bob", now=at(11)) == journal


@pytest.mark.parametrize(
    ("journal", "said"),
    [
        (awaiting(id="cf-2"), "run cf-1 is not in progress"),
        (awaiting(outcome=Outcome.CANCELLED), "run cf-1 is not in progress"),
        (awaiting(approval=None), "run cf-1 does not wait for approval"),
    ],
)
def test_only_a_run_that_waits_for_it_can_be_approved(journal: Journal, said: str) -> None:
    with pytest.raises(LookupError, match=said):
        approve(journal, "cf-1", by="ann", now=at(10))


def test_an_end_in_the_future_counts_as_now() -> None:
    """It was written by a clock that is ahead: waits that count from it would last for the skew."""
    disruptions = (
        Disruption(run="cf-0", started=at(-90), ended=at(-60)),
        Disruption(run="cf-1", started=at(0), ended=at(7200)),
        Disruption(run="cf-2", started=at(0)),
    )
    ended = Run(
        id="cf-1", foundation="cf", runbook="restart-diego-api", mode="auto", started=at(0), ended=at(7200),
        outcome=Outcome.FAILED,
    )  # fmt: skip
    journal = changes.clamp(Journal(foundation="cf", runs=(ended,), disruptions=disruptions), at(100))

    assert journal.runs[-1].ended == at(100)
    assert [item.ended for item in journal.disruptions] == [at(-60), at(100), None]


def test_an_end_in_the_past_stays_as_it_is() -> None:
    journal = Journal(foundation="cf", disruptions=(Disruption(run="cf-0", started=at(-90), ended=at(-60)),))
    assert changes.clamp(journal, at(100)) == journal
