"""Alertmanager's notification (webhook version 4), and what each of its alerts means to this program.

Unknown keys are tolerated, since new ones appear over time. What an alert asks is decided here by its labels alone;
whether it is granted is `webhook.requests.decision`'s business.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

REMEDIATION = "restart-diego-api"
"""The value of an alert's label `remediation` that asks for a run."""


_LONGEST_FINGERPRINT = 64  # characters; Alertmanager's are 16 hexadecimal digits
_LONGEST_NAME = 200


class NotANotificationError(ValueError):
    """The body is not a notification of Alertmanager; the message says at which place."""


class Alert(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    status: str
    labels: dict[str, str]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    fingerprint: str = ""

    @property
    def identity(self) -> str:
        """Alertmanager's fingerprint of the labels, or our own where none is sent, or what can't be one."""
        if 0 < len(self.fingerprint) <= _LONGEST_FINGERPRINT:
            return self.fingerprint
        text = "\xff".join(f"{key}\xff{value}" for key, value in sorted(self.labels.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Notification(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    version: str
    alerts: list[Alert]
    group_key: str = ""
    receiver: str = ""


def parse(body: bytes) -> Notification:
    """Raises NotANotificationError."""
    try:
        notification = msgspec.json.decode(body, type=Notification)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotANotificationError(f"not a notification of Alertmanager: {error}") from error
    if notification.version != "4":
        raise NotANotificationError(f"not a notification of Alertmanager's webhook version 4: {notification.version!r}")
    for number, alert in enumerate(notification.alerts):
        if alert.status not in {"firing", "resolved"}:
            raise NotANotificationError(f"alerts[{number}].status: {alert.status!r} is neither firing nor resolved")
    return notification


class Reason(StrEnum):
    """Why an alert was taken or passed over: the values of `diego_webhook_alerts_total{reason}`."""

    ASKS = "asks"
    RESOLVED = "resolved"
    NO_REMEDIATION = "no-remediation"
    NO_FOUNDATION = "no-foundation"
    UNKNOWN_FOUNDATION = "unknown-foundation"
    LATE_DUPLICATE = "late-duplicate"
    NOT_RECORDED = "not-recorded"


@dataclass(frozen=True, slots=True)
class Ask:
    """An alert that speaks for a run on a foundation: it asks for one (firing), or takes that back (resolved)."""

    fingerprint: str
    alertname: str
    firing: bool
    starts_at: datetime
    ends_at: datetime


def classify(alert: Alert, foundations: Collection[str]) -> Reason:
    if alert.labels.get("remediation") != REMEDIATION:
        return Reason.NO_REMEDIATION
    foundation = alert.labels.get("foundation")
    if not foundation:
        return Reason.NO_FOUNDATION
    if foundation not in foundations:
        return Reason.UNKNOWN_FOUNDATION
    return Reason.ASKS if alert.status == "firing" else Reason.RESOLVED


def ask_of(alert: Alert, now: datetime) -> Ask:
    """What the alert says, in values that can be compared: a time without an offset is taken as UTC, none as now."""
    starts_at = _utc(alert.starts_at, now)
    return Ask(
        fingerprint=alert.identity,
        alertname=alert.labels.get("alertname", "")[:_LONGEST_NAME],
        firing=alert.status == "firing",
        starts_at=starts_at,
        ends_at=max(starts_at, _utc(alert.ends_at, now)),
    )


def _utc(moment: datetime | None, default: datetime) -> datetime:
    if moment is None or moment.year == 1:  # Go's zero time stands for "not yet"
        return default
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
