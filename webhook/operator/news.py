"""A foundation as a log: a plain line for each thing that has changed, for a pipe or a file. No I/O."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from exporter.clock import utc
from exporter.foundation.summary import API
from webhook.operator.run_report import outcome_line
from webhook.operator.screen import LISTENS, you
from webhook.operator.sight import Sight
from webhook.record.journal import Journal, Run, StepRecord
from webhook.status.headline import headline

_LIVE = "live again"


class News:
    """What was said of one foundation, and so what is new."""

    def __init__(self) -> None:
        self._said = {"live": _LIVE}
        self._runs: dict[str, str] = {}
        self._notes: datetime | None = None
        self._begun = False

    def lines(self, sight: Sight) -> list[str]:
        """What has changed since the last call; at the first, how it is. Each with the time and the foundation."""
        told = [*self._changed(_state(sight)), *self._record(sight.known.journal)]
        return [f"{utc(sight.known.now)}  {sight.known.foundation.name}: {text}" for text in told]

    def _changed(self, now: Mapping[str, str | None]) -> Iterable[str]:
        """The new texts, and what is no more. None: it is not known whether that is still so; nothing is said."""
        for topic, text in now.items():
            if text is not None and self._said.get(topic) != text:
                self._said[topic] = text
                yield text
        unknown = {topic for topic, text in now.items() if text is None}
        for topic in [each for each in self._said if each not in now]:
            if topic.partition(" ")[0] not in unknown:
                del self._said[topic]
                yield f"{topic} is gone"

    def _record(self, journal: Journal | None) -> Iterable[str]:
        """What the journal has that it had not; at the first call the last run, and nothing that was before."""
        if journal is None:
            return
        old = {run.id for run in journal.runs if run.outcome is not None} if not self._begun else set()
        if not self._begun:
            last = next((run for run in reversed(journal.runs) if run.outcome is not None), None)
            yield (
                f"last run {last.id}, started {utc(last.started)}: {outcome_line(last)}"
                if last
                else "no run has ended yet"
            )
            self._notes = journal.notes[-1].at if journal.notes else None
            self._begun = True
        for run in journal.runs:
            said = _run(run)
            if run.id in old:
                self._runs |= said
            yield from self._news_of(said)
        self._runs = {key: text for key, text in self._runs.items() if journal.find(key.partition(" ")[0])}
        for note in journal.notes:
            if self._notes is None or note.at > self._notes:
                yield f"on record: {note.text}" + (f" ({note.count} times)" if note.count > 1 else "")
        self._notes = journal.notes[-1].at if journal.notes else self._notes

    def _news_of(self, said: Mapping[str, str]) -> Iterable[str]:
        for key, text in said.items():
            if self._runs.get(key) != text:
                self._runs[key] = text
                yield text


def _state(sight: Sight) -> dict[str, str | None]:
    """What is so now, by its topic. Ages are not in it: they change without news."""
    known = sight.known
    head = headline(known)
    lost = (
        f"NOTHING KNOWN of pods and journal: {sight.trouble}."
        if sight.never
        else f"NOT LIVE: {sight.trouble}. What was said until now may have changed."
    )
    found: dict[str, str | None] = {"live": _LIVE if sight.live else lost}
    found |= {
        "state": f"{head.word}. {head.broken}",
        "repair": f"repair: {head.repair}",
        "you": f"you: {you(sight, head)}",
    }
    request = known.journal.request if known.journal is not None else None
    if request is not None:
        found["request"] = f"requested: a run, by {request.by or 'unknown'}; decided at {utc(request.due)}"
    # Whether the API server is in sync is said already.
    found |= {f"fact {fact.name}": f"{fact.name}: {fact.text}" for fact in known.summary.facts if fact.name != API}
    if known.journal is None:
        found["request"] = None
    if not known.summary.fresh:
        return found | {"finding": None, "pod": None}
    found |= {f"finding {each.name}": f"finding {each.name}: {each.text}" for each in known.summary.findings}
    for pod in known.summary.pods:
        label = "labelled active" if pod.label == "active" else "not labelled active"
        found[f"pod {pod.name}"] = f"pod {pod.name}: {pod.state}, {label}, {LISTENS[pod.listens]}"
    return found


def _run(run: Run) -> dict[str, str]:
    """A run's news, by keys that begin with its ID."""
    said = {f"{run.id} begun": f"run {run.id} started {utc(run.started)}, requested by {run.requested_by or 'unknown'}"}
    for step in run.steps:  # by its start: of a run that is resumed again and again the first steps are dropped
        said[f"{run.id} {step.started.isoformat()}"] = f"run {run.id}: {step.name} {_how(step)}"
    if run.outcome is not None:
        said[f"{run.id} ended"] = f"run {run.id} ended: {outcome_line(run)}"
    return said


def _how(step: StepRecord) -> str:
    if step.result is None:
        return "in progress"
    took = f" after {step.took:.0f} s" if step.took is not None else ""
    return f"{step.result}{took}" + (f": {step.detail}" if step.detail else "")
