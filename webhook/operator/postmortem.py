"""`diego-runbook report RUN`: a draft of a post-mortem in Markdown, from what is on record and nothing else."""

from collections.abc import Iterable
from datetime import datetime

from exporter.clock import utc
from webhook.record.journal import Outcome, PodState, Run
from webhook.status.progress import pod_words

_SYMPTOM = (
    "Users saw `cf push` fail with HTTP 503, CF-StagerUnavailable, code 170010, *Stager is unavailable: execution"
    " expired*. Running apps kept running."
)


def postmortem(run: Run, *, now: datetime) -> str:
    """The whole draft. What a person must add is marked with TODO."""
    return "\n\n".join(
        [
            f"# Diego BBS of foundation {run.foundation}, {run.started:%Y-%m-%d}",
            f"Draft of {utc(now)}, from run `{run.id}`. Times are UTC.",
            _summary(run),
            _section("Time line", _timeline(run)),
            _section("Proof", _proof(run)),
            _section("Pods", _pods(run)),
            _section("Evidence", _evidence(run)),
            _section("What is not known", _unknown(run)),
            _section("To do", _todo(run)),
        ]
    )


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *lines])


def _summary(run: Run) -> str:
    lines = [_SYMPTOM if run.proved_at else "A run was requested; whether users noticed anything is not on record.", ""]
    if run.outcome is None:
        lines.append(f"The run has not ended. It is at the step {run.step or 'before the first'}.")
    else:
        took = f" after {run.took:.0f} s" if run.took is not None else ""
        lines.append(f"**The run ended as `{run.outcome}`{took}.** {run.detail}".rstrip())
    if run.cause is not None:
        lines.append(f"Reason `{run.reason}`: {run.cause.sentence}")
    return _section("Summary", lines)


def _timeline(run: Run) -> list[str]:
    moments: list[tuple[datetime, str]] = [
        (alert.starts_at, f"alert {alert.alertname} starts, by the clock of its sender")
        for alert in run.alerts.values()
    ]
    moments.append((run.started, f"run starts in mode {run.mode}, requested by {run.requested_by or 'unknown'}"))
    for step in run.steps:
        moments.append((step.started, f"step {step.name} starts"))
        if step.ended is not None:
            moments.append((step.ended, f"step {step.name}: {step.result}, {step.detail}".rstrip(", ")))
    moments += [
        (pod.intended_at, f"delete of {pod.name} on record, right before it is sent")
        for pod in run.pods
        if pod.intended_at
    ]
    if run.approval is not None:
        moments.append((run.approval.requested, "a person's approval is requested"))
        if run.approval.at is not None:
            moments.append((run.approval.at, f"approved by {run.approval.by}"))
    if run.ended is not None:
        moments.append((run.ended, f"run ends: {run.outcome}"))
    return ["| time | what |", "| --- | --- |"] + [
        f"| {utc(at)} | {_cell(text)} |" for at, text in sorted(moments, key=lambda moment: moment[0])
    ]


def _proof(run: Run) -> list[str]:
    if run.proved_at is None:
        return ["The BBS was not proved unreachable."]
    at = utc(run.proved_at)
    return [
        f"At {at} the last attempt proved that the Cloud Controller's pods could not connect to the BBS. The step",
        "`confirm-unreachable` above has what they reported.",
    ]


def _pods(run: Run) -> list[str]:
    if not run.pods:
        return ["No pod was to be deleted."]
    rows = [f"| {pod.name} | `{pod.uid}` | {pod_words(pod.state)} |" for pod in run.pods]
    return ["| pod | UID | what became of it |", "| --- | --- | --- |", *rows]


def _evidence(run: Run) -> list[str]:
    if not run.evidence:
        return ["No logs are on record with this run. The webhook's own log may have them, under the run's ID."]
    return ["The most telling lines of the pods' logs from before the restart:", "", *_fenced(run.evidence)]


def _unknown(run: Run) -> list[str]:
    lines = ["- Why the lock was lost. Locket's database is the usual cause; its log is not read."]
    if run.alerts:
        lines.append("- When users first noticed. The alert starts after the BBS was unreachable for a while.")
    else:
        lines.append("- When the BBS became unreachable. No alert is on record with this run.")
    lines += [f"- What became of {pod.name}." for pod in run.pods if pod.state is PodState.INTENDED]
    if run.outcome is not Outcome.RECOVERED:
        lines.append("- When and how the foundation was repaired. This run did not do it.")
    return lines


def _todo(run: Run) -> list[str]:
    lines = ["- TODO impact: number of failed `cf push`, affected users", "- TODO root cause"]
    if run.outcome is not Outcome.RECOVERED:
        lines.append("- TODO what repaired it")
    return [*lines, "- TODO what prevents the next one"]


def _fenced(text: str) -> list[str]:
    """As a code block that no line of the text can end."""
    longest = max((len(line) - len(line.lstrip("`")) for line in text.splitlines()), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *text.splitlines(), fence]


def _cell(text: str) -> str:
    """Text within a table: a log line or an alert's name must not break it."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
