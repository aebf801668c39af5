"""The runbook: the documented procedure for an unavailable stager, step by step, in the document's order.

Each step is a method whose docstring opens with what the document says (IBM, *Debugging an unavailable stager*). A step
returns what it saw, or ends the run by raising `End`. Where a pod is deleted, and why it may be: `restart`.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random

import msgspec

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.assess import pod_serves, pods_of
from exporter.foundation.view import Component, FoundationView
from webhook.record.journal import Outcome, PodRecord, Run, Step
from webhook.record.store import FencedError, JournalError
from webhook.runbook import evidence
from webhook.runbook.cloud_controller import Attempt, CloudController, Verdict
from webhook.runbook.deletion import answered, delete_listed, fate
from webhook.runbook.execution import End, Execution
from webhook.runbook.guards import refusal, targets, to_delete
from webhook.runbook.proof import Proof, ready_api_pods
from webhook.runbook.readiness import await_timeout, lacking
from webhook.runbook.waiting import ComponentsWatch
from webhook.writer import Writer

log = logging.getLogger(__name__)

DEFAULT_GRACE = 30
"""Seconds: Kubernetes's own terminationGracePeriodSeconds."""
PROOF_AGE = timedelta(minutes=30)
"""How long after its beginning, beyond its own attempts, a run may still begin to delete."""


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """One execution of the procedure on one foundation; `execution` is its record in the journal."""

    foundation: Foundation
    writer: Writer
    cloud_controller: CloudController
    execution: Execution
    proof: Proof
    clock: Clock
    random: Random
    resumed: bool

    async def run(self) -> Run:
        """Executes the procedure to its end; a run that was resumed goes on where the journal says.

        A run that has not begun to delete is proved anew from the start. Raises FencedError and JournalError.
        """
        step = self.execution.step
        try:
            if not self.execution.run.disruptive:
                await step(Step.CHECK_CLOUD_CONTROLLER, self.check_cloud_controller)
                await step(Step.CONFIRM_UNREACHABLE, self.confirm_unreachable)
                await step(Step.PRESERVE_EVIDENCE, self.preserve_evidence)
            for entry in self.foundation.restart:
                await step(Step.RESTART, partial(self.restart, entry))
                await step(Step.AWAIT_READY, partial(self.await_ready, entry))
            await step(Step.VERIFY_REACHABLE, self.verify_reachable)
            verdict = End(Outcome.RECOVERED, "", "restarted, and every check passed")
        except End as end:
            verdict = end
        except (FencedError, JournalError):
            raise
        except Exception as error:  # a defect of ours must end the run, not begin it again for ever
            log.exception("a step failed", extra={"run": self.execution.run.id})
            verdict = self.proof.unproven("internal-error", f"{type(error).__name__}: {error}")
        return await self.execution.end(verdict)

    async def check_cloud_controller(self) -> str:
        """Steps 1 and 2: check the api pods, to be sure that the Cloud Controller is available: Running, and `2/2`."""
        await self.execution.checkpoint()
        return ready_api_pods(await self.proof.look(), self.foundation)

    async def confirm_unreachable(self) -> str:
        """Steps 3 and 4: enter the pod api-0 and try `nc -zv … 8889`: it fails, so the BBS can't be reached from there.

        More than the document asks: from every ready api pod (three at most), several times, for longer than a healthy
        failover takes. One that succeeds, and still does a moment later, means that no restart is needed.
        """
        attempt = await self.proof.prove()
        if attempt.verdict is Verdict.REACHABLE:
            raise End(Outcome.NOT_NEEDED, "reachable", f"the BBS is reachable after all ({attempt})")
        return f"unreachable in all {self.foundation.remediation.confirm.attempts} attempts ({attempt})"

    async def preserve_evidence(self) -> str:
        """Not in the document, which loses the logs: a restart takes with it what explains the incident."""
        view = await self.proof.look()
        doomed = [pod for component in targets(view, self.foundation) for pod in to_delete(component)]
        kept = await evidence.gather(self.writer, doomed, run_id=self.execution.run.id)
        await self.execution.save(lambda run: msgspec.structs.replace(run, evidence=kept))
        return f"logs of {len(doomed)} pods"

    async def restart(self, entry: str) -> str:
        """Step 5: leave api-0, then delete all diego-api-x pods; Kubernetes creates them anew.

        Before CFEE 2.0 the diego-locket-x pods are restarted in the same way, first; then diego-api, unless the BBS is
        reachable by then. A pod is only deleted on a fresh proof: where a run was resumed, or an entry was waited for,
        it is proved again. What serves by then is spared.
        """
        if not self.execution.run.disruptive:
            await self._pre_flight()
        elif self._left(entry) and (self.resumed or entry != self.foundation.restart[0]):
            attempt, view = await self.proof.prove_again()
            if attempt.verdict is Verdict.REACHABLE:
                await self._spare(entry, view)
        for pod in self._left(entry):
            await delete_listed(pod, execution=self.execution, writer=self.writer)
        done = ", ".join(f"{pod.name} {pod.answer}" for pod in self._listed(entry))
        await self.execution.announce("Restarted", done)
        return done

    async def await_ready(self, entry: str) -> str:
        """Step 6: wait until all diego-api-x pods are Running and `2/2`, and be sure that one of them is marked active.

        New pods, by UID; exactly one marked active; by watch events. How long: `readiness.await_timeout`.
        """
        listed = self._listed(entry)
        gone = {pod.uid for pod in listed if pod.deleted}
        final = entry == self.foundation.restart[-1]
        names = (entry, *self.foundation.diego_api.statefulset)
        lacks = "deadline"

        def done(components: Mapping[str, Component]) -> bool:
            nonlocal lacks
            lacks = lacking(components, entry, gone=gone, foundation=self.foundation, final=final)
            return not lacks

        async with ComponentsWatch(
            self.writer, names, staleness=self.foundation.staleness, clock=self.clock, random=self.random
        ) as watch:
            try:
                await watch.until(done, timeout=await self._time_left(entry))
            except TimeoutError:
                raise End(Outcome.FAILED, lacks if watch.components else "deadline", f"waiting for {entry}") from None
        return f"{entry} is ready"

    async def verify_reachable(self) -> str:
        """Step 7: check again whether the Cloud Controller reaches the BBS: `Connection to … 8889 port succeeded!`.

        Several times in a row, from every ready api pod, and with step 6 still true after it. What could not be
        verified is not claimed.
        """
        verify = self.foundation.remediation.verify
        loop = asyncio.get_running_loop()
        deadline = loop.time() + verify.timeout
        passed = 0
        while True:
            try:
                view = await self.proof.look()
                attempt = await self.cloud_controller.attempt(view)
                passed = passed + 1 if attempt.verdict is Verdict.REACHABLE else 0
                lacks = self._lacks(view) if passed else _not_verified(attempt)
            except End as end:
                passed, lacks = 0, end.reason
            if passed >= verify.attempts and not lacks:
                return f"reachable {passed} times in a row ({attempt})"
            if loop.time() >= deadline:
                raise End(Outcome.FAILED, lacks or "unreachable", f"not verified within {verify.timeout:g} s")
            await asyncio.sleep(verify.interval)

    async def _pre_flight(self) -> None:
        """Before the first delete: nothing forbids it, and the pods that are to go are on record by UID."""
        await self.execution.checkpoint()
        confirm = self.foundation.remediation.confirm
        age = self.execution.now() - self.execution.run.started
        if age > PROOF_AGE + timedelta(seconds=confirm.attempts * confirm.interval):
            raise End(Outcome.UNPROVEN, "deadline", f"the run began {age} ago and has proved nothing")
        view = await self.proof.look()
        tripped = refusal(view, self.foundation, now=self.clock.now())
        if tripped is not None:
            # A BBS that accepts may have come back just now: then nothing is wrong with label or Service.
            if (await self.cloud_controller.attempt(view)).verdict is Verdict.REACHABLE:
                raise End(Outcome.NOT_NEEDED, "reachable", "the BBS is reachable after all")
            raise End(Outcome.REFUSED, tripped.reason, tripped.detail)
        # The evidence took a while: what was proved before it must still be so at the last moment.
        if (await self.proof.ask()).verdict is Verdict.REACHABLE:
            raise End(Outcome.NOT_NEEDED, "reachable", "the BBS is reachable after all")
        pods = tuple(
            PodRecord(
                name=pod.name,
                uid=pod.uid,
                statefulset=component.name,
                grace=_grace(pod.spec.termination_grace_period_seconds),
            )
            for component in targets(view, self.foundation)
            for pod in to_delete(component)
        )
        await self.execution.save(lambda run: msgspec.structs.replace(run, pods=pods))
        if self.execution.run.mode == "observe":
            names = ", ".join(pod.name for pod in pods)
            raise End(Outcome.OBSERVED, "observe", f"mode observe: it would have deleted {names}")

    async def _spare(self, entry: str, view: FoundationView) -> None:
        """Leaves alone what is not to go any more: the BBS is reachable by now.

        Of an entry that was not begun that is every pod. One that was begun is finished, since the document restarts
        all pods and a wedged standby is none; but not a pod that serves, or of which that is not known.
        """
        begun = any(pod.intent for pod in self._listed(entry))
        seen = {pod.uid: pod for pod in pods_of(view, self.foundation.restart)}
        for pod in self._left(entry):
            found = seen.get(pod.uid)
            serves = found is not None and pod_serves(
                view, found, now=self.clock.now(), staleness=self.foundation.staleness
            )
            if begun and serves is False:
                continue
            gone = await fate(pod, writer=self.writer) if pod.intent else None  # its delete may have been sent
            answer = gone or "spared"
            await self.execution.save(partial(answered, uid=pod.uid, answer=answer, deleted=gone is not None))

    def _listed(self, entry: str) -> tuple[PodRecord, ...]:
        return tuple(pod for pod in self.execution.run.pods if pod.statefulset == entry)

    def _left(self, entry: str) -> tuple[PodRecord, ...]:
        """The listed pods of which it is not on record what became of them."""
        return tuple(pod for pod in self._listed(entry) if not pod.answer)

    async def _time_left(self, entry: str) -> float:
        """Seconds, counted from the first delete of the entry on record, also where the run was resumed since."""
        listed = self._listed(entry)
        ordered = False
        try:
            view = await self.proof.look()
            component = view.components.get(entry)
            ordered = bool(component and component.statefulset and component.statefulset.one_after_another)
        except End:
            pass  # the watch below notices for itself when the API server is back
        configured = self.foundation.remediation.await_ready.timeout
        timeout = await_timeout(listed, one_after_another=ordered, configured=configured)
        begun = min((pod.intent for pod in listed if pod.intent), default=self.execution.now())
        return max(1.0, timeout - (self.execution.now() - begun).total_seconds())

    def _lacks(self, view: FoundationView) -> str:
        """What step 6 lacks by now: it held when it was waited for, and must still hold at the end."""
        gone = {pod.uid for pod in self.execution.run.pods if pod.deleted}
        checks = (
            lacking(view.components, entry, gone=gone, foundation=self.foundation, final=True)
            for entry in self.foundation.restart
        )
        return next(filter(None, checks), "")


def _not_verified(attempt: Attempt) -> str:
    return "unreachable" if attempt.verdict is Verdict.UNREACHABLE else f"not-verified ({attempt.why or 'no api pods'})"


def _grace(seconds: int | None) -> int:
    return DEFAULT_GRACE if seconds is None else seconds
