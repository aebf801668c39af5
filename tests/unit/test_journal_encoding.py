"""The journal as text: within its bounds, read strictly, and what version 1 wrote is understood."""

from datetime import timedelta

import msgspec
import pytest

from tests.support import version_1
from tests.support.decisions import CF
from tests.support.journals import FULL, pods, run
from tests.support.moments import alert, at, person
from webhook.record.changes import record_intent
from webhook.record.encoding import JournalUnreadableError, decode, encode
from webhook.record.journal import (
    MAX_BYTES,
    MAX_RUNS,
    MAX_STEPS,
    AlertRecord,
    Disruption,
    Journal,
    Note,
    Outcome,
    Pause,
    PodState,
    Request,
    Resolution,
    Step,
    StepRecord,
    StepResult,
)
from webhook.requests.decision import DecisionReason, decide


def test_what_is_written_is_read_again() -> None:
    assert decode(encode(FULL)) == FULL
    assert decode(encode(Journal(foundation="cf"))) == Journal(foundation="cf")


def test_times_are_written_as_rfc_3339() -> None:
    assert '"breaker_opened":"2026-01-31T12:00:02Z"' in encode(FULL)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "truncated"),
        ("{}", "version"),
        ("[]", "Expected `object`"),
        ("\ud800", "surrogates"),
        ('{"new": ' + "[" * 100_000, "recursion"),
        ('{"version": 2}', "foundation"),
        ('{"version": 3, "foundation": "cf", "new": {}}', "version 3; this program reads 1 and 2"),
        ('{"version": 0, "foundation": "cf"}', "version 0; this program reads 1 and 2"),
        ('{"version": 2, "foundation": "cf", "new": {}}', "unknown field `new`"),
        ('{"version": 2, "foundation": "cf", "breaker_open": null}', "unknown field `breaker_open`"),
        ('{"version": 2, "foundation": "cf", "runs": 3}', "$.runs"),
        ('{"version": 2, "foundation": "cf", "breaker_opened": "2026-01-31T12:00:00"}', "timezone"),
        ('{"version": 2, "foundation": "cf", "paused": {"by": "ann"}}', "$.paused"),
        ('{"version": 2, "foundation": "cf", "notes": [{"at": "2026-01-31T12:00:00Z", "text": "", "x": 1}]}', "`x`"),
    ],
)
def test_what_is_not_a_journal_of_this_program_is_not_read(text: str, said: str) -> None:
    """A field of a newer program as well: it would be lost with the next write."""
    with pytest.raises(JournalUnreadableError) as refused:
        decode(text)

    assert said in str(refused.value)


# ---- the bounds


def test_the_last_fifty_runs_are_kept() -> None:
    journal = Journal(foundation="cf", runs=tuple(run(number) for number in range(MAX_RUNS + 3)))

    assert [each.id for each in decode(encode(journal)).runs] == [f"cf-{number}" for number in range(3, MAX_RUNS + 3)]


def test_old_evidence_is_dropped_before_a_run_is() -> None:
    evidence = "x" * 16_000
    journal = Journal(foundation="cf", runs=tuple(run(number, evidence=evidence) for number in range(20)))

    text = encode(journal)

    assert MAX_BYTES - 16_500 < len(text) <= MAX_BYTES
    kept = decode(text).runs
    assert len(kept) == 20
    assert [bool(each.evidence) for each in kept] == [False] * 5 + [True] * 15


def test_old_runs_are_dropped_when_evidence_is_not_enough() -> None:
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


def test_the_steps_of_a_run_that_is_resumed_again_and_again_are_bounded() -> None:
    """Each process that dies leaves a step; the newest are kept."""
    steps = tuple(StepRecord(name=Step.RESTART, started=at(n), detail=str(n)) for n in range(MAX_STEPS + 5))

    kept = decode(encode(Journal(foundation="cf", runs=(run(1, outcome=None, steps=steps),)))).runs[-1].steps

    assert kept == steps[5:]
    assert len(encode(Journal(foundation="cf", runs=(run(1, outcome=None, steps=steps * 1000),)))) <= MAX_BYTES


# ---- version 1


def test_an_open_run_of_version_1_is_continued_with_what_became_of_its_pods() -> None:
    journal = decode(version_1.IN_THE_MIDDLE)

    found = journal.open_run
    assert found is not None
    assert (journal.version, journal.epoch) == (2, 7)
    assert [(pod.state, pod.intended_at, pod.grace) for pod in found.pods] == [
        (PodState.DELETED, at(2.25), 600),
        (PodState.INTENDED, at(3), 600),
        (PodState.LISTED, None, 600),
    ]
    assert (found.mode, found.requested_by, found.disruptive, found.step) == ("auto", "Alert-a", True, Step.RESTART)
    assert [(step.name, step.result) for step in found.steps] == [
        (Step.CONFIRM_UNREACHABLE, StepResult.OK),
        (Step.RESTART, None),
    ]
    assert found.alerts == {
        "a": AlertRecord(alertname="", starts_at=at(1), last_seen=at(1), firing=True),
        "b": AlertRecord(alertname="", starts_at=at(1), last_seen=at(1), firing=False),
    }
    assert journal.disruptions == (Disruption(run="cf-1", started=at(2.25)),)


def test_the_answers_of_version_1_are_states_and_only_a_delete_is_a_delete() -> None:
    (ended,) = decode(version_1.ANSWERS).runs

    assert [pod.state for pod in ended.pods] == [PodState.GONE, PodState.REPLACED, PodState.SPARED, PodState.SPARED]
    assert [pod.intended_at for pod in ended.pods] == [at(2), at(3), None, at(4)]
    assert (ended.outcome, ended.reason, ended.detail) == (Outcome.FAILED, "no-active-label", "nobody leads")
    assert (ended.person, ended.requested_by, ended.evidence) == (person(0, by="ann"), "ann", "bbs")


def test_what_waits_in_version_1_still_waits() -> None:
    journal = decode(version_1.WAITING)

    assert journal.request == Request(
        due=at(990),
        alerts={"a": alert(since=5, seen=10)},
        person=person(3, by="ann", observe=True),
        waiting_for="cooldown",
    )
    assert journal.resolved == {"b": Resolution(ended=at(9), first_seen=at(10))}
    assert journal.paused == Pause(by="ann", at=at(1), reason="maintenance")
    assert journal.notes == (Note(at=at(1), text="paused by ann: maintenance", count=2),)


def test_the_breaker_of_version_1_counts_what_came_after_its_reset() -> None:
    journal = decode(version_1.WAITING)

    assert journal.breaker_opened == at(2000)
    assert [(each.run, each.counted) for each in journal.disruptions] == [
        ("cf-1", False),
        ("cf-2", True),
        ("cf-3", True),
    ]
    never_reset = decode(version_1.WAITING.replace('"breaker_reset": "2026-01-31T12:01:40Z"', '"breaker_reset": null'))
    assert [each.counted for each in never_reset.disruptions] == [True] * 3
    closed = msgspec.structs.replace(never_reset, breaker_opened=None, paused=None)
    assert decide(closed, CF, at(4000)).reason is DecisionReason.BREAKER_OPEN


def test_a_restart_within_the_second_of_a_reset_is_compared_as_a_time() -> None:
    """A whole second is written without a fraction: `…00Z` is before `…00.5Z`, although not as text."""
    reset = '"breaker_reset": "2026-01-31T12:04:10Z"'
    text = version_1.WAITING.replace('"breaker_reset": "2026-01-31T12:01:40Z"', reset)
    assert reset in text

    assert [each.counted for each in decode(text).disruptions] == [False, False, True]


def test_a_journal_of_version_1_is_written_as_version_2() -> None:
    for text in (version_1.IN_THE_MIDDLE, version_1.ANSWERS, version_1.WAITING):
        journal = decode(text)
        assert '"version":2' in encode(journal)
        assert decode(encode(journal)) == journal


def test_an_open_run_of_version_1_can_be_acted_on() -> None:
    journal = decode(version_1.IN_THE_MIDDLE)
    opened = journal.open_run
    assert opened is not None

    after = record_intent(journal, opened, "uid-2", window=timedelta(hours=1), now=at(5))

    assert after.disruptions == journal.disruptions
    assert after.runs[-1].pods[2].state is PodState.INTENDED


@pytest.mark.parametrize("mode", ["", "AUTO", "approve-all"])
def test_a_mode_of_version_1_that_is_not_known_only_observes(mode: str) -> None:
    text = version_1.IN_THE_MIDDLE.replace('"mode": "auto"', f'"mode": "{mode}"')

    assert decode(text).runs[0].mode == "observe"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"notes": []', '"notes": [], "new": 1'),
        ('"executor": "me"', '"executor": "me", "new": 1'),
        ('"runs": [{', '"runs": [3, {'),
        ('"request": null', '"request": "now"'),
        ('"request": null', '"request": ["now"]'),
        ('"resolved": {}', '"resolved": []'),
        ('"resolved": {}', '"resolved": {"a": {"ended": "2026-01-31T12:00:00Z"}}'),
        ('"disruptions": [{', '"disruptions": [{}, {'),
        ('"breaker_reset": null', '"breaker_reset": 3'),
        ('"answer": "deleted"', '"answer": []'),
        ('"alerts": {"a": true', '"alerts": {"a": "yes"'),
        ('"started": "2026-01-31T12:00:01Z"', '"started": "yesterday"'),
    ],
)
def test_what_is_not_a_journal_of_version_1_either_is_unreadable_and_no_crash(old: str, new: str) -> None:
    assert old in version_1.IN_THE_MIDDLE

    with pytest.raises(JournalUnreadableError):
        decode(version_1.IN_THE_MIDDLE.replace(old, new))
