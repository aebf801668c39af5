"""What `watch` and `run` show in a terminal, as lines of text with their kinds: pure, and without a terminal."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from exporter.clock import ago, utc
from exporter.foundation.summary import API, Fact
from webhook.operator.kubectl import kubectl
from webhook.operator.lines import PENDING, SYMBOLS, Line, Section
from webhook.operator.run_report import outcome_line
from webhook.operator.sight import Sight
from webhook.record.advice import next_look
from webhook.record.journal import Run, StepRecord
from webhook.status.headline import Headline, headline
from webhook.status.known import Known
from webhook.status.progress import StepLine, run_kind, run_sentence, run_word, step_line, step_lines
from webhook.status.waits import in_words, waiting

LISTENS: Final = {
    "accepts": "accepts connections",
    "does not accept": "does not accept connections",
    "has no address": "has no address",
    "unknown": "whether it accepts connections is unknown",
}
RUNS_SHOWN = 3
NOTES_SHOWN = 3
_TROUBLE_FIRST = ("bad", "needs", "busy", "unknown", "good")
_REACHED = {True: "good", False: "bad", None: "unknown"}
_LABEL = 8


def screen(sights: Sequence[Sight]) -> list[Section]:
    """All foundations, trouble first. Of several, those that are healthy have a line each."""
    heads = [(sight, headline(sight.known)) for sight in sights]
    if len(heads) == 1:
        return foundation(*heads[0], alone=True)
    heads.sort(key=lambda each: _TROUBLE_FIRST.index(each[1].kind))
    return [
        section
        for sight, head in heads
        for section in (
            [Section(0, (_state(sight, head),))]
            if head.kind == "good" and sight.live
            else foundation(sight, head, alone=False)
        )
    ]


def foundation(sight: Sight, head: Headline, *, alone: bool) -> list[Section]:
    """One foundation: its state, the run in progress, what is wrong, how it is known, what was done before."""
    known = sight.known
    lost = () if sight.live else (Line(not_live(sight), "  ? ", "unknown", "strong"),)
    answers = (Line(head.repair, _label("Repair")), Line(you(sight, head), _label("You"), tone="strong"))
    sections = [Section(0, (_state(sight, head), *lost, *answers, *_requested(known))), *run_sections(sight)]
    sections.append(Section(2, tuple(_findings(sight))))
    sections.append(Section(3, tuple(_pods(sight))))
    sections.append(Section(5, tuple(_facts(sight))))
    if alone and known.journal is not None:
        ended = [run for run in known.journal.runs if run.outcome is not None]
        sections.append(Section(4, tuple(_runs(known, ended[: -RUNS_SHOWN - 1 : -1]))))
        notes = known.journal.notes[: -NOTES_SHOWN - 1 : -1]
        texts = ((note.text + (f" ({note.count} times)" if note.count > 1 else ""), note.at) for note in notes)
        recorded = [Line(f"{text}, {when(at, known.now)}", "    ", tone="faint") for text, at in texts]
        sections.append(Section(6, (Line("  On record without a run", tone="faint"), *recorded) if recorded else ()))
    return [section for section in sections if section.lines]


def you(sight: Sight, head: Headline) -> str:
    """What a person does: find out first why nothing newer is known."""
    if not sight.tried or sight.live:
        return head.you
    settings = sight.known.foundation
    asked = kubectl(settings, f"get pod -n {settings.namespace}")
    return f"Does the cluster answer? `{asked}`. `diego-runbook check {settings.name}` names what is missing."


def not_live(sight: Sight) -> str:
    """Why this may be old and how old it is, or why nothing is known."""
    if not sight.tried:
        return "Asking the API server …"
    if sight.never:
        return f"NOTHING KNOWN of pods and journal, trying again: {sight.trouble}."
    return f"NOT LIVE, trying again: {sight.trouble}. Pods: {sight.pods_as_of}; journal: {sight.journal_as_of}."


def run_sections(sight: Sight) -> list[Section]:
    """The run in progress with its steps, those to come included."""
    known, run = sight.known, sight.known.run
    if run is None:
        return []
    since = in_words((known.now - run.started).total_seconds())
    last = "" if sight.live else f" ({sight.journal_as_of})"
    title = Line(f"Run {run.id}, for {since}, requested by {run.requested_by or 'unknown'}{last}", "  ")
    steps = [(step.state, tuple(step_on_screen(step, known))) for step in step_lines(run)]
    now = [line for state, lines in steps if state == "now" for line in lines]
    return [Section(1, (title, *(line for _, lines in steps for line in lines)), short=(title, *now))]


def left_to_do(sight: Sight, done: Collection[datetime]) -> list[Section]:
    """What `run` shows below the steps that it has printed: those in progress and to come, and the pods.

    `done` are the beginnings of the steps that are printed.
    """
    known, run = sight.known, sight.known.run
    lost = (Line(not_live(sight), "? ", "unknown", "strong"),) if sight.tried and not sight.live else ()
    steps = [step for step in step_lines(run) if step.started not in done] if run is not None else []
    begins = (Line("The run has not begun yet.", f"{SYMBOLS['busy']} ", "busy"),) if run is None and not done else ()
    return [
        Section(0, (*lost, *begins, *(line for step in steps for line in step_on_screen(step, known, indent="")))),
        Section(1, tuple(_pods(sight)) if run is not None and run.disruptive else ()),
    ]


def step_on_screen(step: StepLine, known: Known, *, indent: str = "    ") -> Iterable[Line]:
    """A step; the one in progress with what is awaited and until when."""
    took = f", {in_words(step.took)}" if step.took is not None else ""
    result = "" if step.state == "pending" else f": {step.result}{took}"
    tone = {"pending": "faint", "now": "strong"}.get(step.state, "")
    yield Line(f"{step.what}{result}", f"{indent}{SYMBOLS.get(step.kind, PENDING)} ", step.kind, tone)
    wait = waiting(known) if step.state == "now" else None
    if wait is not None and wait.until is None:
        yield Line(f"{wait.text}, {wait.left(known.now)}", f"{indent}  ")
    elif wait is not None:
        yield Line(wait.left(known.now), f"{indent}  ", "busy", share=wait.share(known.now))
        yield Line(wait.text, f"{indent}  ")
    if step.detail:
        most = 1 if step.kind == "good" else 3
        yield Line(step.detail, f"{indent}  ", tone="faint", most=most)


def step_printed(step: StepRecord) -> Section:
    """A step that has ended, whole."""
    line = step_line(step)
    lead = f"{SYMBOLS.get(line.kind, PENDING)} "
    took = f", {in_words(line.took)}" if line.took is not None else ""
    said = [Line(f"{step.started:%H:%M:%S}Z  {line.what}: {line.result}{took}", lead, line.kind)]
    detail = [Line(line.detail, "  ", tone="faint", most=10)] if line.detail else []
    return Section(0, (*said, *detail))


def end_printed(run: Run) -> Section:
    """How a run ended, and what a person does next."""
    kind = run_kind(run)
    ended = Line(outcome_line(run), f"{SYMBOLS[kind]} ", kind, "strong", most=10)
    return Section(0, (ended, Line(next_look(run), "  Next  "), Line(f"diego-runbook show {run.id}", "  More  ")))


def _state(sight: Sight, head: Headline) -> Line:
    """What is not live is never shown as if it were."""
    kind, last = (
        (head.kind, "") if sight.live else ("unknown", "LAST KNOWN: " if sight.tried and not sight.empty else "")
    )
    lead = f"{SYMBOLS[kind]} {sight.known.foundation.name} "
    return Line(f"{last}{head.word.upper()}. {head.broken}", lead, kind, "strong")


def _requested(known: Known) -> Iterable[Line]:
    request = known.journal.request if known.journal is not None else None
    if request is not None:
        why = f", because of the {request.waiting_for}" if request.waiting_for else ""
        text = f"a run, by {request.by or 'unknown'}; decided at {utc(request.due)}{why}"
        yield Line(text, _label("Wanted"), "needs")


def _label(word: str) -> str:
    return f"  {word:<{_LABEL}}"


def _findings(sight: Sight) -> Iterable[Line]:
    found = sight.known.summary.findings
    if found and not sight.live:
        yield Line(f"  Found {sight.pods_as_of}:", kind="unknown", tone="strong")
    for each in found:
        yield Line(f"{each.name}: {each.text}", "  ! ", "needs", "" if sight.live else "faint")


def _pods(sight: Sight) -> Iterable[Line]:
    pods = sight.known.summary.pods
    width, states = max((len(pod.name) for pod in pods), default=0), max((len(pod.state) for pod in pods), default=0)
    if pods and not sight.live:
        yield Line(f"  Pods {sight.pods_as_of}:", kind="unknown", tone="strong")
    for pod in pods:
        label = "labelled active    " if pod.label == "active" else "not labelled active"
        lead = f"  {SYMBOLS[pod.state_kind]} {pod.name:<{width}}  "
        tone = "" if sight.live else "faint"
        yield Line(f"{pod.state:<{states}}  {label}  {LISTENS[pod.listens]}", lead, pod.state_kind, tone)


def _facts(sight: Sight) -> Iterable[Line]:
    known = sight.known
    asked = known.asked
    if asked is not None:
        text = f"{asked.text or 'not answered yet'} (run {asked.run})"
        kind = _REACHED[asked.reachable]
        yield _fact(Fact("BBS, asked from the Cloud Controller", text, kind, asked.at.timestamp()), known.now)
    for fact in known.summary.facts:
        lost = fact.name == API and not known.view.synced and fact.at is not None
        yield _fact(replace(fact, text="", name=f"{API}, last in sync") if lost else fact, known.now)
    if sight.skew:
        text = f"this machine's differs by {sight.skew:+.0f} s from the API server's, which is used here"
        yield _fact(Fact("Clock", text, "needs"), known.now)


def _fact(fact: Fact, now: datetime) -> Line:
    """The age stands before what may be cut off."""
    said = f": {fact.text}" if fact.text else ""
    age = "" if fact.at is None else f"{',' if said else ''} {ago(now.timestamp() - fact.at)}"
    return Line(f"{fact.name}{age}{said}", f"  {SYMBOLS.get(fact.kind, ' ')} ", fact.kind, "faint", most=2)


def _runs(known: Known, runs: Sequence[Run]) -> Iterable[Line]:
    if not runs:
        yield Line("  No run has ended yet.", tone="faint")
        return
    yield Line("  Last runs", tone="faint")
    for run in runs:
        took = f", took {in_words(run.took)}" if run.took is not None else ""
        text = f"{run_word(run)}{took}, {when(run.started, known.now)}: {run_sentence(run)} {run.id}"
        yield Line(text, f"    {SYMBOLS[run_kind(run)]} ", run_kind(run))


def when(moment: datetime, now: datetime) -> str:
    """How long ago, and when."""
    return f"{ago((now - moment).total_seconds())} ({utc(moment.astimezone(UTC))})"
