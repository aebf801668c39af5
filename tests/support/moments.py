"""What alerts and people request, at moments that are easily read: seconds after noon."""

from datetime import UTC, datetime, timedelta

from webhook.record.journal import AlertRecord, PersonRecord
from webhook.requests.notification import Ask

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def firing(fingerprint: str = "a", *, since: float = 0) -> Ask:
    """An alert that fires, since so many seconds after noon."""
    return Ask(fingerprint, f"Alert-{fingerprint}", firing=True, starts_at=at(since), ends_at=at(since))


def resolved(fingerprint: str = "a", *, since: float = 0, ended: float) -> Ask:
    return Ask(fingerprint, f"Alert-{fingerprint}", firing=False, starts_at=at(since), ends_at=at(ended))


def alert(*, name: str = "Alert-a", since: float = 0, seen: float = 0, fires: bool = True) -> AlertRecord:
    """An alert on record: since when it fires, and when it was last received."""
    return AlertRecord(alertname=name, starts_at=at(since), last_seen=at(seen), firing=fires)


def person(seconds: float, *, by: str = "ann@desk", observe: bool = False) -> PersonRecord:
    return PersonRecord(by=by, at=at(seconds), observe=observe)
