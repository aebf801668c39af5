"""`diego-runbook report RUN`: a draft of a post-mortem, from what is on record and nothing else.

The facts are gathered first, and then printed: as Markdown, or as they are, for programs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from exporter.clock import utc
from webhook.record.journal import Outcome, PodState, Run
from webhook.status.progress import pod_words

_SYMPTOM = (
    "Users saw `cf push` fail with HTTP 503, CF-StagerUnavailable, code 170010, *Stager is unavailable: execution"
    " expired*. Running apps kept running."
)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened."""

    at: datetime
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPod:
    """A pod that the run was to delete, and what became of it, in words."""

    name: str
    uid: str
    state: PodState
    became: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a report of a run says; the fields of `report -o json`. What is None is not on record. Times are UTC."""

    foundation: str
    run: str
    written: datetime
    mode: str
    requested_by: str
    started: datetime
    ended: datetime | None
    seconds: float | None
    """From the start to the end."""
    step: str | None
    """Where a run is that has not ended."""
    outcome: Outcome | None
    reason: str
    cause: str | None
    """The sentence for the reason."""
    detail: str
    symptom: str | None
    """What users saw, where the BBS was proved unreachable."""
    proved_at: datetime | None
    timeline: tuple[Moment, ...]
    pods: tuple[ListedPod, ...]
    evidence: str | None
    not_known: tuple[str, ...]
    to_do: tuple[str, ...]


def facts(run: Run, *, now: datetime) -> Facts:
    """All that is on record of the run, in the order in which it happened."""
    return Facts(
        foundation=run.foundation,
        run=run.id,
        written=now,
        mode=run.mode,
        requested_by=run.requested_by,
        started=run.started,
        ended=run.ended,
        seconds=run.took,
        step=run.step if run.outcome is None else None,
        outcome=run.outcome,
        reason=run.reason,
        cause=run.cause.sentence if run.cause is not None else None,
        detail=run.detail,
        symptom=_SYMPTOM if run.proved_at is not None else None,
        proved_at=run.proved_at,
        timeline=tuple(sorted(_moments(run), key=lambda moment: moment.at)),
        pods=tuple(
            ListedPod(name=pod.name, uid=pod.uid, state=pod.state, became=pod_words(pod.state)) for pod in run.pods
        ),
        evidence=run.evidence or None,
        not_known=tuple(_not_known(run)),
        to_do=tuple(_to_do(run)),
    )


def postmortem(known: Facts) -> str:
    """The whole draft in Markdown. What a person must add is marked with TODO."""
    return "\n\n".join(
        [
            f"# Diego BBS of foundation {known.foundation}, {known.started:%Y-%m-%d}",
            f"Draft of {utc(known.written)}, from run `{known.run}`. Times are UTC.",
            _section("Summary", _summary(known)),
            _section("Time line", _timeline(known)),
            _section("Proof", _proof(known)),
            _section("Pods", _pods(known)),
            _section("Evidence", _evidence(known)),
            _section("What is not known", [f"- {text}" for text in known.not_known]),
            _section("To do", [f"- TODO {text}" for text in known.to_do]),
        ]
    )


def _moments(run: Run) -> Iterator[Moment]:
    for alert in run.alerts.values():
        yield Moment(alert.starts_at, f"alert {alert.alertname} starts, by the clock of its sender")
    yield Moment(run.started, f"run starts in mode {run.mode}, requested by {run.requested_by or 'unknown'}")
    for step in run.steps:
        yield Moment(step.started, f"step {step.name} starts")
        if step.ended is not None:
            yield Moment(step.ended, f"step {step.name}: {step.result}, {step.detail}".rstrip(", "))
    for pod in run.pods:
        if pod.intended_at:
            yield Moment(pod.intended_at, f"delete of {pod.name} on record, right before it is sent")
    if run.approval is not None:
        yield Moment(run.approval.requested, "a person's approval is requested")
        if run.approval.at is not None:
            yield Moment(run.approval.at, f"approved by {run.approval.by}")
    if run.ended is not None:
        yield Moment(run.ended, f"run ends: {run.outcome}")


def _not_known(run: Run) -> Iterator[str]:
    yield "Why the lock was lost. Locket's database is the usual cause; its log is not read."
    if run.alerts:
        yield "When users first noticed. The alert starts after the BBS was unreachable for a while."
    else:
        yield "When the BBS became unreachable. No alert is on record with this run."
    for pod in run.pods:
        if pod.state is PodState.INTENDED:
            yield f"What became of {pod.name}."
    if run.outcome is not Outcome.RECOVERED:
        yield "When and how the foundation was repaired. This run did not do it."


def _to_do(run: Run) -> Iterator[str]:
    yield "impact: number of failed `cf push`, affected users"
    yield "root cause"
    if run.outcome is not Outcome.RECOVERED:
        yield "what repaired it"
    yield "what prevents the next one"


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *lines])


def _summary(known: Facts) -> list[str]:
    lines = [known.symptom or "A run was requested; whether users noticed anything is not on record.", ""]
    if known.outcome is None:
        lines.append(f"The run has not ended. It is at the step {known.step or 'before the first'}.")
    else:
        took = f" after {known.seconds:.0f} s" if known.seconds is not None else ""
        lines.append(f"**The run ended as `{known.outcome}`{took}.** {known.detail}".rstrip())
    if known.cause is not None:
        lines.append(f"Reason `{known.reason}`: {known.cause}")
    return lines


def _timeline(known: Facts) -> list[str]:
    rows = [f"| {utc(moment.at)} | {_cell(moment.text)} |" for moment in known.timeline]
    return ["| time | what |", "| --- | --- |", *rows]


def _proof(known: Facts) -> list[str]:
    if known.proved_at is None:
        return ["The BBS was not proved unreachable."]
    at = utc(known.proved_at)
    return [
        f"At {at} the last attempt proved that the Cloud Controller's pods could not connect to the BBS. The step",
        "`confirm-unreachable` above has what they reported.",
    ]


def _pods(known: Facts) -> list[str]:
    if not known.pods:
        return ["No pod was to be deleted."]
    rows = [f"| {pod.name} | `{pod.uid}` | {pod.became} |" for pod in known.pods]
    return ["| pod | UID | what became of it |", "| --- | --- | --- |", *rows]


def _evidence(known: Facts) -> list[str]:
    if known.evidence is None:
        return ["No logs are on record with this run. The webhook's own log may have them, under the run's ID."]
    return ["The most telling lines of the pods' logs from before the restart:", "", *_fenced(known.evidence)]


def _fenced(text: str) -> list[str]:
    """As a code block that no line of the text can end."""
    longest = max((len(line) - len(line.lstrip("`")) for line in text.splitlines()), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *text.splitlines(), fence]


def _cell(text: str) -> str:
    """Text within a table: a log line or an alert's name must not break it."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
