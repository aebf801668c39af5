"""A sender whose clock is ahead: what it sends again is known again, although each time is taken as our now."""

from datetime import timedelta

import pytest

from tests.support.decisions import CF, EMPTY
from tests.support.moments import at
from webhook.record.encoding import decode, encode
from webhook.record.journal import Journal
from webhook.requests.alerts import WINDOW, request_as_alerts
from webhook.requests.notification import Alert, AlertReason, ask_of

AHEAD = 600.0
"""Seconds by which the sender's clock is ahead."""


def received(journal: Journal, second: float, *, ended: float | None, ahead: float = AHEAD) -> tuple[Journal, str]:
    """An alert that began at noon and, where it is resolved, ended at `ended`, by the truth; sent by that clock."""
    alert = Alert(
        status="firing" if ended is None else "resolved",
        labels={"alertname": "A"},
        starts_at=at(ahead),
        ends_at=None if ended is None else at(ended + ahead),
        fingerprint="a",
    )
    changed, _, reasons = request_as_alerts(journal, [ask_of(alert, at(second))], CF, at(second))
    return decode(encode(changed)), reasons["a"]


@pytest.mark.parametrize("ahead", [0, AHEAD])
def test_a_repeat_of_a_resolved_extends_nothing(ahead: float) -> None:
    """With 0 it is the control."""
    journal, _ = received(EMPTY, 100, ended=90, ahead=ahead)
    for second in (160, 220, 280, 1000):
        journal, _ = received(journal, second, ended=90, ahead=ahead)

    assert journal.resolved["a"].first_seen == at(100)


@pytest.mark.parametrize("ahead", [0, AHEAD])
def test_a_firing_that_was_sent_before_the_resolved_starts_nothing(ahead: float) -> None:
    journal, _ = received(EMPTY, 100, ended=90, ahead=ahead)

    journal, reason = received(journal, 101, ended=None, ahead=ahead)

    assert (reason, journal.request) == (AlertReason.LATE_DUPLICATE, None)


@pytest.mark.parametrize("ahead", [0, AHEAD])
def test_another_resolved_is_a_new_one(ahead: float) -> None:
    journal, _ = received(EMPTY, 100, ended=90, ahead=ahead)
    journal, _ = received(journal, 400, ended=390, ahead=ahead)

    assert journal.resolved["a"].first_seen == at(400)


def test_a_firing_that_goes_on_asks_again_after_the_window() -> None:
    """However far the sender's clock is ahead."""
    journal, _ = received(EMPTY, 100, ended=90, ahead=1e6)

    journal, reason = received(journal, 101 + WINDOW / timedelta(seconds=1), ended=None, ahead=1e6)

    assert reason == AlertReason.ASKS
    assert journal.request is not None
