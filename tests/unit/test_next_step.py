"""What a person does next where a command could not do its work."""

import pytest

from exporter.kubernetes.api import ApiError, ApiUnreachableError, KubernetesError
from tests.support.foundations import foundation
from webhook.operator.next_step import after_error, after_refusal
from webhook.record.errors import ForeignJournalError, JournalError, JournalLostError
from webhook.requests.decision import Decision, DecisionKind, DecisionReason

CF = foundation()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (JournalLostError("gone"), "then `diego-runbook reset cf`"),
        (ForeignJournalError("another's"), "two foundations share a StatefulSet"),
        (ApiError(401, "Unauthorized", ""), "log in to the cluster again"),
        (ApiError(403, "Forbidden", ""), "`diego-runbook check cf` names the missing permission"),
        (ApiError(500, "Trouble", ""), "kubectl get pod -n cf"),
        (ApiUnreachableError("timed out"), "kubectl get pod -n cf"),
    ],
)
def test_after_an_error(error: KubernetesError | JournalError, words: str) -> None:
    assert words in after_error(error, CF)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (DecisionReason.PAUSED, "`diego-runbook resume cf`"),
        (DecisionReason.BREAKER_OPEN, "Then `diego-runbook reset cf`"),
        (DecisionReason.COOLDOWN, "wait until then"),
        (DecisionReason.RETRY, "wait until then"),
        (DecisionReason.IN_PROGRESS, "`diego-runbook watch cf`"),
    ],
)
def test_after_a_refusal(reason: DecisionReason, words: str) -> None:
    assert words in after_refusal(Decision(DecisionKind.REFUSE, reason, "no"), CF)
