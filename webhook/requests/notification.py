"""Alertmanager's notification (webhook version 4), and which of its alerts request a run.

Unknown keys are ignored, since new ones appear over time. Whether an alert requests a run follows from its labels
alone; whether the request is allowed is decided in `webhook.requests.decision`.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

RUNBOOK = "restart-diego-api"
"""The value of an alert's label `remediation` that requests a run; also the name of the runbook in metrics."""


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


class AlertReason(StrEnum):
    """How an alert was handled: `diego_webhook_alerts_total{reason}`. docs/runs.md has what stands below each."""

    ASKS = "asks"
    """It asks for a run."""
    RESOLVED = "resolved"
    """It withdraws its request."""
    NO_REMEDIATION = "no-remediation"
    """It has no label `remediation="restart-diego-api"`: it is not for this program."""
    NO_FOUNDATION = "no-foundation"
    """It asks for a run, and has no label `foundation`."""
    UNKNOWN_FOUNDATION = "unknown-foundation"
    """It asks for a foundation that is not in the config; the log names it."""
    LATE_DUPLICATE = "late-duplicate"
    """It fires since before a `resolved` that was first received less than 2 minutes ago, so it may be older."""
    NOT_RECORDED = "not-recorded"
    """The journal could not be written; Alertmanager got a 503 and sends it again."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An alert about a foundation that requests a run (firing), or withdraws the request (resolved).

    `starts_at` and `ends_at` are clamped to our now. `claimed_start` and `claimed_end` are what the sender says where
    that lies in our future: its clock is ahead, and the same moment must be known again in a repeat.
    """

    fingerprint: str
    alertname: str
    firing: bool
    starts_at: datetime
    ends_at: datetime
    claimed_start: datetime | None = None
    claimed_end: datetime | None = None


def classify(alert: Alert, foundations: Collection[str]) -> AlertReason:
    if alert.labels.get("remediation") != RUNBOOK:
        return AlertReason.NO_REMEDIATION
    foundation = alert.labels.get("foundation")
    if not foundation:
        return AlertReason.NO_FOUNDATION
    if foundation not in foundations:
        return AlertReason.UNKNOWN_FOUNDATION
    return AlertReason.ASKS if alert.status == "firing" else AlertReason.RESOLVED


def ask_of(alert: Alert, now: datetime) -> Ask:
    """The alert in values that can be compared: a time without an offset is UTC, a missing one is now.

    Times of another machine are clamped: an alert cannot have started, or ended, in the future.
    """
    said_start, said_end = _utc(alert.starts_at, now), _utc(alert.ends_at, now)
    starts_at = min(now, said_start)
    return Ask(
        fingerprint=alert.identity,
        alertname=alert.labels.get("alertname", "")[:_LONGEST_NAME],
        firing=alert.status == "firing",
        starts_at=starts_at,
        ends_at=max(starts_at, min(now, said_end)),
        claimed_start=said_start if said_start > now else None,
        claimed_end=said_end if said_end > now else None,
    )


def _utc(moment: datetime | None, default: datetime) -> datetime:
    if moment is None or moment.year == 1:  # Go's zero time stands for "not yet"
        return default
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
