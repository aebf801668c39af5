"""Kubernetes Events on the StatefulSet: a courtesy to whoever looks with `kubectl describe`. Never read back."""

import asyncio
import logging
import secrets
from contextlib import suppress

from exporter.clock import Clock, to_rfc3339
from exporter.config.model import Foundation
from exporter.kubernetes.api import STATEFULSETS, KubernetesError
from webhook.record.journal import Run
from webhook.writer import Writer

log = logging.getLogger(__name__)

TIMEOUT = 3.0
"""Seconds that a courtesy may cost."""


class Announcer:
    """Says what happens to the first diego-api StatefulSet of a foundation."""

    def __init__(self, *, foundation: Foundation, writer: Writer, clock: Clock) -> None:
        self._foundation = foundation
        self._writer = writer
        self._clock = clock

    async def say(self, run: Run, reason: str, text: str, *, warning: bool = False) -> None:
        """Creates the event, or does without it: an event that is not made is no reason not to go on."""
        name = self._foundation.diego_api.statefulset[0]
        with suppress(TimeoutError):
            try:
                async with asyncio.timeout(TIMEOUT):
                    uid = (await self._writer.get(STATEFULSETS, name)).uid
                    await self._writer.create_event(self._event(name, uid, reason, text, warning=warning))
            except KubernetesError as error:
                log.info("an event was not made", extra={"run": run.id, "error": str(error)})

    def _event(self, name: str, uid: str, reason: str, text: str, *, warning: bool) -> dict[str, object]:
        now = to_rfc3339(self._clock.now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{secrets.token_hex(8)}", "namespace": self._foundation.namespace},
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
