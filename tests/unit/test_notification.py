"""Alertmanager's notifications, as it really sends them, and as nobody should."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from webhook.requests.notification import Alert, AlertReason, NotANotificationError, ask_of, classify, parse

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LABELS = {"alertname": "DiegoBBSUnreachable", "foundation": "cf", "remediation": "restart-diego-api"}

# As Alertmanager 0.25 sends it: nanoseconds, another offset than UTC, Go's zero time, a quoted receiver.
REAL = {
    "receiver": "diego\\-medic",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": LABELS,
            "annotations": {"summary": "The BBS of cf can't be reached"},
            "startsAt": "2026-01-31T12:59:02.123456789+01:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
            "fingerprint": "5f972974ccf1ee9b",
        }
    ],
    "groupLabels": {"alertname": "DiegoBBSUnreachable", "foundation": "cf"},
    "commonLabels": LABELS,
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "version": "4",
    "groupKey": '{}/{remediation="restart-diego-api"}:{alertname="DiegoBBSUnreachable", foundation="cf"}',
    "truncatedAlerts": 0,
}


def body(**changes: Any) -> bytes:
    return json.dumps(REAL | changes).encode()


def alert(**changes: Any) -> Alert:
    return Alert(**({"status": "firing", "labels": LABELS, "fingerprint": "f"} | changes))


def test_what_alertmanager_sends() -> None:
    notification = parse(body())

    (found,) = notification.alerts
    assert (found.status, found.labels, found.identity) == ("firing", LABELS, "5f972974ccf1ee9b")
    asked = ask_of(found, NOW)
    assert asked.starts_at == datetime(2026, 1, 31, 11, 59, 2, 123457, tzinfo=UTC)
    assert asked.ends_at == NOW  # Go's zero time is no time
    assert asked.firing


def test_keys_of_a_newer_alertmanager_are_passed_over() -> None:
    newer = body(notification_reason="repeat", routeLabels={"a": "b"}, alerts=[REAL["alerts"][0] | {"new": [1]}])  # type: ignore[index]

    assert parse(newer) == parse(body())


def test_no_alerts_are_a_notification() -> None:
    assert parse(body(alerts=[])).alerts == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a notification"),
        (b"not JSON", "not a notification"),
        (b"\xff\xfe", "not a notification"),
        (b"[]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b"{}", "missing required field `version`"),
        (b'{"version": "4"}', "missing required field `alerts`"),
        (b'{"version": "4", "alerts": null}', "$.alerts"),
        (b'{"version": 4, "alerts": []}', "$.version"),
        (b'{"version": "3", "alerts": []}', "'3'"),
        (b'{"version": "4", "alerts": [{"labels": {}}]}', "$.alerts[0]"),
        (b'{"version": "4", "alerts": [{"status": "gone", "labels": {}}]}', "alerts[0].status: 'gone'"),
        (b'{"version": "4", "alerts": [{"status": "firing", "labels": {"a": 1}}]}', "labels"),
        (b'{"version": "4", "alerts": [{"status": "firing", "labels": {}, "startsAt": "soon"}]}', "startsAt"),
        (b'{"x": ' + b"[" * 100_000, "not a notification"),
    ],
)
def test_what_is_no_notification_says_where(content: bytes, said: str) -> None:
    with pytest.raises(NotANotificationError) as refused:
        parse(content)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, AlertReason.ASKS),
        ({"status": "resolved"}, AlertReason.RESOLVED),
        ({"labels": {}}, AlertReason.NO_REMEDIATION),
        ({"labels": LABELS | {"remediation": "restart-the-world"}}, AlertReason.NO_REMEDIATION),
        ({"labels": LABELS | {"remediation": ""}}, AlertReason.NO_REMEDIATION),
        ({"labels": {"remediation": "restart-diego-api"}}, AlertReason.NO_FOUNDATION),
        ({"labels": LABELS | {"foundation": ""}}, AlertReason.NO_FOUNDATION),
        ({"labels": LABELS | {"foundation": "other"}}, AlertReason.UNKNOWN_FOUNDATION),
    ],
)
def test_what_an_alert_asks(changes: dict[str, Any], expected: AlertReason) -> None:
    assert classify(alert(**changes), {"cf", "cf-2"}) is expected


def test_without_a_fingerprint_the_labels_tell_alerts_apart() -> None:
    one = alert(fingerprint="", labels={"a": "b", "c": "d"})
    same = alert(fingerprint="", labels={"c": "d", "a": "b"}, status="resolved")
    others = [{"a": "b"}, {"a": "b", "c": "e"}, {"a": "d", "c": "b"}, {"ab": "", "c": "d"}]

    assert same.identity == one.identity
    assert len({one.identity} | {alert(fingerprint="", labels=labels).identity for labels in others}) == 5


def test_what_is_too_long_to_be_a_fingerprint_does_not_reach_the_journal() -> None:
    asked = ask_of(alert(fingerprint="f" * 65, labels=LABELS | {"alertname": "n" * 1000}), NOW)

    assert (len(asked.fingerprint), len(asked.alertname)) == (16, 200)
    assert ask_of(alert(fingerprint="f" * 64), NOW).fingerprint == "f" * 64


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, NOW),
        (datetime(1, 1, 1, tzinfo=UTC), NOW),
        (datetime.fromisoformat("2026-01-31T11:00:00"), datetime(2026, 1, 31, 11, tzinfo=UTC)),
        (datetime(2026, 1, 31, 11, tzinfo=timezone(timedelta(hours=5))), datetime(2026, 1, 31, 6, tzinfo=UTC)),
    ],
)
def test_a_time_is_comparable_whatever_was_sent(given: datetime | None, expected: datetime) -> None:
    assert ask_of(alert(starts_at=given), NOW).starts_at == expected


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(hours=3), timedelta(days=9000)])
def test_a_time_of_a_clock_that_is_ahead_counts_as_now(ahead: timedelta) -> None:
    """Else an alert that started in the future could never be resolved, and its request would never expire."""
    asked = ask_of(alert(starts_at=NOW + ahead, ends_at=NOW + 2 * ahead), NOW)

    assert (asked.starts_at, asked.ends_at) == (NOW, NOW)


def test_a_time_in_the_past_stays_as_it_was_sent() -> None:
    began, ended = NOW - timedelta(hours=1), NOW - timedelta(minutes=5)
    asked = ask_of(alert(status="resolved", starts_at=began, ends_at=ended), NOW)

    assert (asked.starts_at, asked.ends_at) == (began, ended)


@pytest.mark.parametrize("ended", [None, NOW - timedelta(hours=1)])
def test_an_alert_does_not_end_before_it_began(ended: datetime | None) -> None:
    """A `resolved` without an end, or with one before its start, of an alert that began by a clock ahead of ours."""
    ahead = NOW + timedelta(minutes=5)

    assert ask_of(alert(status="resolved", starts_at=ahead, ends_at=ended), NOW).ends_at == NOW
