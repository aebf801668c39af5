"""The history, the time line, the steps of a run, and what to look at next."""

from datetime import timedelta

import pytest

from tests.support.journals import open_run, run
from tests.support.moments import NOON, at
from webhook.record.advice import next_look
from webhook.record.journal import Approval, Outcome, PodState, Step, StepRecord, StepResult
from webhook.record.reasons import RunReason
from webhook.status.history import GAP, MAX_SPANS, History, Span
from webhook.status.progress import pod_words, run_kind, run_sentence, run_word, step_lines
from webhook.status.timeline import ZOOMS, Bar, timeline

HOUR = ZOOMS["1h"]
NOW = NOON.timestamp() + 7


def test_a_history_is_of_changes_alone() -> None:
    history = History()
    for second in range(0, 30, 5):
        history.record(second, reachable=second < 20, leaders=1)
    assert history.spans == (Span(0, 20, True, 1), Span(20, 25, False, 1))


def test_what_was_not_seen_is_a_gap() -> None:
    history = History()
    history.record(0, reachable=True, leaders=1)
    history.record(GAP, reachable=True, leaders=1)
    history.record(2 * GAP + 1, reachable=True, leaders=1)
    assert [(span.start, span.end) for span in history.spans] == [(0, GAP), (2 * GAP + 1, 2 * GAP + 1)]


def test_a_history_is_bounded_and_the_oldest_go_first() -> None:
    history = History()
    for second in range(3 * MAX_SPANS):
        history.record(second, reachable=second % 2 == 0, leaders=1)
    assert len(history.spans) == MAX_SPANS
    assert history.spans[-1].end == 3 * MAX_SPANS - 1


def test_a_clock_that_was_set_back_takes_the_future_along() -> None:
    history = History()
    history.record(0, reachable=True, leaders=1)
    history.record(10, reachable=False, leaders=1)
    history.record(5, reachable=True, leaders=1)
    assert all(span.end <= 10 for span in history.spans)
    assert [span.reachable for span in history.spans] == [True]


def kinds(bars: tuple[Bar, ...]) -> list[str]:
    return [bar.kind for bar in bars]


def test_nothing_is_known_of_the_time_before_it_was_seen() -> None:
    drawn = timeline([], [], now=NOW, zoom=HOUR)
    assert kinds(drawn.reachable) == kinds(drawn.leaders) == ["unknown"]
    assert drawn.said == "BBS, last hour: not known 100 % of the time. 0 runs."


def test_an_outage_of_seconds_is_seen_in_a_window_of_days() -> None:
    start = NOW - 300_000
    spans = [Span(start, NOW - 9, True, 1), Span(NOW - 9, NOW - 7, False, 0), Span(NOW - 7, NOW, True, 1)]
    for zoom in ZOOMS.values():
        drawn = timeline(spans, [], now=NOW, zoom=zoom)
        assert kinds(drawn.reachable)[:2] == ["good", "bad"]
        assert kinds(drawn.leaders)[:2] == ["good", "bad"]
        assert sum(bar.width for bar in drawn.reachable) == pytest.approx(100, abs=0.1)
    control = timeline([Span(start, NOW, True, 1)], [], now=NOW, zoom=HOUR)
    assert kinds(control.reachable) == ["good"]


def test_a_part_that_is_not_known_is_not_drawn_as_good() -> None:
    spans = [Span(NOW - 3600, NOW - 600, True, 1), Span(NOW - 500, NOW, True, 2)]
    drawn = timeline(spans, [], now=NOW, zoom=HOUR)
    assert kinds(drawn.reachable) == ["good", "unknown", "good"]
    assert kinds(drawn.leaders) == ["good", "unknown", "two"]
    assert kinds(timeline([Span(NOW - 3600, NOW, None, None)], [], now=NOW, zoom=HOUR).leaders) == ["unknown"]


def test_the_runs_of_the_window_are_marked() -> None:
    old, new, open_ = run(1, outcome=Outcome.FAILED), run(2), open_run(started=NOON + timedelta(hours=4))
    drawn = timeline([], [old, new, open_], now=NOW + 4 * 3600, zoom=HOUR)
    assert [(mark.kind, mark.text) for mark in drawn.runs] == [("busy", "cf-1: in progress")]
    assert [mark.kind for mark in timeline([], [old, new], now=NOW, zoom=HOUR).runs] == ["bad", "good"]
    assert all(0 <= tick.x <= 100 for zoom in ZOOMS.values() for tick in timeline([], [], now=NOW, zoom=zoom).ticks)


def step(name: Step, result: StepResult | None = StepResult.OK) -> StepRecord:
    return StepRecord(name=name, started=at(0), ended=at(2) if result else None, result=result, detail="so")


def test_a_run_in_progress_shows_the_steps_to_come() -> None:
    taken = (step(Step.CHECK_CLOUD_CONTROLLER), step(Step.CONFIRM_UNREACHABLE, None))
    assert [line.state for line in step_lines(open_run(steps=taken))] == ["done", "now", *["pending"] * 4]
    assert len(step_lines(open_run(steps=taken, mode="approve"))) == 7
    assert len(step_lines(open_run(steps=taken, outcome=Outcome.CANCELLED))) == 2


def test_how_a_step_ended_is_a_word_and_a_symbol() -> None:
    for result, kind in (("failed", "bad"), ("stopped", "unknown"), ("interrupted", "needs"), ("ok", "good")):
        (line,) = step_lines(open_run(outcome=Outcome.FAILED, steps=(step(Step.RESTART, StepResult(result)),)))
        assert (line.kind, line.took) == (kind, 2)
        assert line.result


def test_what_became_of_a_pod_is_said_in_words() -> None:
    assert len({pod_words(state) for state in PodState}) == len(PodState)
    assert (run().took, open_run().took) == (0.5, None)


@pytest.mark.parametrize("reason", list(RunReason))
def test_every_reason_has_a_sentence_and_a_next_look(reason: RunReason) -> None:
    ended = open_run(outcome=Outcome.FAILED, reason=f"{reason} diego-api-0")
    assert run_sentence(ended) == reason.sentence
    assert next_look(ended).endswith(".")
    assert next_look(ended).count("`") % 2 == 0


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_every_outcome_has_a_word_and_a_colour(outcome: Outcome | None) -> None:
    assert run_word(open_run(outcome=outcome)) == (outcome or "in progress")
    assert run_kind(open_run(outcome=outcome))
    assert next_look(open_run(outcome=outcome))


def test_a_run_that_waits_says_so() -> None:
    waiting = open_run(approval=Approval(requested=NOON))
    assert (run_word(waiting), run_kind(waiting)) == ("waits for approval", "needs")
    assert "approve" in run_sentence(waiting)
    assert next_look(waiting) == "Approve it, or let it expire."
