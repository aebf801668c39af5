"""The proof without which no pod goes: a fresh look at the foundation, and the question asked from inside the api pods.

Nothing here deletes or records a pod; what is not proved ends the run.
"""

import asyncio
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.look import look
from exporter.foundation.probe import Dialer
from exporter.foundation.view import FoundationView
from exporter.kubernetes.api import ApiError, KubernetesError
from webhook.record.journal import Outcome
from webhook.runbook.cloud_controller import Attempt, CloudController, Verdict
from webhook.runbook.execution import End, Execution
from webhook.runbook.guards import leadership_refusal
from webhook.writer import Writer

LOOK_PAUSE = 2.0
"""Seconds between two looks at the foundation while the API server does not answer."""
_UNSETTLED = frozenset({"bbs-serving", "pods-disagree", "flapping"})


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Proves for one run; `execution` is its record, and says whether it may go on."""

    foundation: Foundation
    writer: Writer
    cloud_controller: CloudController
    execution: Execution
    clock: Clock
    dial: Dialer

    async def look(self) -> FoundationView:
        """A fresh look, tried again for a while. Raises End where the API server does not answer, or forbids it."""
        loop = asyncio.get_running_loop()
        # The probes of a look may take their whole time-out.
        deadline = loop.time() + self.execution.patience + self.foundation.bbs.timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await look(self.writer, self.foundation, clock=self.clock, dial=self.dial)
            except TimeoutError:
                raise self.unproven("api-unreachable", "no answer to a look at the foundation") from None
            except KubernetesError as error:
                if isinstance(error, ApiError) and error.status in {401, 403}:
                    raise self.unproven("forbidden", str(error)) from error
                if loop.time() + LOOK_PAUSE >= deadline:
                    raise self.unproven("api-unreachable", str(error)) from error
            await asyncio.sleep(LOOK_PAUSE)

    async def prove(self) -> Attempt:
        """Asks until it is proved: unreachable at every attempt, or reachable and still so a moment later.

        Raises End where an attempt proves nothing, or contradicts the one before.
        """
        confirm = self.foundation.remediation.confirm
        for number in range(confirm.attempts):
            if number:
                await asyncio.sleep(confirm.interval)
            attempt = await self.ask()
            if attempt.verdict is Verdict.REACHABLE:
                await asyncio.sleep(self.foundation.remediation.verify.interval)
                again = await self.ask()
                if again.verdict is not Verdict.REACHABLE:
                    raise self.unproven("flapping", f"reachable once, then not: {again}")
                return again
        return attempt

    async def prove_again(self) -> tuple[Attempt, FoundationView]:
        """A fresh proof in mid-run, and the view after it. Raises End where a person must decide.

        A BBS that comes back meanwhile accepts before its label and the Service follow, and one api pod may see it
        before another does: what looks `_UNSETTLED` is asked once more.
        """
        try:
            return await self._prove_unled()
        except End as end:
            if end.reason not in _UNSETTLED:
                raise
        await asyncio.sleep(self.foundation.remediation.confirm.interval)
        return await self._prove_unled()

    async def _prove_unled(self) -> tuple[Attempt, FoundationView]:
        attempt = await self.prove()
        view = await self.look()
        tripped = leadership_refusal(view, self.foundation, now=self.clock.now())
        if attempt.verdict is Verdict.UNREACHABLE and tripped is not None:
            raise End(Outcome.FAILED, tripped.reason, tripped.detail)
        return attempt, view

    async def ask(self) -> Attempt:
        """One attempt by all ready api pods. Raises End where it proves nothing."""
        await self.execution.checkpoint()
        view = await self.look()
        try:
            ready_api_pods(view, self.foundation)
        except End as end:
            raise self.unproven(end.reason, end.detail) from None
        attempt = await self.cloud_controller.attempt(view)
        if attempt.verdict is Verdict.UNKNOWN:
            await self.execution.checkpoint()  # an exec also fails where the API server is out of reach: that says so
            raise self.unproven(attempt.why, str(attempt))
        return attempt

    def unproven(self, reason: str, detail: str) -> End:
        """Nothing is deleted on less than a proof; where pods are gone already, that is a failure and not a doubt."""
        outcome = Outcome.FAILED if self.execution.run.disruptive else Outcome.UNPROVEN
        return End(outcome, reason, detail)


def ready_api_pods(view: FoundationView, foundation: Foundation) -> str:
    """How many api pods are fully ready; End where none is, since then nobody can be asked."""
    found = [view.components[name] for name in foundation.cloud_controller.statefulset]
    ready = sum(len(component.ready) for component in found)
    desired = sum(component.desired for component in found)
    if ready == 0:
        names = ", ".join(foundation.cloud_controller.statefulset)
        raise End(Outcome.UNPROVEN, "cloud-controller-down", f"none of {desired} pods of {names} is fully ready")
    return f"{ready} of {desired} api pods are fully ready"
