"""The journal as text: within its bounds, and read strictly; the breaker's and the cooldown's memory."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.support.moments import at, person
from webhook.record import journal as journals
from webhook.record.journal import (
    MAX_BYTES,
    MAX_RUNS,
    MAX_TEXT,
    Disruption,
    Journal,
    JournalUnreadableError,
    Outcome,
    Pause,
    PodRecord,
    Request,
    Run,
    Step,
    StepRecord,
    StepResult,
    decode,
    encode,
    end_run,
    note,
    record_intent,
)

HOUR = timedelta(hours=1)


def run(number: int = 1, *, outcome: Outcome | None = Outcome.RECOVERED, evidence: str = "", **changes: Any) -> Run:
    return Run(
        id=f"cf-{number}",
        foundation="cf",
        runbook="restart-diego-api",
        mode="auto",
        started=at(number),
        ended=None if outcome is None else at(number + 0.5),
        outcome=outcome,
        evidence=evidence,
        **changes,
    )


def pods(*, intended: bool = False) -> tuple[PodRecord, ...]:
    intent = at(0) if intended else None
    return tuple(
        PodRecord(name=f"diego-api-{n}", uid=f"uid-{n}", statefulset="diego-api", intent=intent) for n in (0, 1)
    )


FULL = Journal(
    foundation="cf",
    epoch=7,
    request=Request(due=at(5), person=person(3, observe=True), waits_for="retry"),
    paused=Pause(by="ann", at=at(1), reason="maintenance"),
    breaker_open=at(2),
    breaker_reset=at(1),
    disruptions=(Disruption(run="cf-0", started=at(0), ended=at(1)),),
    runs=(
        run(
            1,
            pods=pods(intended=True),
            step=Step.RESTART,
            steps=(StepRecord(name=Step.RESTART, started=at(1.25), ended=at(1.5), result=StepResult.OK, detail="…"),),
            person=person(1),
            alerts={"f": True},
        ),
    ),
)


def test_what_is_written_is_read_again() -> None:
    assert decode(encode(FULL)) == FULL
    assert decode(encode(Journal(foundation="cf"))) == Journal(foundation="cf")


def test_times_are_written_as_rfc_3339() -> None:
    assert '"breaker_open":"2026-01-31T12:00:02Z"' in encode(FULL)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "truncated"),
        ("{}", "version"),
        ("[]", "Expected `object`"),
        ("\ud800", "surrogates"),
        ('{"new": ' + "[" * 100_000, "recursion"),
        ('{"version": 1}', "foundation"),
        ('{"version": 2, "foundation": "cf", "new": {}}', "version 2, this program reads 1"),
        ('{"version": 1, "foundation": "cf", "new": {}}', "unknown field `new`"),
        ('{"version": 1, "foundation": "cf", "runs": 3}', "$.runs"),
        ('{"version": 1, "foundation": "cf", "breaker_open": "2026-01-31T12:00:00"}', "timezone"),
        ('{"version": 1, "foundation": "cf", "paused": {"by": "ann"}}', "$.paused"),
        ('{"version": 1, "foundation": "cf", "notes": [{"at": "2026-01-31T12:00:00Z", "text": "", "x": 1}]}', "`x`"),
    ],
)
def test_what_is_not_a_journal_of_this_program_is_not_read(text: str, said: str) -> None:
    """A field of a newer program as well: it would be lost with the next write."""
    with pytest.raises(JournalUnreadableError) as refused:
        decode(text)

    assert said in str(refused.value)


def test_the_last_fifty_runs_are_kept() -> None:
    journal = Journal(foundation="cf", runs=tuple(run(number) for number in range(MAX_RUNS + 3)))

    assert [each.id for each in decode(encode(journal)).runs] == [f"cf-{number}" for number in range(3, MAX_RUNS + 3)]


def test_old_evidence_goes_before_a_run_does() -> None:
    evidence = "x" * 16_000
    journal = Journal(foundation="cf", runs=tuple(run(number, evidence=evidence) for number in range(20)))

    text = encode(journal)

    assert MAX_BYTES - 16_500 < len(text) <= MAX_BYTES
    kept = decode(text).runs
    assert len(kept) == 20
    assert [bool(each.evidence) for each in kept] == [False] * 4 + [True] * 16


def test_old_runs_go_when_evidence_is_not_enough() -> None:
    journal = Journal(foundation="cf", runs=tuple(run(number, detail="ü" * 10_000) for number in range(20)))

    text = encode(journal)

    assert len(text.encode()) <= MAX_BYTES
    kept = decode(text).runs
    assert [each.id for each in kept] == [f"cf-{number}" for number in range(20 - len(kept), 20)]
    assert len(kept) == 12


def test_what_is_in_force_is_never_trimmed() -> None:
    """The open run, the pause, the breaker and what it counts; however little room they leave."""
    crowd = tuple(run(number, detail="x" * 20_000) for number in range(60))
    still_open = run(60, outcome=None, evidence="e" * 16_000, pods=pods(intended=True))
    journal = msgspec.structs.replace(FULL, runs=(*crowd, still_open))

    kept = decode(encode(journal))

    assert kept.runs[-1] == still_open
    assert kept.open_run == still_open
    assert msgspec.structs.replace(kept, runs=()) == msgspec.structs.replace(FULL, runs=())


def test_an_open_run_is_kept_even_where_it_is_too_large() -> None:
    too_large = run(2, outcome=None, detail="x" * MAX_BYTES)

    assert decode(encode(Journal(foundation="cf", runs=(run(1), too_large)))).runs == (too_large,)


def test_only_the_last_run_can_be_open() -> None:
    assert Journal(foundation="cf").open_run is None
    assert Journal(foundation="cf", runs=(run(1),)).open_run is None
    assert Journal(foundation="cf", runs=(run(1), run(2, outcome=None))).open_run == run(2, outcome=None)


def test_notes_are_counted_bounded_and_cut() -> None:
    journal = Journal(foundation="cf")
    for number in range(30):
        journal = note(journal, f"note {number}", at(number))
    journal = note(journal, "note 29", at(50))
    journal = note(journal, "x" * 5000, at(51))
    journal = note(journal, "x" * 5000, at(52))

    assert len(journal.notes) == 20
    assert (journal.notes[-2].text, journal.notes[-2].count, journal.notes[-2].at) == ("note 29", 2, at(50))
    assert (len(journal.notes[-1].text), journal.notes[-1].count) == (MAX_TEXT, 2)


@pytest.mark.parametrize(
    ("alerts", "by_person", "expected"),
    [
        ({}, False, False),
        ({"a": True, "b": False}, False, False),
        ({"a": False, "b": False}, False, True),
        ({"a": False}, True, False),
    ],
)
def test_a_run_is_withdrawn_when_all_its_alerts_are(alerts: dict[str, bool], by_person: bool, expected: bool) -> None:
    asked = run(1, outcome=None, alerts=alerts, person=person(0) if by_person else None)

    assert asked.withdrawn is expected


def test_pause_resume_and_reset_forget_what_was_asked() -> None:
    asked = Journal(foundation="cf", request=Request(due=at(0)), breaker_open=at(0))

    paused = journals.pause(asked, by="ann", reason="r" * 5000, now=at(1))
    resumed = journals.resume(msgspec.structs.replace(paused, request=Request(due=at(2))), by="bob", now=at(3))
    reset = journals.reset(msgspec.structs.replace(resumed, request=Request(due=at(2))), by="cid", now=at(4))

    assert paused.paused == Pause(by="ann", at=at(1), reason="r" * MAX_TEXT)
    assert [each.request for each in (paused, resumed, reset)] == [None, None, None]
    assert (resumed.paused, resumed.breaker_open) == (None, at(0))
    assert (reset.breaker_open, reset.breaker_reset) == (None, at(4))
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
    assert [pod.intent for pod in journal.runs[-1].pods] == [at(1), at(3)]


@pytest.mark.parametrize("outcome", [Outcome.RECOVERED, Outcome.FAILED])
def test_the_breaker_opens_with_the_third_disruptive_run_whatever_its_outcome(outcome: Outcome) -> None:
    restarts = Restarts()
    opened = []
    for number, began in enumerate((0, 1000, 2000)):
        restarts.restart(number, began, outcome=outcome)
        opened.append(restarts.journal.breaker_open)

    assert opened == [None, None, at(2060)]
    assert restarts.journal.disruptions[-1] == Disruption(run="cf-2", started=at(2000), ended=at(2060))


@pytest.mark.parametrize(("third", "expected"), [(3600, True), (3601, False)])
def test_the_window_is_measured_from_beginning_to_beginning(third: float, expected: bool) -> None:
    """How long the last run took is no matter."""
    restarts = Restarts()
    for number, began in enumerate((0, 1000, third)):
        restarts.restart(number, began, took=600)

    assert (restarts.journal.breaker_open is not None) is expected


def test_after_a_reset_only_what_comes_later_counts() -> None:
    restarts = Restarts()
    for number, began in enumerate((0, 100, 200)):
        restarts.restart(number, began)
    restarts.journal = journals.reset(restarts.journal, by="ann", now=at(300))
    assert restarts.journal.breaker_open is None

    for number, began in enumerate((400, 500)):
        restarts.restart(number + 3, began)
        assert restarts.journal.breaker_open is None
    restarts.restart(5, 600)

    assert restarts.journal.breaker_open == at(660)


def test_the_breaker_stays_open() -> None:
    restarts = Restarts(limit=1)
    restarts.restart(0, 0)
    restarts.restart(1, 50_000)

    assert restarts.journal.breaker_open == at(60)


def test_runs_that_end_without_a_delete_do_not_count() -> None:
    journal = Journal(foundation="cf")
    for number in range(5):
        journal = msgspec.structs.replace(journal, runs=(*journal.runs, run(number, outcome=None, pods=pods())))
        ended = run(number, outcome=Outcome.UNPROVEN, pods=pods())
        journal = end_run(journal, ended, breaker_runs=1, breaker_window=HOUR, now=at(number))

    assert (journal.breaker_open, journal.disruptions) == (None, ())


def test_the_last_disruption_is_remembered_beyond_the_window() -> None:
    """A cooldown may be longer than the breaker's window."""
    restarts = Restarts(window=timedelta(minutes=1))
    for number, began in enumerate((0, 1000, 2000)):
        restarts.restart(number, began)

    assert [each.started for each in restarts.journal.disruptions] == [at(1000), at(2000)]
