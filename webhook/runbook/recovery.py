"""After the restart: wait for the new pods, then verify from the Cloud Controller. Nothing unverified is claimed."""

import asyncio
from collections.abc import Mapping

from exporter.foundation.view import Component, FoundationView
from webhook.record.journal import Outcome, PodRecord, PodState
from webhook.record.reasons import RunReason
from webhook.runbook.cloud_controller import Attempt, Reachability
from webhook.runbook.context import EndRun, RunContext, Verdict
from webhook.runbook.execution import Execution
from webhook.runbook.proof import Prover
from webhook.runbook.readiness import Lack, lacking, time_left
from webhook.runbook.waiting import ComponentsWatch


class Recovery:
    """Steps 6 and 7 of one run."""

    def __init__(self, context: RunContext, execution: Execution, prover: Prover) -> None:
        self._context = context
        self._foundation = context.foundation
        self._execution = execution
        self._prover = prover

    async def await_ready(self, statefulset: str) -> None:
        """Waits, by watch events, until the new pods are ready. Raises EndRun with what they lack in the end."""
        final = statefulset == self._foundation.restart[-1]
        deleted = self._deleted(statefulset)
        lack: Lack | None = Lack(RunReason.DEADLINE)

        def done(components: Mapping[str, Component]) -> bool:
            nonlocal lack
            lack = lacking(components, statefulset, deleted=deleted, foundation=self._foundation, final=final)
            return lack is None

        names = (statefulset, *self._foundation.diego_api.statefulset)
        async with ComponentsWatch(
            self._context.kubernetes,
            names,
            staleness=self._foundation.staleness,
            clock=self._context.clock,
            random=self._context.random,
        ) as watch:
            try:
                await watch.until(done, timeout=await self._time_left(statefulset))
            except TimeoutError:
                found = lack if watch.components is not None and lack else Lack(RunReason.DEADLINE)
                text = f"waiting for {statefulset}"
                raise EndRun(Verdict(Outcome.FAILED, found.reason, text, found.place)) from None

    async def verify(self) -> str:
        """Several times in a row, from every ready api pod, with step 6 still true after it. Raises EndRun."""
        verify = self._foundation.remediation.verify
        loop = asyncio.get_running_loop()
        deadline = loop.time() + verify.timeout
        passed = 0
        while True:
            lack: Lack | None
            try:
                view = (await self._prover.look()).foundation
                attempt = await self._prover.attempt(view)
                passed = passed + 1 if attempt.reachability is Reachability.REACHABLE else 0
                lack = self._lacks(view) if passed else _not_verified(attempt)
            except EndRun as end:
                passed, lack = 0, Lack(end.verdict.reason or RunReason.UNREACHABLE, end.verdict.place)
            if passed >= verify.attempts and lack is None:
                return f"reachable {passed} times in a row ({attempt})"
            if loop.time() >= deadline:
                found = lack or Lack(RunReason.UNREACHABLE)
                text = f"not verified within {verify.timeout:g} s"
                raise EndRun(Verdict(Outcome.FAILED, found.reason, text, found.place))
            await asyncio.sleep(verify.interval)

    async def _time_left(self, statefulset: str) -> float:
        """Seconds until the new pods of the StatefulSet must be ready."""
        listed = self._listed(statefulset)
        ordered = False
        try:
            view = (await self._prover.look()).foundation
            component = view.components.get(statefulset)
            ordered = bool(component and component.statefulset and component.statefulset.one_after_another)
        except EndRun:
            pass  # the watch notices by itself when the API server is back
        configured = self._foundation.remediation.await_ready.timeout
        return time_left(listed, one_after_another=ordered, configured=configured, now=self._context.now())

    def _lacks(self, view: FoundationView) -> Lack | None:
        """What step 6 lacks by now: it held when it was waited for, and must still hold at the end."""
        checks = (
            lacking(view.components, name, deleted=self._deleted(name), foundation=self._foundation, final=True)
            for name in self._foundation.restart
        )
        return next(filter(None, checks), None)

    def _deleted(self, statefulset: str) -> set[str]:
        """UIDs that must not be there any more."""
        return {
            pod.uid
            for pod in self._listed(statefulset)
            if pod.state in {PodState.DELETED, PodState.GONE, PodState.REPLACED}
        }

    def _listed(self, statefulset: str) -> tuple[PodRecord, ...]:
        return tuple(pod for pod in self._execution.run.pods if pod.statefulset == statefulset)


def _not_verified(attempt: Attempt) -> Lack:
    if attempt.reachability is Reachability.UNREACHABLE:
        return Lack(RunReason.UNREACHABLE)
    return Lack(RunReason.NOT_VERIFIED, f"({attempt.reason or RunReason.CLOUD_CONTROLLER_DOWN})")
