"""A foundation's state, by three questions: is it broken, is it being repaired, what must I do.

`kind` is a key of `exporter.serving.html.SYMBOLS`. Text in backticks is a command or a name.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from exporter.clock import utc
from exporter.foundation.summary import sentence
from webhook.record.advice import next_look
from webhook.record.journal import Journal, Outcome, Run, later
from webhook.requests.decision import cooldown_end
from webhook.status.known import Known
from webhook.status.progress import STEPS

_WATCH = "Nothing now: wait for the end of the run."


@dataclass(frozen=True, slots=True)
class Headline:
    """`word` names the state; the three sentences answer the three questions."""

    kind: str
    word: str
    broken: str
    repair: str
    you: str


def headline(known: Known) -> Headline:
    """The most important thing first: what waits for a person, what is being done, what is broken."""
    kind, word = _judged(known)
    return Headline(kind=kind, word=word, broken=sentence(known.reachable), repair=_repair(known), you=_you(known))


def _judged(known: Known) -> tuple[str, str]:
    run, journal = known.run, known.journal
    if run is not None and run.awaits_approval:
        return "needs", "waits for approval"
    if run is not None:
        return "busy", "being repaired" if run.proved_at is not None else "being checked"
    if known.reachable is False:
        return "bad", "broken"
    if journal is None:
        return ("needs", "journal lost") if known.lost else ("unknown", "journal not readable")
    if known.reachable is None:
        return "unknown", "unknown"
    if journal.paused is not None:
        return "needs", "paused"
    if journal.breaker_opened is not None:
        return "needs", "breaker open"
    if not known.summary.fresh:
        return "unknown", "reachable, the rest unknown"
    return ("needs", "degraded") if known.summary.findings else ("good", "healthy")


def _repair(known: Known) -> str:
    journal, run = known.journal, known.run
    if journal is None:
        why = known.trouble or "the journal was not read yet"
        refused = known.decides or known.lost
        return f"Every request is refused: {why}." if refused else f"It is unknown whether a run is in progress: {why}."
    if run is not None and run.approval is not None and run.approval.at is None:
        until = later(run.approval.requested, timedelta(seconds=known.foundation.remediation.approval_timeout))
        return f"A run has proved it from the Cloud Controller and waits for approval until {utc(until)}."
    if run is not None:
        doing = STEPS[run.step] if run.step is not None else "It starts"
        return f"A run is in progress: {doing[0].lower()}{doing[1:]}."
    return _hindered(journal) or _idle(known, journal)


def _hindered(journal: Journal) -> str:
    if journal.paused is not None:
        paused = journal.paused
        return f"Nothing is restarted: paused by {paused.by} since {utc(paused.at)}: {paused.reason}"
    if journal.breaker_opened is not None:
        return (
            f"Nothing is restarted: the breaker is open since {utc(journal.breaker_opened)}, after too many restarts."
        )
    return ""


def _idle(known: Known, journal: Journal) -> str:
    mode = known.foundation.remediation.mode
    request = journal.request
    if request is not None:
        why = f" ({request.waiting_for})" if request.waiting_for else ""
        return f"A run is requested and is decided at {utc(request.due)}{why}."
    if mode is None or mode == "observe":
        return "Nothing is restarted: in mode `observe` a run only reports what it would delete."
    cooled = cooldown_end(journal, known.foundation)
    if cooled is not None and known.now < cooled:
        return f"No run is in progress; after the last restart none starts before {utc(cooled)} (cooldown)."
    asks = ", after a person has approved" if mode == "approve" else ""
    return f"An alert starts a run{asks}; none is in progress (mode `{mode}`)."


def _you(known: Known) -> str:
    name, journal, run = known.foundation.name, known.journal, known.run
    if run is not None and run.awaits_approval:
        return "Approve the run, or let it expire: then nothing is deleted."
    if run is not None:
        return _WATCH
    if journal is None:
        return _without_journal(known)
    broken = known.reachable is False
    if journal.paused is not None:
        return (
            f"Resume, or restart by hand: `diego-runbook explain {name}`."
            if broken
            else "Resume when the work is done."
        )
    if journal.breaker_opened is not None:
        return "Find out why restarts do not help: see the last runs. Then reset the breaker."
    if broken:
        return _broken(known, known.last_run)
    if known.reachable is None or not known.summary.fresh:
        return f"Run `diego-runbook check {name}`: it also asks from inside the Cloud Controller."
    if known.summary.findings:
        return f"Look at what is found here; `diego-runbook check {name}` has the details."
    last = known.last_run
    if last is not None and last.outcome is Outcome.FAILED:
        return f"The last run failed. {next_look(last)}"
    return "Nothing to do."


def _without_journal(known: Known) -> str:
    name = known.foundation.name
    if known.lost:
        return "Find out who removed or replaced the journal, and make sure that no run is under way. Then reset."
    return f"Look at the API server; `diego-runbook check {name}` names what is missing."


def _broken(known: Known, last: Run | None) -> str:
    name, mode = known.foundation.name, known.foundation.remediation.mode
    if last is not None and _recent(last, known.now) and last.outcome not in {Outcome.RECOVERED, Outcome.NOT_NEEDED}:
        return f"See the last run ({last.outcome}). {next_look(last)}"
    if mode is None or mode == "observe":
        return f"Restart by hand: `diego-runbook explain {name}` has the commands."
    return f"Wait for the alert, which takes a minute; or `diego-runbook run {name}`."


def _recent(run: Run, now: datetime) -> bool:
    return run.ended is not None and now - run.ended <= timedelta(hours=1)
