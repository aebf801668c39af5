"""What alerts request: which are recorded, which withdraw a request, which are late duplicates. Pure.

Alertmanager delivers at least once, in no order, and several senders may disagree. So a `resolved` is not taken as
proof of health, and the firing of another sender is not silenced by it for longer than `WINDOW`.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from exporter.config.model import Foundation
from webhook.record.changes import update_run
from webhook.record.journal import AlertRecord, Journal, Request, Resolution, Run
from webhook.requests.decision import Decision, DecisionKind, DecisionReason, decide, keep, tripped_now
from webhook.requests.notification import AlertReason, Ask

R = TypeVar("R", AlertRecord, Resolution)

MAX_ALERTS = 100
"""Alerts that are remembered for a foundation: far more than it has, and a bound."""
WINDOW = timedelta(minutes=2)
"""After the first message of a `resolved`, an older firing starts nothing for so long: it may have been sent before."""
IN_FLIGHT = timedelta(seconds=15)
"""How long after a `resolved` a firing that was sent before it may arrive. One that is received later than that
continues to fire, and is queued until the window ends."""


def request_as_alerts(
    journal: Journal, asks: Iterable[Ask], foundation: Foundation, now: datetime
) -> tuple[Journal, Decision | None, dict[str, AlertReason]]:
    """Records alerts. Returns the journal, the decision (None: no alert requests a run), and how each was handled."""
    reasons: dict[str, AlertReason] = {}
    request = journal.request or Request(due=now)
    run = journal.open_run
    resolved = {key: _clamped(resolution, now) for key, resolution in journal.resolved.items()}
    firing: dict[str, AlertRecord] = {}
    disputed: dict[str, AlertRecord] = {}
    undisputed = now  # when the last window of a disputed alert ends
    for ask in asks:
        key = ask.fingerprint
        resolution = resolved.get(key)
        if ask.firing:
            seen = AlertRecord(alertname=ask.alertname, starts_at=ask.starts_at, last_seen=now)
            if resolution is None or not _is_older(ask, resolution) or now - resolution.first_seen > WINDOW:
                firing[key] = seen
                reasons[key] = AlertReason.ASKS
            else:
                reasons[key] = AlertReason.LATE_DUPLICATE
                if now - resolution.first_seen > IN_FLIGHT:
                    disputed[key] = seen
                    undisputed = max(undisputed, resolution.first_seen + WINDOW)
        else:
            firing.pop(key, None)
            disputed.pop(key, None)
            reasons[key] = AlertReason.RESOLVED
            if resolution is not None and _is_repeat(ask, resolution):
                continue  # a repeat: it was counted when it was first received, and extends nothing
            resolved = resolved | {key: Resolution(ended=ask.ends_at, first_seen=now, claimed=ask.claimed_end)}
            request = _without(request, key)
            run = _resolved_in(run, key)
    journal = msgspec.structs.replace(tripped_now(journal, foundation, now), resolved=_newest(resolved, _first_seen))
    decision = decide(journal, foundation, now) if firing else None
    if run is not None:
        if decision is not None and decision.kind is DecisionKind.JOIN:
            run = msgspec.structs.replace(run, alerts=_newest(run.alerts | firing, _last_seen))
        journal = update_run(journal, run)
    if decision is not None and decision.kind is DecisionKind.JOIN:
        for key in firing:
            request = _without(request, key)
        journal = keep(journal, request, None, now)
    else:
        request = msgspec.structs.replace(request, alerts=_newest(request.alerts | firing, _last_seen))
        journal = keep(journal, request, decision, now)
    return _queue(journal, disputed, due=undisputed), decision, reasons


def _is_older(firing: Ask, resolution: Resolution) -> bool:
    """Whether a firing began before the end that was received; where a sender's clock is ahead, by that clock."""
    return (firing.claimed_start or firing.starts_at) < (resolution.claimed or resolution.ended)


def _is_repeat(resolved: Ask, resolution: Resolution) -> bool:
    """Whether a `resolved` is one that was received before."""
    if resolved.claimed_end is not None:
        return resolved.claimed_end == resolution.claimed
    return resolved.ends_at <= (resolution.claimed or resolution.ended)


def _without(request: Request, key: str) -> Request:
    alerts = {other: alert for other, alert in request.alerts.items() if other != key}
    return msgspec.structs.replace(request, alerts=alerts)


def _resolved_in(run: Run | None, key: str) -> Run | None:
    if run is None or key not in run.alerts:
        return run
    alert = msgspec.structs.replace(run.alerts[key], firing=False)
    return msgspec.structs.replace(run, alerts=run.alerts | {key: alert})


def _clamped(resolution: Resolution, now: datetime) -> Resolution:
    """A moment in the future was written by another replica whose clock is ahead: it counts from now."""
    return msgspec.structs.replace(resolution, first_seen=min(resolution.first_seen, now))


def _queue(journal: Journal, disputed: dict[str, AlertRecord], *, due: datetime) -> Journal:
    """Queues alerts that continue to fire although another sender resolved them: decided when their window ends."""
    if not disputed or journal.paused is not None:
        return journal
    request = journal.request or Request(due=due, waiting_for=DecisionReason.RETRY)
    alerts = _newest(request.alerts | disputed, _last_seen)
    return msgspec.structs.replace(journal, request=msgspec.structs.replace(request, alerts=alerts))


def _first_seen(resolution: Resolution) -> datetime:
    return resolution.first_seen


def _last_seen(alert: AlertRecord) -> datetime:
    return alert.last_seen


def _newest(known: dict[str, R], moment: Callable[[R], datetime]) -> dict[str, R]:
    """The `MAX_ALERTS` that were received last."""
    return dict(sorted(known.items(), key=lambda item: moment(item[1]))[-MAX_ALERTS:])
