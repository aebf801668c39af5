"""A foundation as a log: a line for each thing that changes."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import yaml

from exporter.foundation.view import FoundationView
from tests.support.journals import open_run
from tests.support.moments import alert, at
from tests.support.statuses import MINUTE, NOW, cf, known, seen
from webhook.operator.news import News
from webhook.operator.sight import Sight
from webhook.operator.structured import JSON, YAML, in_stream, public_sight
from webhook.record import changes
from webhook.record.journal import Journal, Outcome, Request, Run, Step, StepRecord, StepResult
from webhook.status.known import Known

NOW_TEXT = "2026-01-31 12:01:00Z  cf: "
LAST = open_run(id="cf-0", outcome=Outcome.RECOVERED, detail="restarted", started=at(1), ended=at(8))


def sight(
    view: FoundationView | None = None, *runs: Run, read: float | None = 1, of: Known | None = None, **journal: Any
) -> Sight:
    made = of or known(view or seen(), Journal(foundation="cf", runs=runs, **journal))
    return Sight(made, journal_at=None if read is None else NOW - read)


def texts(news: News, of: Sight) -> list[str]:
    lines = news.lines(of)
    assert all(line.startswith(NOW_TEXT) for line in lines)
    return [line.removeprefix(NOW_TEXT) for line in lines]


def test_at_first_it_says_how_it_is_and_then_only_what_changes() -> None:
    news = News()
    assert texts(news, sight(None, LAST)) == [
        "healthy. The BBS is reachable.",
        "repair: An alert starts a run; none is in progress (mode `auto`).",
        "you: Nothing to do.",
        "BBS, probed from here (diego-api.cf.svc.cluster.local:8889): reachable (success)",
        "Service: diego-api, ready endpoints: 10.0.0.1",
        "Cloud Controller: 2 of 2 ready (api-0 2/2 Running, api-1 2/2 Running)",
        "pod diego-api-0: 2/2 Running, labelled active, accepts connections",
        "pod diego-api-1: 2/2 Running, not labelled active, does not accept connections",
        "last run cf-0, started 2026-01-31 12:00:01Z: recovered: restarted",
    ]
    assert texts(news, sight(seen(ago=3), LAST)) == []


def test_the_incident_and_its_end() -> None:
    news = News()
    news.lines(sight())
    assert texts(news, sight(seen(reachable=False))) == [
        "broken. The BBS is unreachable: apps cannot be staged.",
        "you: Wait for the alert, which takes a minute; or `diego-runbook run cf`.",
        "BBS, probed from here (diego-api.cf.svc.cluster.local:8889): unreachable (refused)",
        "Service: diego-api, ready endpoints: none",
        "finding no-active-leader: no diego-api pod is labelled skiff-role-active=true",
        "finding nobody-serves: no diego-api pod accepts connections on its own address",
        "finding no-endpoint: Service diego-api has no ready endpoint",
        "pod diego-api-0: 2/2 Running, not labelled active, does not accept connections",
    ]
    assert texts(news, sight())[-3:] == [
        "finding no-active-leader is gone",
        "finding nobody-serves is gone",
        "finding no-endpoint is gone",
    ]


def test_a_run_step_by_step() -> None:
    news = News()
    broken = seen(reachable=False)
    news.lines(sight(broken))
    begun = StepRecord(name=Step.CONFIRM_UNREACHABLE, started=at(50))
    run = open_run(started=at(50), requested_by="Alert-a", steps=(begun,), step=begun.name)
    assert texts(news, sight(broken, run))[-2:] == [
        "run cf-1 started 2026-01-31 12:00:50Z, requested by Alert-a",
        "run cf-1: confirm-unreachable in progress",
    ]
    done = msgspec.structs.replace(begun, ended=at(58), result=StepResult.OK, detail="refused")
    ended = msgspec.structs.replace(run, steps=(done,), outcome=Outcome.FAILED, reason="deadline", ended=at(59))
    assert texts(news, sight(broken, ended))[-2:] == [
        "run cf-1: confirm-unreachable ok after 8 s: refused",
        "run cf-1 ended: failed (deadline)",
    ]
    assert texts(news, sight(broken, ended)) == []


def test_what_is_not_known_any_more_is_not_said_to_be_gone() -> None:
    news = News()
    lost = known(seen(reachable=False, ago=61), error="connection refused")
    news.lines(sight(seen(reachable=False)))
    said = texts(news, sight(of=lost, read=61))
    assert "NOT LIVE: connection refused. What was said until now may have changed." in said
    assert not [line for line in said if "gone" in line]
    again = texts(news, sight(seen(reachable=False)))
    assert again[0] == "live again"
    assert not [line for line in again if line.startswith(("pod", "finding"))]  # it is as it was said


def test_what_was_never_known_cannot_have_changed() -> None:
    news = News()
    nothing = replace(seen(), synced=False, synced_at=None, components={})
    of = replace(known(nothing, error="timed out"), journal=None, trouble="timed out")
    said = texts(news, sight(of=of, read=None))
    assert said[0] == "NOTHING KNOWN of pods and journal: timed out."
    assert texts(news, sight())[0] == "live again"


def test_a_journal_that_is_not_known_takes_nothing_back() -> None:
    news = News()
    wanted = Request(due=at(90), alerts={"a": alert()})
    assert "requested: a run, by Alert-a; decided at 2026-01-31 12:01:30Z" in texts(news, sight(request=wanted))
    unknown = replace(known(), journal=None, trouble="timed out")
    assert "request is gone" not in texts(news, sight(of=unknown))
    assert "request is gone" in texts(news, sight())


def test_notes_from_before_are_not_news() -> None:
    noted = changes.note(Journal(foundation="cf"), "paused by ann: x", at(1))
    news = News()
    assert not [line for line in texts(news, sight(of=known(journal=noted))) if "on record" in line]
    again = changes.note(noted, "paused by ann: x", at(2))
    assert texts(news, sight(of=known(journal=again))) == ["on record: paused by ann: x (2 times)"]


def test_the_same_as_json_and_yaml() -> None:
    """What is unknown is null."""
    found = public_sight(sight(None, LAST))
    as_json = in_stream(found, JSON)
    assert "\n" not in as_json
    assert json.loads(as_json) == yaml.safe_load(in_stream(found, YAML))
    assert in_stream(found, YAML).startswith("---\n")
    assert (found["state"], found["reachable"], found["live"], found["trouble"]) == ("healthy", True, True, "")
    assert (found["pods"]["diego-api-0"]["label"], found["last_run"]["id"], found["run"]) == ("active", "cf-0", None)
    assert "evidence" not in found["last_run"]

    old = public_sight(sight(seen(None, ago=61), read=61))
    assert (old["live"], old["reachable"], old["pods"], old["findings"]) == (False, None, None, None)
    assert old["trouble"] == "the API server does not answer"
    assert old["time"] == MINUTE
    assert public_sight(sight(request=Request(due=at(90))))["request"]["by"] == ""


def test_each_line_names_its_foundation() -> None:
    other = known(settings=cf(name="other"))
    assert all(line.startswith("2026-01-31 12:01:00Z  other: ") for line in News().lines(sight(of=other)))
