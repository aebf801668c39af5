"""What a person does next where a command could not do what it was asked to. Pure."""

from exporter.config.model import Foundation
from exporter.kubernetes.api import ApiError, KubernetesError
from webhook.operator.kubectl import kubectl
from webhook.record.advice import next_look
from webhook.record.errors import ForeignJournalError, JournalError, JournalLostError
from webhook.record.journal import Run
from webhook.requests.decision import Decision, DecisionReason


def after_error(error: KubernetesError | JournalError, foundation: Foundation) -> str:
    """The foundation is the one that could not be read or written."""
    name = foundation.name
    if isinstance(error, JournalLostError):
        return f"find out who removed or replaced the journal, then `diego-runbook reset {name}`"
    if isinstance(error, ForeignJournalError):
        return "two foundations share a StatefulSet: compare their config files"
    if isinstance(error, ApiError) and error.status == 401:
        return "log in to the cluster again, or look at the user in the kubeconfig"
    if isinstance(error, ApiError) and error.status == 403:
        return f"`diego-runbook check {name}` names the missing permission"
    return f"does the cluster answer? {kubectl(foundation, f'get pod -n {foundation.namespace}')}"


def after_run(run: Run) -> str:
    """The run has ended, or waits for a person."""
    return as_next(next_look(run))


def as_next(sentence: str) -> str:
    """A sentence as it stands after `next: `."""
    return f"{sentence[:1].lower()}{sentence[1:]}".removesuffix(".")


def after_refusal(decision: Decision, foundation: Foundation) -> str:
    """`decision` refuses what a person requested."""
    name = foundation.name
    match decision.reason:
        case DecisionReason.PAUSED:
            return f"`diego-runbook resume {name}` when the work is done"
        case DecisionReason.BREAKER_OPEN:
            return f"`diego-runbook history {name}`: why did restarts not help? Then `diego-runbook reset {name}`"
        case DecisionReason.COOLDOWN | DecisionReason.RETRY:
            return f"wait until then; `diego-runbook watch {name}` shows whether it is needed"
        case _:
            return f"`diego-runbook watch {name}` shows what is in progress"
