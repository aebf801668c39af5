"""Whatever is posted to /alerts: it is refused as no notification, or every alert in it is accounted for."""

from random import Random
from typing import Any

import msgspec
from hypothesis import event, given, note
from prometheus_client import CollectorRegistry

from tests.support.foundations import foundation
from tests.support.fuzzing import body, mutated, play, randoms
from tests.support.incident import FAST, Program
from tests.support.inprocess import Shelf
from tests.support.moments import NOON, alert, at
from webhook.medic.intake import Intake
from webhook.metrics import HttpMetrics
from webhook.record import changes
from webhook.record.journal import Journal, Outcome, Resolution, Run
from webhook.requests.notification import AlertReason, NotANotificationError, Notification, ask_of, classify, parse

CLOSED = {(status, reason.value) for status in ("firing", "resolved") for reason in AlertReason}


def an_alert(random: Random) -> dict[str, Any]:
    """Nearly as Alertmanager sends it: few fingerprints, so that several speak of one alert."""
    status = random.choice(("firing", "firing", "resolved"))
    started = random.randint(-4000, 4000)
    ended = at(started + random.randint(-10, 4000)).isoformat()
    sent = {
        "status": status,
        "labels": {"alertname": "DiegoBBSUnreachable", "foundation": "cf", "remediation": "restart-diego-api"},
        "annotations": {"summary": "The BBS is unreachable"},
        "startsAt": at(started).isoformat(),
        "endsAt": ended if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": random.choice(("a", "b", "")),
    }
    return mutated(random, sent, most=1) if random.random() < 0.4 else sent


def a_notification(random: Random) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DiegoBBSUnreachable"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "diego-medic",
        "groupLabels": {"alertname": "DiegoBBSUnreachable"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": [an_alert(random) for _ in range(random.choice((0, 1, 1, 1, 2, 3, 4)))],
    }


OPEN = Run(id="cf-1", foundation="cf", runbook="restart-diego-api", mode="auto", started=NOON, alerts={"b": alert()})
ENDED = msgspec.structs.replace(OPEN, outcome=Outcome.FAILED, ended=at(-5))
JOURNALS = {
    "empty": Journal(foundation="cf"),
    "paused": changes.pause(Journal(foundation="cf"), by="ann", reason="maintenance", now=NOON),
    "breaker open": Journal(foundation="cf", breaker_opened=NOON),
    "a run is in progress": Journal(foundation="cf", runs=(OPEN,)),
    "a run has just ended": Journal(foundation="cf", runs=(ENDED,)),
    "resolved just now": Journal(foundation="cf", resolved={"a": Resolution(ended=NOON, first_seen=at(-20))}),
}


def parsed(random: Random) -> Notification | None:
    data = body(random, a_notification, most=1)
    note(f"{data!r}")
    try:
        return parse(data)
    except NotANotificationError as error:
        note(str(error))
        return None


@given(randoms)
def test_it_is_a_notification_or_refused_as_none(random: Random) -> None:
    notification = parsed(random)
    for each in notification.alerts if notification else ():
        reason = classify(each, {"cf"})
        asks = ask_of(each, NOON)
        assert (each.status, reason.value) in CLOSED
        assert asks.starts_at <= asks.ends_at <= NOON, "a moment in the future would outlast what comes later"
        assert 0 < len(asks.fingerprint) <= 64
        assert msgspec.json.decode(msgspec.json.encode(asks), type=type(asks)) == asks, "it cannot be on record"


@given(randoms)
def test_every_alert_of_an_accepted_notification_is_accounted_for(random: Random) -> None:
    notification = parsed(random)
    if notification is not None:
        play(taken(notification, JOURNALS[random.choice(sorted(JOURNALS))]))


async def taken(notification: Notification, before: Journal) -> None:
    cluster, registry = Shelf(), CollectorRegistry()
    cluster.put_journal(before)
    program = Program(cluster, foundation(remediation=FAST))
    metrics = HttpMetrics(registry)
    intake = Intake(medics={"cf": program.medic}, clock=program.clock, metrics=metrics)

    receipt = await intake.take(notification)

    journal = cluster.journal()
    counted = {
        (labels["status"], labels["reason"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "diego_webhook_alerts_total" and (labels := sample.labels) and sample.value
    }
    assert counted.keys() <= CLOSED
    assert sum(counted.values()) == len(notification.alerts), "an alert was dropped in silence"
    concerned = [
        each for each in notification.alerts if classify(each, {"cf"}) in {AlertReason.ASKS, AlertReason.RESOLVED}
    ]
    assert receipt.status in ({200, 202} if concerned else {200})
    queued = journal.request.alerts if journal.request else {}
    running = journal.open_run.alerts if journal.open_run else {}
    said = receipt.decisions.get("cf", "")
    for each in concerned:
        if each.status != "firing" or [other for other in concerned if other.identity == each.identity][-1] is not each:
            continue  # of several that speak of one alert, the last one counts
        key = each.identity
        on_record = key in queued or key in running or key in journal.resolved
        refused = said.startswith("refuse") and journal.notes != ()
        assert on_record or refused, (key, said)
        if said.startswith("run"):
            assert queued, "a run is promised, and nobody asks for it"
        event(said.partition(":")[0] or "nothing new")
