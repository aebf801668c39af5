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

from exporter.assess import pod_serves, pods_of
from exporter.clock import Clock
from exporter.config import Foundation
from exporter.kube_api import ApiError, KubernetesError
from exporter.model import Component, FoundationView
from exporter.observe import look
from exporter.probe import Dialer
from webhook import evidence
from webhook.cloud_controller import Attempt, CloudController, Verdict
from webhook.deletion import answered, delete_listed, fate
from webhook.execution import End, Execution
from webhook.guards import leadership_refusal, refusal, targets, to_delete
from webhook.journal import Outcome, PodRecord, Run, Step
from webhook.kube import Writer
from webhook.readiness import await_timeout, lacking
from webhook.store import FencedError, JournalError
from webhook.waiting import ComponentsWatch

log = logging.getLogger(__name__)

LOOK_PAUSE = 2.0
"""Seconds between two looks at the foundation while the API server does not answer."""
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
    clock: Clock
    dial: Dialer
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
            verdict = self._unproven("internal-error", f"{type(error).__name__}: {error}")
        return await self.execution.end(verdict)

    async def check_cloud_controller(self) -> str:
        """Steps 1 and 2: check the api pods, to be sure that the Cloud Controller is available: Running, and `2/2`."""
        await self.execution.checkpoint()
        return _ready_api_pods(await self._look(), self.foundation)

    async def confirm_unreachable(self) -> str:
        """Steps 3 and 4: enter the pod api-0 and try `nc -zv … 8889`: it fails, so the BBS can't be reached from there.

        More than the document asks: from every ready api pod (three at most), several times, for longer than a healthy
        failover takes. One that succeeds, and still does a moment later, means that no restart is needed.
        """
        attempt = await self._prove()
        if attempt.verdict is Verdict.REACHABLE:
            raise End(Outcome.NOT_NEEDED, "reachable", f"the BBS is reachable after all ({attempt})")
        return f"unreachable in all {self.foundation.remediation.confirm.attempts} attempts ({attempt})"

    async def preserve_evidence(self) -> str:
        """Not in the document, which loses the logs: a restart takes with it what explains the incident."""
        view = await self._look()
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
            attempt = await self._prove()
            view = await self._look()
            if attempt.verdict is Verdict.REACHABLE:
                await self._spare(entry, view)
            elif (tripped := leadership_refusal(view, self.foundation, now=self.clock.now())) is not None:
                raise End(Outcome.FAILED, tripped.reason, tripped.detail)
        for pod in self._left(entry):
            await delete_listed(pod, execution=self.execution, writer=self.writer)
        done = ", ".join(f"{pod.name} {pod.answer}" for pod in self._listed(entry))
        await self.execution.announce("Restarted", done)
        return done

    async def await_ready(self, entry: str) -> str:
        """Step 6: wait until all diego-api-x pods are Running and `2/2`, and be sure that one of them is marked active.

        New pods, by UID; exactly one marked active; by watch events. How long: `webhook.readiness.await_timeout`.
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
                view = await self._look()
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

    async def _look(self) -> FoundationView:
        """A fresh look, tried again for a while. Raises End where the API server does not answer, or forbids it."""
        loop = asyncio.get_running_loop()
        # The probes of a look may take their whole time-out.
        deadline = loop.time() + self.execution.patience + self.foundation.bbs.timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await look(self.writer, self.foundation, clock=self.clock, dial=self.dial)
            except TimeoutError:
                raise self._unproven("api-unreachable", "no answer to a look at the foundation") from None
            except KubernetesError as error:
                if isinstance(error, ApiError) and error.status in {401, 403}:
                    raise self._unproven("forbidden", str(error)) from error
                if loop.time() + LOOK_PAUSE >= deadline:
                    raise self._unproven("api-unreachable", str(error)) from error
            await asyncio.sleep(LOOK_PAUSE)

    async def _prove(self) -> Attempt:
        """Asks until it is proved: unreachable at every attempt, or reachable and still so a moment later.

        Raises End where an attempt proves nothing, or contradicts the one before.
        """
        confirm = self.foundation.remediation.confirm
        for number in range(confirm.attempts):
            if number:
                await asyncio.sleep(confirm.interval)
            attempt = await self._ask()
            if attempt.verdict is Verdict.REACHABLE:
                await asyncio.sleep(self.foundation.remediation.verify.interval)
                again = await self._ask()
                if again.verdict is not Verdict.REACHABLE:
                    raise self._unproven("flapping", f"reachable once, then not: {again}")
                return again
        return attempt

    async def _ask(self) -> Attempt:
        """One attempt by all ready api pods. Raises End where it proves nothing."""
        await self.execution.checkpoint()
        view = await self._look()
        try:
            _ready_api_pods(view, self.foundation)
        except End as end:
            raise self._unproven(end.reason, end.detail) from None
        attempt = await self.cloud_controller.attempt(view)
        if attempt.verdict is Verdict.UNKNOWN:
            await self.execution.checkpoint()  # an exec also fails where the API server is out of reach: that says so
            raise self._unproven(attempt.why, str(attempt))
        return attempt

    async def _pre_flight(self) -> None:
        """Before the first delete: nothing forbids it, and the pods that are to go are on record by UID."""
        await self.execution.checkpoint()
        confirm = self.foundation.remediation.confirm
        age = self.execution.now() - self.execution.run.started
        if age > PROOF_AGE + timedelta(seconds=confirm.attempts * confirm.interval):
            raise End(Outcome.UNPROVEN, "deadline", f"the run began {age} ago and has proved nothing")
        view = await self._look()
        tripped = refusal(view, self.foundation, now=self.clock.now())
        if tripped is not None:
            # A BBS that accepts may have come back just now: then nothing is wrong with label or Service.
            if (await self.cloud_controller.attempt(view)).verdict is Verdict.REACHABLE:
                raise End(Outcome.NOT_NEEDED, "reachable", "the BBS is reachable after all")
            raise End(Outcome.REFUSED, tripped.reason, tripped.detail)
        # The evidence took a while: what was proved before it must still be so at the last moment.
        if (await self._ask()).verdict is Verdict.REACHABLE:
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
            view = await self._look()
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

    def _unproven(self, reason: str, detail: str) -> End:
        """Nothing is deleted on less than a proof; where pods are gone already, that is a failure and not a doubt."""
        outcome = Outcome.FAILED if self.execution.run.disruptive else Outcome.UNPROVEN
        return End(outcome, reason, detail)


def _ready_api_pods(view: FoundationView, foundation: Foundation) -> str:
    """How many api pods are fully ready; End where none is, since then nobody can be asked."""
    found = [view.components[name] for name in foundation.cloud_controller.statefulset]
    ready = sum(len(component.ready) for component in found)
    desired = sum(component.desired for component in found)
    if ready == 0:
        names = ", ".join(foundation.cloud_controller.statefulset)
        raise End(Outcome.UNPROVEN, "cloud-controller-down", f"none of {desired} pods of {names} is fully ready")
    return f"{ready} of {desired} api pods are fully ready"


def _not_verified(attempt: Attempt) -> str:
    return "unreachable" if attempt.verdict is Verdict.UNREACHABLE else f"not-verified ({attempt.why or 'no api pods'})"


def _grace(seconds: int | None) -> int:
    return DEFAULT_GRACE if seconds is None else seconds
