"""Senders that disagree: neither a `resolved` nor its repeats silence an alert that goes on firing.

Prometheus replicas send what each of them sees; an Alertmanager that is cut off takes an alert for resolved. The time
until a run is bounded here; that a late duplicate starts nothing as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest

from tests.support.decisions import CF, EMPTY, PAUSED, asked, fires, open_run, request_of, started
from tests.support.moments import at, firing, resolved
from webhook.record.changes import end_run
from webhook.record.journal import Journal, Outcome, Resolution
from webhook.requests.alerts import IN_FLIGHT, MAX_ALERTS, WINDOW, request_as_alerts
from webhook.requests.decision import DecisionKind, begin, reconsider
from webhook.requests.notification import AlertReason, Ask

POLL = 2
"""Seconds between two looks of the holder of the lease at the journal."""
CONFIRM = CF.remediation.confirm.attempts * CF.remediation.confirm.interval


@dataclass
class Holder:
    """The holder of the lease: it decides what is due, and cancels a run whose alerts are all resolved."""

    journal: Journal = EMPTY
    started: list[float] = field(default_factory=list)

    def look(self, second: float) -> None:
        run = self.journal.open_run
        if run is None:
            self.journal, decision = reconsider(self.journal, CF, at(second))
            if decision is not None and decision.kind is DecisionKind.RUN:
                self.journal, _ = begin(self.journal, CF, run_id=f"cf-{second:g}", executor="me", now=at(second))
                self.started.append(second)
        elif run.withdrawn:
            ended = msgspec.structs.replace(run, outcome=Outcome.CANCELLED, ended=at(second))
            window = timedelta(seconds=CF.remediation.breaker.window)
            self.journal = end_run(self.journal, ended, breaker_runs=3, breaker_window=window, now=at(second))

    def play(self, messages: dict[float, Ask], *, until: float) -> list[float]:
        """Receives each message at its second; returns when runs were started."""
        moments = sorted({*messages, *(float(second) for second in range(0, int(until) + 1, POLL))})
        for second in moments:
            if second in messages:
                self.journal, _, _ = request_as_alerts(self.journal, [messages[second]], CF, at(second))
            self.look(second)
        return self.started


def every(interval: float, message: Ask, *, first: float, last: float) -> Iterator[tuple[float, Ask]]:
    second = first
    while second <= last:
        yield second, message
        second += interval


# ---- two Prometheus replicas, of which one sees nothing wrong


@pytest.mark.parametrize("interval", [60, 300])
@pytest.mark.parametrize("offset", [0.5, 14, 16, 30, 59])
def test_a_replica_that_resolves_does_not_silence_one_that_fires(interval: float, offset: float) -> None:
    """One re-sends its `resolved` for 15 minutes, as Prometheus does; the other fires with its old start."""
    messages = dict(every(interval, resolved("a", since=-600, ended=-10), first=0, last=900))
    messages |= dict(every(interval, firing("a", since=-600), first=offset, last=900))

    runs = Holder().play(messages, until=1000)

    assert runs
    assert runs[0] <= WINDOW.total_seconds() + interval


def test_without_one_that_fires_the_repeats_of_a_resolved_start_nothing() -> None:
    messages = dict(every(60, resolved("a", since=-600, ended=-10), first=0, last=900))

    assert Holder().play(messages, until=1000) == []


def test_an_alert_that_a_replica_disputes_is_queued_until_the_window_ends() -> None:
    journal, _ = asked(EMPTY, 100, resolved("a", ended=90))

    journal, decision = asked(journal, 130, firing("a", since=0))

    assert decision is None
    request = request_of(journal)
    assert (list(request.alerts), request.due, request.waiting_for) == (["a"], at(220), "retry")
    assert reconsider(journal, CF, at(219.9))[1] is None
    _, later = reconsider(journal, CF, at(220))
    assert later is not None
    assert later.kind is DecisionKind.RUN


def test_repeats_of_a_resolved_extend_nothing_and_withdraw_nothing() -> None:
    journal, _ = asked(EMPTY, 100, resolved("a", ended=90))
    journal, _ = asked(journal, 130, firing("a", since=0))

    repeated, decision = asked(journal, 160, resolved("a", ended=90), resolved("a", ended=80))
    newer, _ = asked(journal, 160, resolved("a", ended=150))

    assert (repeated, decision) == (journal, None)
    assert repeated.resolved == {"a": Resolution(ended=at(90), first_seen=at(100))}
    assert (newer.resolved, newer.request) == ({"a": Resolution(ended=at(150), first_seen=at(160))}, None)


def test_a_repeat_does_not_take_an_alert_out_of_a_run_that_it_has_joined_since() -> None:
    journal, _ = asked(EMPTY, 100, resolved("a", ended=90))
    journal = started(asked(journal, 300, firing("a", since=0))[0], 301)

    journal, _ = asked(journal, 310, resolved("a", ended=90))
    assert fires(open_run(journal)) == {"a": True}
    journal, _ = asked(journal, 320, resolved("a", ended=315))
    assert fires(open_run(journal)) == {"a": False}


# ---- a pair of Alertmanagers, of which one is cut off from Prometheus


@pytest.mark.parametrize("timed_out", [1, 30, 50, 59, 95])
def test_an_alertmanager_that_is_cut_off_delays_the_next_run_by_two_minutes_at_most(timed_out: float) -> None:
    """Its one time-out `resolved` cancels the open run; the other's firings, one each minute, start the next."""
    messages = dict(every(60, firing("a", since=-60), first=0, last=900))
    messages[timed_out] = resolved("a", since=-60, ended=timed_out - 0.5)

    runs = Holder().play(messages, until=900)

    assert len(runs) == 2
    assert runs[0] == 0
    assert runs[1] - timed_out <= CONFIRM + WINDOW.total_seconds()


def test_while_both_alertmanagers_fire_the_one_run_goes_on() -> None:
    messages = dict(every(60, firing("a", since=-60), first=0, last=900))
    messages |= dict(every(60, firing("a", since=-60), first=7, last=900))

    assert Holder().play(messages, until=900) == [0]


def test_where_both_resolve_nothing_is_started_again() -> None:
    messages = {0.0: firing("a", since=-60), 30.0: resolved("a", ended=25), 31.0: resolved("a", ended=28)}

    assert Holder().play(messages, until=7200) == [0]


# ---- late duplicates


@pytest.mark.parametrize(("late_by", "expected"), [(0.0, 1), (0.1, 1), (5, 1), (15, 1), (15.5, 2), (60, 2)])
def test_a_firing_that_was_sent_before_the_resolved_starts_nothing_ever(late_by: float, expected: int) -> None:
    """It may arrive `IN_FLIGHT` later; one that is received later than that goes on firing."""
    holder = Holder()
    holder.play({0.0: firing("a", since=-60), 30.0: resolved("a", since=-60, ended=25)}, until=29)
    holder.journal, _, _ = request_as_alerts(holder.journal, [resolved("a", since=-60, ended=25)], CF, at(30))
    holder.journal, decision, reasons = request_as_alerts(
        holder.journal, [firing("a", since=-60)], CF, at(30 + late_by)
    )
    for second in range(32, 7200, POLL):
        if second >= 30 + late_by:
            holder.look(second)

    assert (decision, reasons) == (None, {"a": AlertReason.LATE_DUPLICATE})
    assert len(holder.started) == expected
    assert IN_FLIGHT.total_seconds() == 15


def test_an_alert_that_fires_again_is_decided_at_once() -> None:
    """Its start is later than the end of the former: no other sender disputes that."""
    journal, _ = asked(EMPTY, 100, resolved("a", ended=90))

    _, decision = asked(journal, 101, firing("a", since=95))

    assert decision is not None
    assert decision[0] is DecisionKind.RUN


# ---- bounds and clocks


def test_a_dispute_outlives_the_bound_on_remembered_resolutions() -> None:
    """More `resolved` in the same notification than are remembered."""
    journal, _ = asked(EMPTY, 100, resolved("a", ended=90))
    many = [resolved(f"r{number}", ended=number) for number in range(MAX_ALERTS)]

    journal, _ = asked(journal, 130, firing("a", since=0), *many)

    assert "a" not in journal.resolved
    assert (list(request_of(journal).alerts), request_of(journal).due) == (["a"], at(220))


def test_a_disputed_alert_that_is_resolved_in_the_same_notification_is_not_queued() -> None:
    journal, _ = asked(EMPTY, 100, resolved("a", ended=90))

    journal, decision = asked(journal, 130, firing("a", since=0), resolved("a", since=0, ended=125))

    assert (journal.request, decision) == (None, None)


def test_a_resolved_that_was_recorded_by_a_clock_ahead_silences_no_longer_than_the_window() -> None:
    """Another replica's clock is an hour ahead: its times count from when this one reads them."""
    ahead = msgspec.structs.replace(EMPTY, resolved={"a": Resolution(ended=at(90), first_seen=at(3700))})

    journal, _ = asked(ahead, 101, firing("a", since=0))
    assert journal.resolved["a"].first_seen == at(101)
    _, decision = asked(journal, 222, firing("a", since=0))

    assert decision is not None
    assert decision[0] is DecisionKind.RUN


def test_nothing_is_queued_while_a_person_has_paused() -> None:
    journal, _ = asked(EMPTY, 100, resolved("a", ended=90))
    paused = msgspec.structs.replace(journal, paused=PAUSED.paused)

    assert asked(paused, 130, firing("a", since=0))[0].request is None
    assert asked(journal, 130, firing("a", since=0))[0].request is not None
