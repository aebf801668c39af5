"""What `history`, `show` and `run` print of runs, as lines of plain text. Pure."""

from exporter.clock import utc
from webhook.operator.next_step import after_run
from webhook.record.journal import Journal, Run, StepRecord


def summary(run: Run) -> str:
    """A run in a line."""
    outcome = run.outcome or f"in progress ({run.step or 'starting'})"
    reason = f" ({run.reason})" if run.reason else ""
    return f"{run.id}: {outcome}{reason}"


def history_lines(journal: Journal) -> list[str]:
    """The runs, newest first, and what was decided or said without a run."""
    lines = [
        f"{utc(run.started)}  {_took(run):>7}  {summary(run)}  requested by {run.requested_by or 'unknown'}"
        for run in reversed(journal.runs)
    ] or [f"no runs of {journal.foundation} yet"]
    if journal.notes:
        lines += ["", "without a run:"]
        for item in reversed(journal.notes):
            times = f" ({item.count} times)" if item.count > 1 else ""
            lines.append(f"{utc(item.at)}  {item.text}{times}")
    return lines


def run_lines(run: Run) -> list[str]:
    """A run, whole."""
    lines = [
        f"run {run.id} on foundation {run.foundation}, mode {run.mode}, requested by {run.requested_by or 'unknown'}",
        f"started {utc(run.started)}, " + (f"ended {utc(run.ended)} ({_took(run)})" if run.ended else "not ended"),
        "",
    ]
    lines += [step_line(step) for step in run.steps]
    lines += [f"  pod {pod.name} {pod.uid}: {pod.state}" for pod in run.pods]
    lines += ["", outcome_line(run), f"next: {after_run(run)}"]
    if run.evidence:
        lines += ["", "evidence:", run.evidence]
    return lines


def step_line(step: StepRecord) -> str:
    took = f"{step.took:.0f} s" if step.took is not None else ""
    return f"{step.started:%H:%M:%S}  {step.name:<23} {step.result or '…':<11} {took:>6}  {step.detail}".rstrip()


def outcome_line(run: Run) -> str:
    if run.outcome is None:
        return f"in progress: {run.step or 'starting'}"
    reason = f" ({run.reason})" if run.reason else ""
    return f"{run.outcome}{reason}: {run.detail}" if run.detail else f"{run.outcome}{reason}"


def _took(run: Run) -> str:
    return f"{run.took:.0f} s" if run.took is not None else "…"
