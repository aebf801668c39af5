"""Whatever happens in whatever order: never two open runs, and never one that something stands against."""

import dataclasses
from collections import Counter
from datetime import datetime, timedelta
from random import Random

import msgspec
import pytest

from exporter.config.model import Foundation
from tests.support.foundations import foundation
from tests.support.moments import NOON, at
from webhook.record import changes
from webhook.record.changes import end_run, record_intent, update_run
from webhook.record.encoding import decode, encode
from webhook.record.journal import Journal, Outcome, PersonRecord, PodRecord
from webhook.requests.alerts import request_as_alerts
from webhook.requests.decision import DecisionKind, begin, left_wanted, reconsider, request_as_person, withdraw
from webhook.requests.notification import Ask

BREAKER_RUNS, COOLDOWN, RETRY, TTL, WINDOW = 3, 300, 60, 400, 7200
REMEDIATION = {
    "mode": "auto",
    "cooldown": f"{COOLDOWN}s",
    "retry": f"{RETRY}s",
    "request_ttl": f"{TTL}s",
    "breaker": {"runs": BREAKER_RUNS, "window": f"{WINDOW}s"},
}


class World:
    """Everything that may happen to a journal, at random; and a memory of its own, to judge by."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.foundation: Foundation = foundation(remediation=REMEDIATION)
        self.journal = Journal(foundation="cf")
        self.now: datetime = NOON
        self.number = 0
        self.happened: Counter[str] = Counter()
        # what the test itself remembers
        self.paused = False
        self.reset_at = NOON - timedelta(days=1)
        self.restarts: list[datetime] = []
        self.quiet_until = NOON  # the end of the last cooldown or retry
        self.firing: dict[str, datetime] = {}
        self.last_seen: dict[str, datetime] = {}
        self.resolved: dict[str, Ask] = {}

    def step(self) -> None:
        self.now += timedelta(seconds=self.random.choice([0, 0.5, 5, 30, 61, 301]))
        happening = self.random.choice(
            [
                *(self.alerts, self.alerts, self.alerts, self.person, self.decide, self.decide, self.delete, self.end),
                *(self.resolve, self.repeat, self.dispute, self.pause, self.resume, self.reset, self.withdraw),
            ]
        )
        happening()
        assert decode(encode(self.journal)) == self.journal
        assert [run.outcome for run in self.journal.runs].count(None) <= 1
        assert self.journal.open_run is not None or all(run.outcome for run in self.journal.runs)

    def alerts(self) -> None:
        names = self.random.sample("abc", self.random.randint(1, 2))
        for name in names:
            self.firing.setdefault(name, self.now)
            self.last_seen[name] = self.now
        asks = [Ask(name, name, firing=True, starts_at=self.firing[name], ends_at=self.now) for name in names]
        before = self.journal
        self.journal, decision, _ = request_as_alerts(self.journal, asks, self.foundation, self.now)
        assert decision is not None
        self.happened[f"{decision.kind} {decision.reason}"] += 1
        if decision.kind is DecisionKind.JOIN:
            assert before.open_run is not None
        if decision.kind is DecisionKind.REFUSE:
            assert self.journal.disruptions == before.disruptions

    def resolve(self) -> None:
        name = self.random.choice("abc")
        began = self.firing.pop(name, self.now)
        self.last_seen.pop(name, None)
        resolved = self.resolved[name] = Ask(name, name, firing=False, starts_at=began, ends_at=self.now)
        self.journal, decision, _ = request_as_alerts(self.journal, [resolved], self.foundation, self.now)
        assert decision is None
        assert self.journal.request is None or name not in self.journal.request.alerts

    def repeat(self) -> None:
        """The same `resolved` again: it changes nothing."""
        for asked in self.resolved.values():
            before = self.journal
            self.journal, decision, _ = request_as_alerts(before, [asked], self.foundation, self.now)
            assert decision is None
            assert self.journal.resolved == before.resolved
            assert self.journal.request == before.request

    def dispute(self) -> None:
        """Another sender goes on firing with the start from before the `resolved`."""
        name = self.random.choice("abc")
        if name not in self.resolved or name in self.firing:
            return
        self.last_seen[name] = self.now
        asked = dataclasses.replace(self.resolved[name], firing=True)
        before = self.journal
        self.journal, decision, reasons = request_as_alerts(before, [asked], self.foundation, self.now)
        self.happened[f"dispute {reasons[name]}"] += 1
        if decision is None and before.request is None and self.journal.request is not None:
            self.happened["dispute queued"] += 1
            assert self.journal.request.due <= self.now + timedelta(minutes=2)

    def person(self) -> None:
        asked = PersonRecord(by="ann", at=self.now, observe=self.random.random() < 0.3)
        self.journal, decision = request_as_person(self.journal, asked, self.foundation)
        self.happened[f"person {decision.kind}"] += 1

    def withdraw(self) -> None:
        if self.journal.request is not None and self.journal.request.person is not None:
            self.journal = withdraw(self.journal, self.journal.request.person)

    def decide(self) -> None:
        """As the holder of the lease does, whenever no run is open."""
        if self.journal.open_run is not None:
            return
        self.journal, decision = reconsider(self.journal, self.foundation, self.now)
        if decision is None or decision.kind is not DecisionKind.RUN:
            return
        self.number += 1
        self.judge()
        self.journal, run = begin(
            self.journal, self.foundation, run_id=f"cf-{self.number}", executor="me", now=self.now
        )
        pods = tuple(PodRecord(name=f"p-{n}", uid=f"u-{self.number}-{n}", statefulset="p") for n in range(2))
        self.journal = update_run(self.journal, msgspec.structs.replace(run, pods=pods))
        self.happened["run"] += 1
        assert run.person is not None or run.alerts
        for name in run.alerts:
            assert self.now - self.last_seen[name] <= timedelta(seconds=TTL)

    def judge(self) -> None:
        """A run begins: was anything against it, by what the test remembers?"""
        assert not self.paused
        assert self.now >= self.quiet_until
        since = max(self.reset_at, self.now - timedelta(seconds=WINDOW))
        assert len([moment for moment in self.restarts if moment >= since]) < BREAKER_RUNS

    def delete(self) -> None:
        run = self.journal.open_run
        if run is None or run.mode == "observe":
            return
        left = [pod for pod in run.pods if pod.intended_at is None]
        if left:
            if not run.disruptive:
                self.restarts.append(self.now)
            window = timedelta(seconds=WINDOW)
            self.journal = record_intent(self.journal, run, left[0].uid, window=window, now=self.now)

    def end(self) -> None:
        run = self.journal.open_run
        if run is None:
            return
        outcome = self.random.choice([Outcome.RECOVERED, Outcome.FAILED] if run.disruptive else [Outcome.UNPROVEN])
        ended = msgspec.structs.replace(run, outcome=outcome, ended=self.now)
        self.journal = end_run(
            self.journal,
            ended,
            breaker_runs=BREAKER_RUNS,
            breaker_window=timedelta(seconds=WINDOW),
            wanted=left_wanted(ended, self.foundation, self.now),
            now=self.now,
        )
        wait = COOLDOWN if run.disruptive else RETRY
        self.quiet_until = max(self.quiet_until, self.now + timedelta(seconds=wait))

    def pause(self) -> None:
        if self.random.random() < 0.3:
            self.journal = changes.pause(self.journal, by="ann", reason="", now=self.now)
            self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.journal = changes.resume(self.journal, by="ann", now=self.now)
            self.paused = False
            assert self.journal.request is None

    def reset(self) -> None:
        if self.random.random() < 0.3:
            self.journal = changes.reset(self.journal, by="ann", now=self.now)
            self.reset_at = self.now
            assert self.journal.request is None


@pytest.mark.parametrize("seed", range(20))
def test_no_run_begins_that_something_stands_against(seed: int) -> None:
    world = World(seed)
    for _ in range(600):
        world.step()


def test_everything_happens_in_these_worlds() -> None:
    """Else the test above would prove little."""
    happened: Counter[str] = Counter()
    for seed in range(20):
        world = World(seed)
        for _ in range(600):
            world.step()
        happened += world.happened

    assert set(happened) == {
        "run",
        "run asked",
        "join in-progress",
        "refuse paused",
        "refuse breaker-open",
        "refuse cooldown",
        "refuse retry",
        "dispute asks",
        "dispute late-duplicate",
        "dispute queued",
        "person run",
        "person join",
        "person refuse",
    }
    assert min(happened.values()) >= 5


def test_alerts_that_never_end_are_answered_for_as_long_as_the_breaker_allows() -> None:
    """Not only safety: what is wanted does become a run, at the end of each wait and no later than the next look."""
    settings = foundation(remediation=REMEDIATION)
    journal = Journal(foundation="cf")
    begun = []
    for second in range(0, 3600, 2):
        if second % 300 == 0:
            alert = Ask("a", "A", firing=True, starts_at=NOON, ends_at=NOON)
            journal, _, _ = request_as_alerts(journal, [alert], settings, at(second))
        if (run := journal.open_run) is not None:
            pods = (PodRecord(name="p", uid="u", statefulset="p"),)
            journal = record_intent(
                journal,
                msgspec.structs.replace(run, pods=pods),
                "u",
                window=timedelta(seconds=WINDOW),
                now=at(second),
            )
            run = msgspec.structs.replace(journal.runs[-1], outcome=Outcome.FAILED, ended=at(second))
            window = timedelta(seconds=WINDOW)
            journal = end_run(journal, run, breaker_runs=BREAKER_RUNS, breaker_window=window, now=at(second))
            continue
        journal, decision = reconsider(journal, settings, at(second))
        if decision is not None and decision.kind is DecisionKind.RUN:
            journal, _ = begin(journal, settings, run_id=f"cf-{second}", executor="me", now=at(second))
            begun.append(second)

    assert begun == [0, 302, 604]
    assert journal.breaker_opened is not None
