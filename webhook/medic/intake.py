"""The intake: from a notification's alerts to a record, and the answer to Alertmanager.

A 2xx is final for Alertmanager and a 5xx is repeated, so 202 is answered only after the journal was written.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.clock import Clock, utc_now
from exporter.kubernetes.api import KubernetesError
from webhook.medic.medic import Medic
from webhook.metrics import HttpMetrics
from webhook.record.errors import JournalError
from webhook.record.journal import Journal
from webhook.requests.alerts import request_as_alerts
from webhook.requests.decision import Decision, DecisionKind, DecisionReason
from webhook.requests.notification import Alert, AlertReason, Notification, ask_of, classify
from webhook.timings import DEFAULT, Timings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer: an HTTP status, and what was decided for each foundation."""

    status: int
    decisions: Mapping[str, str]


class Intake:
    """Records notifications for the foundations of this program."""

    def __init__(
        self, *, medics: Mapping[str, Medic], clock: Clock, metrics: HttpMetrics, timings: Timings = DEFAULT
    ) -> None:
        self._medics = medics
        self._clock = clock
        self._metrics = metrics
        self._timings = timings

    async def take(self, notification: Notification) -> Receipt:
        """Records the alerts. 202: recorded; 200: nothing to record; 503: not recorded, send it again."""
        concerned: dict[str, list[Alert]] = defaultdict(list)
        for alert in notification.alerts:
            reason = classify(alert, self._medics.keys())
            if reason in {AlertReason.ASKS, AlertReason.RESOLVED}:
                concerned[alert.labels["foundation"]].append(alert)
            else:
                self._count(alert, reason)
                named = {key: alert.labels.get(key, "") for key in ("alertname", "foundation")}
                log.info("alert ignored", extra={"status": alert.status, "reason": reason, **named})
        if not concerned:
            return Receipt(200, {})
        # Each medic now and not in its task: a reload may take a foundation away before that starts.
        records = [self._record(self._medics[name], alerts) for name, alerts in concerned.items()]
        texts = await asyncio.gather(*records)
        said = dict(zip(concerned, texts, strict=True))
        if any(text is None for text in texts):
            return Receipt(503, {name: text or "could not be recorded" for name, text in said.items()})
        told = {name: text for name, text in said.items() if text}
        return Receipt(202 if told else 200, told)

    async def _record(self, medic: Medic, alerts: list[Alert]) -> str | None:
        """What became of the alerts for one foundation; empty: nothing to record, None: it could not be recorded."""
        name = medic.foundation.name
        now = utc_now(self._clock)
        asks = [ask_of(alert, now) for alert in alerts]

        def change(journal: Journal) -> tuple[Journal, tuple[Decision | None, dict[str, AlertReason]]]:
            changed, decision, reasons = request_as_alerts(journal, asks, medic.foundation, now)
            return changed, (decision, reasons)

        try:
            async with asyncio.timeout(self._timings.notification):
                decision, reasons = await medic.store.update(change)
        except JournalError as error:
            reason = DecisionReason(error.reason.value)
            medic.meter.decided(Decision(DecisionKind.REFUSE, reason, str(error)))
            self._not_recorded(name, alerts, str(error))
            return None
        except (KubernetesError, TimeoutError) as error:
            self._not_recorded(name, alerts, str(error) or "timed out")
            return None
        for alert in alerts:
            self._count(alert, reasons[alert.identity])
        if decision is None:
            return "resolved" if AlertReason.RESOLVED in reasons.values() else ""
        if decision.kind is not DecisionKind.RUN:  # a run is decided, and counted, by the holder of the lease
            medic.meter.decided(decision)
        log.info(
            "request recorded",
            extra={"foundation": name, "decision": decision.kind, "reason": decision.reason, "text": decision.text},
        )
        return f"{decision.kind}: {decision.text}"

    def _not_recorded(self, name: str, alerts: list[Alert], error: str) -> None:
        for alert in alerts:
            self._count(alert, AlertReason.NOT_RECORDED)
        log.warning("notification not recorded", extra={"foundation": name, "error": error})

    def _count(self, alert: Alert, reason: AlertReason) -> None:
        self._metrics.alerts.labels(alert.status, reason).inc()
