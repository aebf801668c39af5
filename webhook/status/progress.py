"""A run for people: its steps in words, those to come included, its outcome, its pods."""

from dataclasses import dataclass
from datetime import datetime

from webhook.record.journal import Outcome, PodState, Run, Step, StepRecord, StepResult

STEPS = {
    Step.CHECK_CLOUD_CONTROLLER: "Check that the Cloud Controller's api pods are ready",
    Step.CONFIRM_UNREACHABLE: "Prove from inside the api pods that the BBS is unreachable",
    Step.PRESERVE_EVIDENCE: "Save the logs of the pods to be deleted",
    Step.AWAIT_APPROVAL: "Wait for a person to approve",
    Step.RESTART: "Restart the pods",
    Step.AWAIT_READY: "Wait until the new pods are ready",
    Step.VERIFY_REACHABLE: "Verify that the BBS is reachable",
}
_RESULTS = {
    None: ("now", "busy", "in progress"),
    StepResult.OK: ("done", "good", "ok"),
    StepResult.STOPPED: ("done", "unknown", "ended the run here"),
    StepResult.FAILED: ("done", "bad", "failed"),
    StepResult.INTERRUPTED: ("done", "needs", "interrupted: its process ended"),
}
_KINDS = {
    None: "busy",
    Outcome.RECOVERED: "good",
    Outcome.NOT_NEEDED: "good",
    Outcome.OBSERVED: "unknown",
    Outcome.UNPROVEN: "unknown",
    Outcome.REFUSED: "needs",
    Outcome.CANCELLED: "unknown",
    Outcome.FAILED: "bad",
}
_PODS = {
    PodState.LISTED: "on the list, not deleted",
    PodState.INTENDED: "a delete may have been sent",
    PodState.DELETED: "deleted by this run",
    PodState.GONE: "did not exist any more",
    PodState.REPLACED: "was replaced by another pod before",
    PodState.SPARED: "spared: the BBS was reachable by then, or a person stopped the run",
}


@dataclass(frozen=True, slots=True)
class StepLine:
    """`state` is `done`, `now` or `pending`; `took` is in seconds."""

    what: str
    state: str
    kind: str
    result: str
    detail: str = ""
    started: datetime | None = None
    took: float | None = None


def step_lines(run: Run) -> tuple[StepLine, ...]:
    """The steps on record; and, while the run is in progress, those to come."""
    return (*map(step_line, run.steps), *(_to_come(run) if run.outcome is None else ()))


def step_line(step: StepRecord) -> StepLine:
    """A step on record."""
    state, kind, result = _RESULTS[step.result]
    return StepLine(STEPS[step.name], state, kind, result, step.detail, step.started, step.took)


def _to_come(run: Run) -> tuple[StepLine, ...]:
    plan = [step for step in Step if step is not Step.AWAIT_APPROVAL or run.mode == "approve" or run.approval]
    done = max((plan.index(step.name) for step in run.steps if step.name in plan), default=-1)
    return tuple(StepLine(STEPS[step], "pending", "", "not yet") for step in plan[done + 1 :])


def run_kind(run: Run) -> str:
    return "needs" if run.awaits_approval else _KINDS[run.outcome]


def run_word(run: Run) -> str:
    return "waits for approval" if run.awaits_approval else run.outcome or "in progress"


def run_sentence(run: Run) -> str:
    """How it ended and why, or what it does now."""
    if run.awaits_approval:
        return "The BBS is proved unreachable; the run waits for a person to approve the restart."
    if run.outcome is None:
        return f"{STEPS[run.step]}." if run.step else "The run starts."
    if run.outcome is Outcome.RECOVERED:
        said = run.detail or "restarted, and every check passed"
        return f"{said[0].upper()}{said[1:]}."
    return run.cause.sentence if run.cause is not None else run.detail or run.reason


def pod_words(state: PodState) -> str:
    return _PODS[state]
