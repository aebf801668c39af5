"""Where a pod is deleted: the only place. It deletes pods on the run's list, by name and UID, each on a licence.

A DELETE is sent once, with a deadline within the lease. What became of it is read from the cluster and never assumed.
docs/safety.md has the argument.
"""

import asyncio
import logging
from functools import partial
from http import HTTPStatus

from exporter.kubernetes.api import PODS, ApiError, KubernetesError, NotFoundError
from exporter.kubernetes.objects import Pod
from webhook.record.changes import settle_pod
from webhook.record.errors import FencedError
from webhook.record.journal import Outcome, PodRecord, PodState
from webhook.record.reasons import RunReason
from webhook.retry import is_final, retry
from webhook.runbook.cloud_controller import Reachability
from webhook.runbook.context import EndRun, RunContext, Verdict, stopped
from webhook.runbook.execution import Execution
from webhook.runbook.guards import Refusal, refusal_for_pod
from webhook.runbook.licence import Expiry, Licence, permits_deletion
from webhook.runbook.proof import Prover, View
from webhook.writer import Deleted

log = logging.getLogger(__name__)

_UNSETTLED = frozenset({RunReason.BBS_SERVING, RunReason.SPLIT_BRAIN})


class Deletion:
    """Deletes the listed pods of one run. `resumed`: another process may have sent deletes for this run."""

    def __init__(self, context: RunContext, execution: Execution, prover: Prover, *, resumed: bool) -> None:
        self._context = context
        self._execution = execution
        self._prover = prover
        self._wait_for_outstanding = resumed
        self._unanswered: dict[str, float] = {}  # by UID: the loop's time of the last DELETE without an answer

    async def delete_listed(self, statefulset: str) -> None:
        """Deletes the StatefulSet's listed pods, and records what became of each.

        Where the Cloud Controller reaches the BBS nothing is deleted: the pods that are left are spared. Raises EndRun
        where a guard, a person or the API server forbids it.
        """
        if self._execution.run.disruptive and not any(pod.intended_at for pod in self._listed(statefulset)):
            self._prover.forget()  # the restart before this one may have been enough: docs/runbook.md, step 5
        confirm = self._context.foundation.remediation.confirm
        limit = self._context.timings.fate + 2 * confirm.attempts * confirm.interval
        loop = asyncio.get_running_loop()
        for pod in self._listed(statefulset):
            deadline = loop.time() + limit
            while not self._current(pod.uid).settled:
                if loop.time() > deadline:
                    text = f"{pod.name} could not be deleted within {limit:g} s"
                    raise EndRun(self._execution.inconclusive(RunReason.DEADLINE, text))
                state = await self._advance(self._current(pod.uid))
                if state is not None:
                    await self._settle(pod, state)

    async def settle_outstanding(self) -> None:
        """Reads the UIDs once more at the end: a delete that was thought not sent may have taken effect late."""
        for pod in self._execution.run.pods:
            if pod.state is PodState.SPARED and pod.intended_at is not None:
                state = await self.fate(pod)
                if state is not None:
                    await self._settle(pod, state)

    async def _advance(self, pod: PodRecord) -> PodState | None:
        """One attempt at one pod. Returns what became of it; None: nothing yet."""
        if pod.state is PodState.INTENDED:  # a delete may have been sent: what became of it?
            state = await self.fate(pod)
            if state is None and self._wait_for_outstanding:
                await self._outstanding()
                state = await self.fate(pod)
            if state is not None:
                return state
        await self._execution.checkpoint()
        self._check_mode()
        if self._prover.fresh() is None and (await self._prover.prove_settled()).reachability is Reachability.REACHABLE:
            return await self._spared(pod)
        view = await self._prover.look()
        found = _find(view, pod)
        if found is None:
            return await self.fate(pod)
        if found.terminating:
            return PodState.DELETED if pod.intended_at else PodState.GONE
        if not await self._guard(pod, view):
            return None
        await self._execution.checkpoint()
        await self._execution.intend(pod.uid)
        return await self._send(pod, view, found)

    async def _send(self, pod: PodRecord, view: View, found: Pod) -> PodState | None:
        """Checks the licence and sends the DELETE. Nothing stands between the two but the request itself."""
        fields = {"run": self._execution.run.id, "pod": pod.name, "uid": pod.uid}
        licence = self._licence(view)
        if licence is None or (expiry := licence.expired(self._context.instant())) is not None:
            log.warning("delete not sent", extra=fields | {"reason": expiry if licence else Expiry.PROOF})
            if licence is not None and expiry is Expiry.EPOCH:
                raise FencedError(str(expiry))
            if licence is not None and expiry is Expiry.LEASE:
                await asyncio.sleep(self._context.timings.lease_retry / 4)  # the next renewal is due
            return None
        sent = asyncio.get_running_loop().time()
        try:
            answer = await self._context.kubernetes.delete_pod(
                pod.name,
                uid=pod.uid,
                resource_version=found.metadata.resource_version or None,
                timeout=self._context.timings.delete,
            )
        except KubernetesError as error:
            if is_final(error) and not _unauthorized(error):
                raise EndRun(Verdict(Outcome.FAILED, RunReason.DELETE_REFUSED, str(error), pod.name)) from error
            log.warning("delete not answered", extra=fields | {"error": str(error)})
            self._unanswered[pod.uid] = sent
            await asyncio.sleep(self._context.timings.retry_first)
            return None
        log.info("delete answered", extra=fields | {"answer": answer})
        if answer is Deleted.CONFLICT:  # the pod changed since the view was taken, or has another UID: it is read again
            await asyncio.sleep(self._context.timings.retry_first)
        return {Deleted.ACCEPTED: PodState.DELETED, Deleted.GONE: PodState.GONE, Deleted.CONFLICT: None}[answer]

    def _licence(self, view: View) -> Licence | None:
        proof = self._prover.fresh()
        if proof is None:
            return None
        run, remediation, now = self._execution.run, self._context.foundation.remediation, self._context.instant()
        return Licence(
            proof=proof,
            viewed=view.at,
            issued=now,
            run_mode=run.mode,
            config_mode=remediation.mode,
            approved=run.approval is not None and run.approval.at is not None,
            lease=self._execution.held.remaining(now),
            epoch=self._execution.held.epoch,
            journal_epoch=self._execution.journal_epoch,
            confirm=remediation.confirm,
            timings=self._context.timings,
        )

    def _check_mode(self) -> None:
        run, mode = self._execution.run, self._context.foundation.remediation.mode
        approved = run.approval is not None and run.approval.at is not None
        if not permits_deletion(run.mode, mode, approved=approved):
            text = f"the run's mode is {run.mode}, the config's is {mode or 'not set'}: no pod may be deleted"
            raise EndRun(stopped(run, RunReason.OBSERVE, text))

    async def _guard(self, pod: PodRecord, view: View) -> bool:
        """Whether the view permits the delete; False: look again. Raises EndRun where a guard applies.

        A BBS that accepts may be recovering: then it is proved once more before the run ends.
        """
        tripped = self._refusal(pod, view)
        if tripped is not None and tripped.reason in _UNSETTLED:
            await asyncio.sleep(self._context.foundation.remediation.confirm.interval)
            attempt = await self._prover.prove_settled()
            tripped = self._refusal(pod, await self._prover.look())
            split = tripped is not None and tripped.reason is RunReason.SPLIT_BRAIN
            if attempt.reachability is Reachability.REACHABLE and not split:
                await self._settle(pod, await self._spared(pod))
            elif tripped is not None:
                raise EndRun(stopped(self._execution.run, tripped.reason, tripped.detail))
            return False
        if tripped is not None:
            raise EndRun(stopped(self._execution.run, tripped.reason, tripped.detail))
        return True

    def _refusal(self, pod: PodRecord, view: View) -> Refusal | None:
        uids = [each.uid for each in self._execution.run.pods]
        return refusal_for_pod(
            view.foundation, self._context.foundation, statefulset=pod.statefulset, uid=pod.uid, listed=uids
        )

    async def fate(self, pod: PodRecord) -> PodState | None:
        """What became of a pod whose delete may have been sent: it is read. None: it still runs, untouched.

        Raises EndRun where the API server does not answer.
        """
        deadline = asyncio.get_running_loop().time() + self._context.timings.fate
        read = partial(self._context.kubernetes.get, PODS, pod.name)
        try:
            found = await retry(read, timings=self._context.timings, deadline=deadline)
        except NotFoundError:
            return PodState.GONE
        except (KubernetesError, TimeoutError) as error:
            text = f"the state of {pod.name} is unknown: {error or 'no answer'}"
            raise EndRun(self._execution.inconclusive(RunReason.DEADLINE, text)) from error
        if found.uid != pod.uid:
            return PodState.REPLACED
        return PodState.DELETED if found.terminating else None

    async def _outstanding(self) -> None:
        """Waits until no DELETE of a process that held the lease before can still take effect."""
        self._wait_for_outstanding = False
        log.info("waiting for outstanding deletes", extra={"run": self._execution.run.id})
        await asyncio.sleep(self._context.timings.outstanding)

    async def _spared(self, pod: PodRecord) -> PodState:
        """What became of a pod that is not to be deleted: spared, unless a DELETE that was not answered took effect.

        Such a request may still be on its way: it is awaited for as long as one of an earlier holder.
        """
        sent = self._unanswered.get(pod.uid)
        if sent is None:
            return PodState.SPARED
        log.info("waiting for an unanswered delete", extra={"run": self._execution.run.id, "pod": pod.name})
        await asyncio.sleep(sent + self._context.timings.outstanding - asyncio.get_running_loop().time())
        return await self.fate(pod) or PodState.SPARED

    async def _settle(self, pod: PodRecord, state: PodState) -> None:
        fields = {"run": self._execution.run.id, "pod": pod.name, "uid": pod.uid}
        log.info(f"pod {state}", extra=fields)  # noqa: G004 - "pod deleted", "pod spared": one can search for it
        await self._execution.save(partial(settle_pod, uid=pod.uid, state=state))

    def _listed(self, statefulset: str) -> tuple[PodRecord, ...]:
        return tuple(pod for pod in self._execution.run.pods if pod.statefulset == statefulset)

    def _current(self, uid: str) -> PodRecord:
        """The pod as it is on record now."""
        return next(pod for pod in self._execution.run.pods if pod.uid == uid)


def _unauthorized(error: KubernetesError) -> bool:
    """A token may just have been renewed: the next read renews the credentials, and the DELETE is sent again."""
    return isinstance(error, ApiError) and error.status == HTTPStatus.UNAUTHORIZED


def _find(view: View, pod: PodRecord) -> Pod | None:
    component = view.foundation.components.get(pod.statefulset)
    return next((each for each in component.pods if each.uid == pod.uid), None) if component else None
