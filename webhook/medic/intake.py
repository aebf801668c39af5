"""The intake: from a notification's alerts to what is on record, and the answer to Alertmanager.

2xx is final for Alertmanager and 5xx is retried, so 202 is said only after the journal was written.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.clock import Clock
from exporter.kubernetes.api import KubernetesError
from webhook.medic.medic import Medic
from webhook.metrics import HttpMetrics
from webhook.record.journal import Journal
from webhook.record.store import JournalError
from webhook.requests.decision import Decision, Verdict, Why, ask
from webhook.requests.notification import Alert, Notification, Reason, ask_of, classify

log = logging.getLogger(__name__)

TIMEOUT = 8.0
"""Seconds within which a notification is answered: Alertmanager cuts off at its group_interval, 10 s at the least."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer: an HTTP status, and what was decided for each foundation that is concerned."""

    status: int
    decisions: Mapping[str, str]


class Intake:
    """Takes notifications for the foundations of this program."""

    def __init__(self, *, medics: Mapping[str, Medic], clock: Clock, metrics: HttpMetrics) -> None:
        self._medics = medics
        self._clock = clock
        self._metrics = metrics

    async def take(self, notification: Notification) -> Receipt:
        """Records what the alerts ask. 202: on record; 200: nothing to record; 503: not on record, send it again."""
        concerned: dict[str, list[Alert]] = defaultdict(list)
        for alert in notification.alerts:
            reason = classify(alert, self._medics.keys())
            if reason in {Reason.ASKS, Reason.RESOLVED}:
                concerned[alert.labels["foundation"]].append(alert)
            else:
                self._count(alert, reason)
                named = {key: alert.labels.get(key, "") for key in ("alertname", "foundation")}
                log.info("alert passed over", extra={"status": alert.status, "reason": reason, **named})
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
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        asks = [ask_of(alert, now) for alert in alerts]

        def change(journal: Journal) -> tuple[Journal, tuple[Decision | None, dict[str, Reason]]]:
            changed, decision, reasons = ask(journal, asks, medic.foundation, now)
            return changed, (decision, reasons)

        try:
            async with asyncio.timeout(TIMEOUT):
                decision, reasons = await medic.store.update(change)
        except JournalError as error:
            why = Why(error.reason)
            medic.metrics.decided(Decision(Verdict.REFUSE, why, str(error)))
            self._not_recorded(name, alerts, str(error))
            return None
        except (KubernetesError, TimeoutError) as error:
            self._not_recorded(name, alerts, str(error) or "timed out")
            return None
        for alert in alerts:
            self._count(alert, reasons[alert.identity])
        if decision is None:
            return "resolved" if Reason.RESOLVED in reasons.values() else ""
        if decision.verdict is not Verdict.RUN:  # a run is decided, and counted, by the holder of the lease
            medic.metrics.decided(decision)
        log.info(
            "request",
            extra={"foundation": name, "decision": decision.verdict, "reason": decision.why, "text": decision.text},
        )
        return f"{decision.verdict}: {decision.text}"

    def _not_recorded(self, name: str, alerts: list[Alert], error: str) -> None:
        for alert in alerts:
            self._count(alert, Reason.NOT_RECORDED)
        log.warning("a notification could not be recorded", extra={"foundation": name, "error": error})

    def _count(self, alert: Alert, reason: Reason) -> None:
        self._metrics.alerts.labels(alert.status, reason).inc()
