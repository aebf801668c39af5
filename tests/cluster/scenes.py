"""What the scenes on a real Kubernetes share: a webhook with the least rights and short times, and verdicts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.cluster.conftest import Cf
from tests.support import audit
from tests.support.programs import Json, Webhook, running

FAST: Json = {
    "confirm": {"attempts": 2, "interval": "1s"},
    "verify": {"attempts": 2, "interval": "1s", "timeout": "60s"},
    "await_ready": {"timeout": "150s"},
    "retry": "1s",
}
SLOW_CONFIRM: Json = {"confirm": {"attempts": 20, "interval": "3s"}}
"""A minute for what is to happen in the middle of the proof, and ends it."""


@asynccontextmanager
async def webhook_of(cf: Cf, *, without: str = "", stops_after: str = "", **remediation: Any) -> AsyncIterator[Webhook]:
    """A webhook with the least rights, running."""
    user = await cf.user("diego-webhook", without=without)
    webhook = cf.webhook(cf.config(user, **FAST | remediation), stops_after=stops_after)
    async with running(webhook):
        yield webhook


def nothing_was_deleted(cf: Cf) -> None:
    """Asserts that the webhook has written its journal, its lease and events, has asked by exec, and no more."""
    assert audit.requests(cf.asked_by("diego-webhook")) <= audit.COURTESIES


def each_was_deleted_once(cf: Cf) -> None:
    """Asserts that of all pods the webhook has deleted those that were there, by their UIDs, and each once."""
    only_originals_were_deleted(cf)
    assert len(cf.deletions()) == len(cf.originals)


def only_originals_were_deleted(cf: Cf) -> None:
    """Asserts that no pod was deleted twice, and none that was created in place of another."""
    asked = [(each.pod, each.uid) for each in cf.deletions()]
    assert len(set(asked)) == len(asked) > 0
    assert set(asked) <= set(cf.originals.items())
