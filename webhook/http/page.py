"""The webhook's page: each foundation as its journal has it, and the last runs."""

from collections.abc import Iterable, Mapping
from html import escape

from exporter.clock import utc
from exporter.config.model import Foundation
from exporter.serving.html import cell, document, table
from webhook.record.journal import Journal, Outcome, PodState, Run

_LAST = 20


_FOUNDATIONS = ("Foundation", "Mode", "State")
_RUNS = ("Started", "Run", "Outcome", "Reason", "Requested by", "Pods deleted")


def render(foundations: Iterable[Foundation], journals: Mapping[str, Journal]) -> str:
    """The page. A foundation whose journal could not be read lately is shown as such."""
    states = table(_FOUNDATIONS, (_foundation(each, journals.get(each.name)) for each in foundations))
    runs = sorted((run for journal in journals.values() for run in journal.runs), key=lambda run: run.started)
    past = table(_RUNS, map(_run, reversed(runs[-_LAST:])))
    return document("diego-webhook", f"{states}<h2>Runs</h2>\n{past}", links={"runs": "api/v1/runs"})


def _foundation(foundation: Foundation, journal: Journal | None) -> tuple[str, ...]:
    return cell(foundation.name), cell(foundation.remediation.mode or "not set"), _state(journal)


def _state(journal: Journal | None) -> str:
    if journal is None:
        return cell("the journal cannot be read", "unknown")
    said = []
    if journal.paused is not None:
        said.append(f"paused by {journal.paused.by}: {journal.paused.reason}")
    if journal.breaker_opened is not None:
        said.append(f"breaker open since {utc(journal.breaker_opened)}")
    if said:
        return cell("; ".join(said), "bad")
    if journal.open_run is not None:
        return cell(f"run in progress: {journal.open_run.step or 'starting'}")
    if journal.request is not None:
        return cell(f"request queued until {utc(journal.request.due)}")
    return cell("watching", "good")


def _run(run: Run) -> tuple[str, ...]:
    good = run.outcome in {Outcome.RECOVERED, Outcome.NOT_NEEDED, Outcome.OBSERVED}
    kind = "" if run.outcome is None else "good" if good else "bad"
    deleted = ", ".join(pod.name for pod in run.pods if pod.state is PodState.DELETED) or "none"
    link = f'<td><a href="api/v1/runs/{escape(run.id)}">{escape(run.id)}</a></td>'
    outcome = cell(run.outcome or "in progress", kind)
    return cell(utc(run.started)), link, outcome, cell(run.reason), cell(run.requested_by), cell(deleted)
