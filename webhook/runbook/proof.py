"""The proof without which no pod is deleted: fresh views of the foundation, and checks from inside the api pods.

Nothing here deletes or records a pod. What is inconclusive ends the run.
"""

import asyncio
from dataclasses import dataclass

from exporter.clock import Instant
from exporter.config.model import Foundation
from exporter.foundation.look import look
from exporter.foundation.view import FoundationView
from exporter.kubernetes.api import ApiError, KubernetesError
from webhook.record.journal import Outcome
from webhook.record.reasons import RunReason
from webhook.retry import retry
from webhook.runbook.cloud_controller import Attempt, CloudController, Reachability
from webhook.runbook.context import EndRun, RunContext, Verdict
from webhook.runbook.execution import Execution
from webhook.runbook.licence import Proof

_UNSETTLED = frozenset({RunReason.PODS_DISAGREE, RunReason.FLAPPING})


@dataclass(frozen=True, slots=True)
class View:
    """A view of the foundation, and when it began to be taken: nothing in it is older."""

    foundation: FoundationView
    at: Instant


class Prover:
    """Proves for one run, and holds the proof while it is fresh."""

    def __init__(self, context: RunContext, execution: Execution) -> None:
        self._context = context
        self._execution = execution
        self._cloud_controller = CloudController(context)
        self._proof: Proof | None = None

    def fresh(self) -> Proof | None:
        """The proof, if it is fresh now."""
        proof, confirm = self._proof, self._context.foundation.remediation.confirm
        now = self._context.instant()
        return proof if proof and proof.fresh(now, confirm=confirm, timings=self._context.timings) else None

    def forget(self) -> None:
        """From now on only a new proof counts."""
        self._proof = None

    async def look(self) -> View:
        """A fresh view. Raises EndRun where the API server does not answer, or forbids it."""
        context = self._context
        # The probes of a view may take their whole time-out.
        limit = self._execution.patience + context.foundation.bbs.timeout
        at = context.instant()

        async def take() -> View:
            nonlocal at
            at = context.instant()
            return View(await look(context.kubernetes, context.foundation, clock=context.clock, dial=context.dial), at)

        try:
            return await retry(
                take, timings=context.timings, deadline=asyncio.get_running_loop().time() + limit, final=_forbidden
            )
        except TimeoutError:
            text = "the API server did not answer"
            raise EndRun(self._execution.inconclusive(RunReason.API_UNREACHABLE, text)) from None
        except KubernetesError as error:
            reason = RunReason.FORBIDDEN if _forbidden(error) else RunReason.API_UNREACHABLE
            raise EndRun(self._execution.inconclusive(reason, str(error))) from error

    async def attempt(self, view: FoundationView) -> Attempt:
        """One check from all ready api pods. Nothing follows from it here."""
        return await self._cloud_controller.attempt(view)

    async def prove(self) -> Attempt:
        """Checks until it is proved: unreachable at every attempt, or reachable and still so a moment later.

        Raises EndRun where an attempt is inconclusive or contradicts the one before.
        """
        confirm = self._context.foundation.remediation.confirm
        self._proof = None
        attempts: list[Attempt] = []
        for number in range(confirm.attempts):
            if number:
                await asyncio.sleep(confirm.interval)
            at, attempt = await self._ask()
            if attempt.reachability is Reachability.REACHABLE:
                return await self._still_reachable()
            attempts.append(attempt)
        self._proof = Proof(attempts=tuple(attempts), at=at)
        return attempts[-1]

    async def prove_settled(self) -> Attempt:
        """As `prove`; once more where it contradicts itself: a BBS that recovers is not seen by all pods at once."""
        try:
            return await self.prove()
        except EndRun as end:
            if end.verdict.reason not in _UNSETTLED:
                raise
        await asyncio.sleep(self._context.foundation.remediation.confirm.interval)
        return await self.prove()

    async def prove_once_more(self) -> Attempt:
        """One more attempt on top of a proof that is still fresh; a whole proof where it is not."""
        if self.fresh() is None:
            return await self.prove()
        at, attempt = await self._ask()
        if attempt.reachability is Reachability.REACHABLE:
            return await self._still_reachable()
        proof = self.fresh()
        if proof is None:  # the attempt took too long: what came before it does not count any more
            return await self.prove()
        self._proof = proof.extended(attempt, at)
        return attempt

    async def _still_reachable(self) -> Attempt:
        self._proof = None
        await asyncio.sleep(self._context.foundation.remediation.verify.interval)
        _, again = await self._ask()
        if again.reachability is not Reachability.REACHABLE:
            raise EndRun(self._execution.inconclusive(RunReason.FLAPPING, f"reachable, then unreachable: {again}"))
        return again

    async def _ask(self) -> tuple[Instant, Attempt]:
        """One attempt by all ready api pods, and when it started. Raises EndRun where it is inconclusive."""
        await self._execution.checkpoint()
        view = (await self.look()).foundation
        down = cloud_controller_down(view, self._context.foundation)
        if down is not None:
            raise EndRun(self._execution.inconclusive(RunReason.CLOUD_CONTROLLER_DOWN, down))
        at = self._context.instant()
        attempt = await self._cloud_controller.attempt(view)
        if attempt.reachability is Reachability.UNKNOWN:
            # An exec also fails where the API server is unreachable: that reason is clearer.
            await self._execution.checkpoint()
            reason = attempt.reason or RunReason.EXEC_FAILED
            raise EndRun(self._execution.inconclusive(reason, str(attempt)))
        return at, attempt


def cloud_controller_down(view: FoundationView, foundation: Foundation) -> str | None:
    """The sentence for a person where no api pod is fully ready, so that nobody can be asked; else None."""
    ready, desired = api_pods(view, foundation)
    if ready:
        return None
    return f"none of {desired} pods of {', '.join(foundation.cloud_controller.statefulset)} is fully ready"


def api_pods(view: FoundationView, foundation: Foundation) -> tuple[int, int]:
    """How many api pods are fully ready, and how many are desired."""
    found = [view.components[name] for name in foundation.cloud_controller.statefulset if name in view.components]
    return sum(len(component.ready) for component in found), sum(component.desired for component in found)


def recovered_meanwhile(attempt: Attempt) -> Verdict:
    return Verdict(Outcome.NOT_NEEDED, RunReason.REACHABLE, f"the Cloud Controller reaches the BBS ({attempt})")


def _forbidden(error: KubernetesError) -> bool:
    return isinstance(error, ApiError) and error.status in {401, 403}
