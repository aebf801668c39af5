"""What a person does next where a command could not do its work."""

import pytest

from exporter.kubernetes.api import ApiError, ApiUnreachableError, KubernetesError
from tests.support.foundations import foundation
from tests.support.journals import open_run
from tests.support.moments import NOON
from webhook.operator.command_context import ExitCode
from webhook.operator.commands import failed
from webhook.operator.follow import Lines
from webhook.operator.next_step import after_error, after_refusal
from webhook.record.errors import ForeignJournalError, JournalError, JournalLostError
from webhook.record.journal import Outcome
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


@pytest.mark.parametrize(
    ("outcome", "reason", "advice"),
    [
        (Outcome.RECOVERED, "", ""),
        (Outcome.NOT_NEEDED, "reachable", ""),
        (Outcome.UNPROVEN, "nc-missing", "next: set `cloud_controller.container` to a container that has `nc`"),
        (Outcome.FAILED, "delete-refused", "next: the Role lists the pods by name: does it have this one?"),
    ],
)
def test_a_run_that_did_not_help_is_followed_by_the_next_step(
    capsys: pytest.CaptureFixture[str], outcome: Outcome, reason: str, advice: str
) -> None:
    """On standard error: the outcome stays the last line of the output."""
    Lines().end(open_run(outcome=outcome, reason=reason, ended=NOON))
    told = capsys.readouterr()
    assert told.out.startswith(str(outcome))
    assert told.err.startswith(advice)
    assert bool(told.err) is bool(advice)


@pytest.mark.parametrize(
    ("error", "writes", "said"),
    [
        (ApiUnreachableError("timed out"), True, ["cf: the API server: timed out", "does the", "repeat this command"]),
        (ApiUnreachableError("timed out"), False, ["cf: the API server: timed out", "does the cluster answer? "]),
        (ApiError(403, "Forbidden", ""), True, ["cf: the API server: 403 Forbidden", "`diego-runbook check cf` names"]),
        (JournalLostError("gone"), True, ["cf: gone", "find out who removed"]),
    ],
)
def test_an_error_names_the_foundation_and_what_to_do(
    capsys: pytest.CaptureFixture[str], error: KubernetesError | JournalError, writes: bool, said: list[str]
) -> None:
    """What was refused is not on record. Without an answer that is not known."""
    assert failed(error, CF, writes=writes) is ExitCode.UNKNOWN
    lines = capsys.readouterr().err.splitlines()
    for line, words in zip(lines, said, strict=True):
        assert line.removeprefix("diego-runbook: ").removeprefix("next: ").startswith(words)
