"""What a run waits for now, how far that is, and until when: pure, by the same rules as the run's own wait.

The deadlines are those of the config at hand. A run that another process executes goes by that one's config.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.foundation.view import Component
from webhook.record.journal import PodState, Run, Step, StepRecord, later
from webhook.record.reasons import RunReason
from webhook.runbook.readiness import lacking, time_left
from webhook.status.known import Known
from webhook.timings import DEFAULT

_PUNCTUAL = 3.0
"""Seconds by which what is planned may take longer without a word: the checks themselves take a moment."""
_SETTLED = {PodState.DELETED, PodState.GONE, PodState.REPLACED}
_LACKS = {
    RunReason.STILL_TERMINATING: "still terminating",
    RunReason.NOT_CREATED: "not created yet",
    RunReason.NOT_READY: "not ready yet",
    RunReason.NO_ACTIVE_LABEL: "no pod is labelled active yet",
    RunReason.MULTIPLE_ACTIVE: "more than one pod is labelled active",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """`until` is a deadline where it is `firm`; else the moment at which it ends if nothing goes wrong.

    None: no end of the wait is known.
    """

    text: str
    since: datetime
    until: datetime | None = None
    firm: bool = True

    def share(self, now: datetime) -> float | None:
        """How much of the time is over, from 0 to 1; None where no end is known."""
        if self.until is None:
            return None
        whole = (self.until - self.since).total_seconds()
        return 1.0 if whole <= 0 else min(1.0, max(0.0, (now - self.since).total_seconds() / whole))

    def left(self, now: datetime) -> str:
        """The time that is left, in words; where no end is known, how long it has lasted."""
        if self.until is None:
            return f"for {in_words((now - self.since).total_seconds())}"
        seconds = (self.until - now).total_seconds()
        if self.firm:
            moment = f"{self.until:%H:%M:%S}Z"
            return f"{in_words(seconds)} left, until {moment}" if seconds >= 0 else f"the deadline {moment} has passed"
        late = seconds < -_PUNCTUAL
        return f"{in_words(-seconds)} longer than planned" if late else f"about {in_words(seconds)} left"


def in_words(seconds: float) -> str:
    """A time that passes or is left: `42 s`, `4 min 12 s`, `1 h 5 min`."""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def waiting(known: Known) -> Wait | None:
    """What the run in progress waits for; None where there is none, or it is between two steps."""
    run = known.run
    step = run.steps[-1] if run is not None and run.steps else None
    if run is None or step is None or step.ended is not None:
        return None
    make = _WAITS.get(step.name)
    return make(known, run, step) if make is not None else None


def _confirm(known: Known, _run: Run, step: StepRecord) -> Wait:
    confirm = known.foundation.remediation.confirm
    planned = timedelta(seconds=(confirm.attempts - 1) * confirm.interval)
    text = f"{confirm.attempts} attempts, {confirm.interval:g} s apart, from each ready api pod"
    return Wait(text, step.started, later(step.started, planned), firm=False)


def _evidence(_known: Known, _run: Run, step: StepRecord) -> Wait:
    return Wait("the pods' logs", step.started, later(step.started, timedelta(seconds=DEFAULT.evidence)))


def _approval(known: Known, run: Run, step: StepRecord) -> Wait:
    since = run.approval.requested if run.approval is not None else step.started
    until = later(since, timedelta(seconds=known.foundation.remediation.approval_timeout))
    return Wait(f"approve it: diego-runbook approve {run.id}", since, until)


def _restart(_known: Known, run: Run, step: StepRecord) -> Wait:
    done = sum(pod.state in _SETTLED for pod in run.pods)
    return Wait(f"{done} of {len(run.pods)} pods deleted" if run.pods else "the last checks", step.started)


def _ready(known: Known, run: Run, step: StepRecord) -> Wait:
    name = _awaited(run)
    component = known.view.components.get(name) if known.summary.fresh else None
    listed = tuple(pod for pod in run.pods if pod.statefulset == name)
    left = time_left(
        listed,
        one_after_another=bool(component and component.statefulset and component.statefulset.one_after_another),
        configured=known.foundation.remediation.await_ready.timeout,
        now=step.started,
    )
    return Wait(_progress(known, run, name, component), step.started, later(step.started, timedelta(seconds=left)))


def _awaited(run: Run) -> str:
    """The StatefulSet whose pods were deleted last."""
    intended = [(pod.intended_at, pod.statefulset) for pod in run.pods if pod.intended_at is not None]
    return max(intended, key=lambda each: each[0])[1] if intended else ""


def _progress(known: Known, run: Run, name: str, component: Component | None) -> str:
    """How many of the new pods are ready, and what is missing, in the words of the run's own wait."""
    if component is None or component.statefulset is None:
        return f"how many pods of {name} are ready is unknown"
    deleted = {pod.uid for pod in run.pods if pod.statefulset == name and pod.state in _SETTLED}
    ready = [pod for pod in component.ready if not pod.terminating and pod.uid not in deleted]
    counted = f"{len(ready)} of {component.desired} new pods ready"
    final = name == known.foundation.restart[-1]
    lack = lacking(known.view.components, name, deleted=deleted, foundation=known.foundation, final=final)
    if lack is None:
        return counted
    return f"{counted}; {': '.join(filter(None, (_LACKS.get(lack.reason, lack.reason), lack.place)))}"


def _verify(known: Known, _run: Run, step: StepRecord) -> Wait:
    verify = known.foundation.remediation.verify
    until = later(step.started, timedelta(seconds=verify.timeout))
    return Wait(f"reachable {verify.attempts} times in a row, from each ready api pod", step.started, until)


_WAITS = {
    Step.CONFIRM_UNREACHABLE: _confirm,
    Step.PRESERVE_EVIDENCE: _evidence,
    Step.AWAIT_APPROVAL: _approval,
    Step.RESTART: _restart,
    Step.AWAIT_READY: _ready,
    Step.VERIFY_REACHABLE: _verify,
}
