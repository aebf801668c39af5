"""The runbook: IBM's documented steps for an unavailable stager, in the document's order, and nothing else.

Each step's docstring opens with what IBM says (*Debugging an unavailable stager*; docs/runbook.md). A step returns what
it saw, or ends the run by raising `EndRun`. What must hold before the first delete: `preflight`. Where a pod is
deleted: `deletion`.
"""

import logging
from functools import partial

import msgspec

from exporter.kubernetes.api import KubernetesError
from webhook.record.errors import FencedError, JournalError
from webhook.record.journal import Outcome, PodState, Run, Step
from webhook.record.reasons import RunReason
from webhook.runbook import evidence
from webhook.runbook.approval import await_approval, needs_approval
from webhook.runbook.cloud_controller import Reachability
from webhook.runbook.context import EndRun, RunContext, Verdict
from webhook.runbook.deletion import Deletion
from webhook.runbook.diagnosis import diagnosed
from webhook.runbook.execution import Execution
from webhook.runbook.guards import targets, to_delete
from webhook.runbook.preflight import deletion_list, observed
from webhook.runbook.proof import Prover, api_pods, cloud_controller_down, recovered_meanwhile
from webhook.runbook.recovery import Recovery

log = logging.getLogger(__name__)


class Runbook:
    """One execution of the runbook on one foundation; `execution` is its record in the journal."""

    def __init__(self, context: RunContext, execution: Execution, *, resumed: bool) -> None:
        self._context = context
        self._foundation = context.foundation
        self._execution = execution
        self._prover = Prover(context, execution)
        self._deletion = Deletion(context, execution, self._prover, resumed=resumed)
        self._recovery = Recovery(context, execution, self._prover)

    async def run(self) -> Run:
        """Executes the steps to the end of the run. A resumed run continues where the journal says.

        A run that has not deleted anything is proved again from the start. Raises FencedError, JournalError, and
        KubernetesError where the API server refuses the record.
        """
        step = self._execution.step
        try:
            if not self._execution.run.disruptive:
                await step(Step.CHECK_CLOUD_CONTROLLER, self.check_cloud_controller)
                await step(Step.CONFIRM_UNREACHABLE, self.confirm_unreachable)
                await step(Step.PRESERVE_EVIDENCE, self.preserve_evidence)
                if needs_approval(self._execution.run, self._foundation):
                    await step(Step.AWAIT_APPROVAL, self.await_approval)
                    await step(Step.CONFIRM_UNREACHABLE, self.confirm_unreachable)
            listed = (pod.statefulset for pod in self._execution.run.pods)  # the config may have changed since
            for statefulset in dict.fromkeys((*self._foundation.restart, *listed)):
                await step(Step.RESTART, partial(self.restart, statefulset))
                await step(Step.AWAIT_READY, partial(self.await_ready, statefulset))
            await step(Step.VERIFY_REACHABLE, self.verify_reachable)
            verdict = self._verified()
        except EndRun as end:
            verdict = end.verdict
        except (FencedError, JournalError, KubernetesError):
            raise
        except Exception as error:  # a defect must end the run, not start it again for ever
            log.exception("step failed", extra={"run": self._execution.run.id})
            text = f"{type(error).__name__}: {error}"
            verdict = self._execution.inconclusive(RunReason.INTERNAL_ERROR, text)
        return await self._execution.end(await diagnosed(self._context, self._execution, self._prover, verdict))

    async def check_cloud_controller(self) -> str:
        """Steps 1 and 2: check the api pods, to see that the Cloud Controller is available: Running, and `2/2`."""
        await self._execution.checkpoint()
        view = (await self._prover.look()).foundation
        down = cloud_controller_down(view, self._foundation)
        if down is not None:
            raise EndRun(self._execution.inconclusive(RunReason.CLOUD_CONTROLLER_DOWN, down))
        ready, desired = api_pods(view, self._foundation)
        return f"{ready} of {desired} api pods are fully ready"

    async def confirm_unreachable(self) -> str:
        """Steps 3 and 4: open a shell in the pod api-0 and try `nc -zv … 8889`: it fails, so the BBS is unreachable.

        More than IBM asks: from every ready api pod (three at most), several times, for longer than a healthy failover
        takes. One that succeeds, and still does a moment later, means that no restart is needed.
        """
        attempt = await self._prover.prove()
        if attempt.reachability is Reachability.REACHABLE:
            raise EndRun(recovered_meanwhile(attempt))
        proved = self._context.now()
        await self._execution.save(lambda run: msgspec.structs.replace(run, proved_at=proved))
        return f"unreachable in all {self._foundation.remediation.confirm.attempts} attempts ({attempt})"

    async def preserve_evidence(self) -> str:
        """Not in IBM's runbook, which loses the logs: a restart destroys what explains the incident."""
        view = (await self._prover.look()).foundation
        pods = [pod for component in targets(view, self._foundation) for pod in to_delete(component)]
        kept = await evidence.gather(
            self._context.kubernetes, pods, run_id=self._execution.run.id, timeout=self._context.timings.evidence
        )
        await self._execution.save(lambda run: msgspec.structs.replace(run, evidence=kept))
        return f"logs of {len(pods)} pods"

    async def await_approval(self) -> str:
        """Not in IBM's runbook: in mode `approve` a person decides, after the proof and the guards."""
        await deletion_list(self._context, self._execution, self._prover)
        return await await_approval(self._context, self._execution)

    async def restart(self, statefulset: str) -> str:
        """Step 5: leave api-0, then delete all diego-api-x pods; Kubernetes recreates them.

        Before CFEE 2.0 the diego-locket-x pods are restarted in the same way, first; then diego-api, unless the BBS is
        reachable by then.
        """
        if not self._execution.run.disruptive:
            pods = await deletion_list(self._context, self._execution, self._prover)
            await self._execution.save(lambda run: msgspec.structs.replace(run, pods=pods))
            if "observe" in {self._execution.run.mode, self._foundation.remediation.mode}:
                raise EndRun(observed(self._execution.run))
        await self._deletion.delete_listed(statefulset)
        listed = [pod for pod in self._execution.run.pods if pod.statefulset == statefulset]
        done = ", ".join(f"{pod.name} {pod.state}" for pod in listed)
        await self._execution.announce("Restarted", done)
        return done

    async def await_ready(self, statefulset: str) -> str:
        """Step 6: wait until all diego-api-x pods are Running and `2/2`, and check that one is marked active."""
        await self._recovery.await_ready(statefulset)
        return f"{statefulset} is ready"

    async def verify_reachable(self) -> str:
        """Step 7: check again whether the Cloud Controller reaches the BBS: `Connection to … 8889 port succeeded!`."""
        verified = await self._recovery.verify()
        await self._deletion.settle_outstanding()
        return verified

    def _verified(self) -> Verdict:
        """Step 8: the environment is ready. `recovered` only where this run restarted a pod."""
        restarted = {PodState.DELETED, PodState.GONE, PodState.REPLACED}
        pods = self._execution.run.pods
        if not any(pod.intended_at and pod.state in restarted for pod in pods):
            text = "the BBS recovered before a pod was deleted"
            return Verdict(Outcome.NOT_NEEDED, RunReason.NOT_RESTARTED, text)
        spared = [pod.name for pod in pods if pod.state is PodState.SPARED]
        kept = f"; not restarted, because the BBS was reachable by then: {', '.join(spared)}" if spared else ""
        return Verdict(Outcome.RECOVERED, None, f"restarted, and every check passed{kept}")
