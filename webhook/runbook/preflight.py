"""Before the first delete: nothing forbids the restart, the proof still holds, and the pods are listed by UID."""

from exporter.config.model import Foundation
from exporter.foundation.view import FoundationView
from webhook.record.journal import Outcome, PodRecord, Run
from webhook.record.reasons import RunReason
from webhook.runbook.cloud_controller import Reachability
from webhook.runbook.context import EndRun, RunContext, Verdict
from webhook.runbook.execution import Execution
from webhook.runbook.guards import Refusal, refusal, targets, to_delete
from webhook.runbook.proof import Prover, recovered_meanwhile

DEFAULT_GRACE = 30
"""Seconds: Kubernetes' own terminationGracePeriodSeconds."""


async def deletion_list(context: RunContext, execution: Execution, prover: Prover) -> tuple[PodRecord, ...]:
    """The pods that the run may delete. Raises EndRun where it may not delete any.

    Guards first, then once more the question to the Cloud Controller: preserving evidence took a while, and the BBS may
    have recovered. A split brain ends the run in any case.
    """
    await execution.checkpoint()
    view = (await prover.look()).foundation
    tripped = refusal(view, context.foundation)
    if tripped is not None:
        raise EndRun(await _refused(tripped, view, prover))
    attempt = await prover.prove_once_more()
    if attempt.reachability is Reachability.REACHABLE:
        again = refusal((await prover.look()).foundation, context.foundation)
        if again is not None and again.reason is RunReason.SPLIT_BRAIN:
            raise EndRun(_verdict(again))
        raise EndRun(recovered_meanwhile(attempt))
    return listed(view, context.foundation)


def listed(view: FoundationView, foundation: Foundation) -> tuple[PodRecord, ...]:
    """Every pod of the restart that is not terminating already, in the order of the restart."""
    return tuple(
        PodRecord(
            name=pod.name,
            uid=pod.uid,
            statefulset=component.name,
            grace=_grace(pod.spec.termination_grace_period_seconds),
        )
        for component in targets(view, foundation)
        for pod in to_delete(component)
    )


def observed(run: Run) -> Verdict:
    """How a run ends that may prove but not delete."""
    names = ", ".join(pod.name for pod in run.pods)
    return Verdict(Outcome.OBSERVED, RunReason.OBSERVE, f"mode observe: it would have deleted {names}")


async def _refused(tripped: Refusal, view: FoundationView, prover: Prover) -> Verdict:
    """A BBS that accepts may have recovered just now: then nothing is wrong. A split brain is wrong in any case."""
    if tripped.reason is not RunReason.SPLIT_BRAIN:
        attempt = await prover.attempt(view)
        if attempt.reachability is Reachability.REACHABLE:
            again = await prover.prove_settled()
            if again.reachability is Reachability.REACHABLE:
                return recovered_meanwhile(again)
    return _verdict(tripped)


def _verdict(tripped: Refusal) -> Verdict:
    return Verdict(Outcome.REFUSED, tripped.reason, tripped.detail)


def _grace(seconds: int | None) -> int:
    return DEFAULT_GRACE if seconds is None else seconds
