"""Notifications as Alertmanager posts them (webhook version 4)."""

import hashlib
from datetime import UTC, datetime
from typing import Any

NOT_YET = "0001-01-01T00:00:00Z"


def alert(
    *,
    name: str = "DiegoBBSUnreachable",
    foundation: str = "cf",
    firing: bool = True,
    started: datetime | None = None,
    **labels: str,
) -> dict[str, Any]:
    """An alert that asks for a restart; the same labels give the same fingerprint, as Alertmanager has it."""
    all_labels = {
        "alertname": name,
        "foundation": foundation,
        "remediation": "restart-diego-api",
        "severity": "critical",
    } | labels
    text = "\0".join(f"{key}={value}" for key, value in sorted(all_labels.items()))
    return {
        "status": "firing" if firing else "resolved",
        "labels": all_labels,
        "annotations": {"summary": "The Diego BBS cannot be reached"},
        "startsAt": (started or datetime.now(UTC)).isoformat(),
        "endsAt": NOT_YET if firing else datetime.now(UTC).isoformat(),
        "generatorURL": "http://prometheus.invalid/graph",
        "fingerprint": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def notification(*alerts: dict[str, Any], group_key: str = "") -> dict[str, Any]:
    """The notification of a group with these alerts."""
    firing = any(each["status"] == "firing" for each in alerts)
    common = alerts[0]["labels"]
    group = {key: common[key] for key in ("alertname", "foundation")}
    return {
        "version": "4",
        "groupKey": group_key or f"{{}}/{{remediation=\"restart-diego-api\"}}:{group}",
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": "diego-webhook",
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": alerts[0]["annotations"],
        "externalURL": "http://alertmanager.invalid",
        "alerts": list(alerts),
    }
