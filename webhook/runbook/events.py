"""Kubernetes Events on the StatefulSet, for `kubectl describe`. A courtesy: never read back, never waited for long."""

import asyncio
import logging

from exporter.clock import to_rfc3339
from exporter.kubernetes.api import STATEFULSETS, KubernetesError
from webhook.record.journal import Run
from webhook.runbook.context import RunContext

log = logging.getLogger(__name__)


class Announcer:
    """Creates Events on the first diego-api StatefulSet of a foundation."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._foundation = context.foundation

    async def say(self, run: Run, reason: str, text: str, *, warning: bool = False) -> None:
        """Creates the event, or continues without it."""
        name = self._foundation.diego_api.statefulset[0]
        try:
            async with asyncio.timeout(self._context.timings.event):
                uid = (await self._context.kubernetes.get(STATEFULSETS, name)).uid
                await self._context.kubernetes.create_event(self._event(name, uid, reason, text, warning=warning))
        except (KubernetesError, TimeoutError) as error:
            log.info("event not created", extra={"run": run.id, "error": str(error) or "timed out"})

    def _event(self, name: str, uid: str, reason: str, text: str, *, warning: bool) -> dict[str, object]:
        now = to_rfc3339(self._context.clock.now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{name}.{self._context.random.getrandbits(64):016x}",
                "namespace": self._foundation.namespace,
            },
            "involvedObject": {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "name": name,
                "namespace": self._foundation.namespace,
                "uid": uid,
            },
            "reason": reason,
            "message": text[:1024],
            "type": "Warning" if warning else "Normal",
            "source": {"component": "diego-medic"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
