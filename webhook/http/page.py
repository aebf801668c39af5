"""The webhook's page: each foundation with what stands in its journal, and the last runs."""

from collections.abc import Iterable, Mapping
from html import escape

from exporter.clock import utc
from exporter.config.model import Foundation
from webhook.record.journal import Journal, Outcome, PodState, Run

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>diego-webhook</title>
<style>
body { font-family: system-ui, sans-serif; margin: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ccc; padding: .4rem .8rem; text-align: left; vertical-align: top; }
.good { color: #176c2e; } .bad { color: #b3261e; font-weight: bold; } .unknown { color: #6b5900; }
</style>
</head>
<body>
<h1>diego-webhook</h1>
<p><a href="metrics">Metrics</a> · <a href="api/v1/runs">runs</a> · <a href="-/healthy">healthy</a> ·
<a href="-/ready">ready</a></p>
"""
_LAST = 20


def render(foundations: Iterable[Foundation], journals: Mapping[str, Journal]) -> str:
    """The page. A foundation whose journal could not be read lately says so."""
    rows = "".join(_foundation(foundation, journals.get(foundation.name)) for foundation in foundations)
    runs = sorted((run for journal in journals.values() for run in journal.runs), key=lambda run: run.started)
    past = "".join(map(_run, reversed(runs[-_LAST:])))
    return (
        f"{_HEAD}<table><thead><tr><th>Foundation</th><th>Mode</th><th>State</th></tr></thead>\n<tbody>{rows}</tbody>"
        f"</table>\n<h2>Runs</h2>\n<table><thead><tr><th>Began</th><th>Run</th><th>Outcome</th><th>Reason</th>"
        f"<th>Asked by</th><th>Pods deleted</th></tr></thead>\n<tbody>{past}</tbody></table>\n</body>\n</html>\n"
    )


def _foundation(foundation: Foundation, journal: Journal | None) -> str:
    mode = foundation.remediation.mode or "not set"
    return f"<tr><td>{escape(foundation.name)}</td><td>{escape(mode)}</td>{_state(journal)}</tr>\n"


def _state(journal: Journal | None) -> str:
    if journal is None:
        return '<td class="unknown">the journal can&#x27;t be read</td>'
    said = []
    if journal.paused is not None:
        said.append(f"paused by {journal.paused.by}: {journal.paused.reason}")
    if journal.breaker_opened is not None:
        said.append(f"breaker open since {utc(journal.breaker_opened)}")
    if said:
        return f'<td class="bad">{escape("; ".join(said))}</td>'
    if journal.open_run is not None:
        return f"<td>run under way: {escape(journal.open_run.step or 'begins')}</td>"
    if journal.request is not None:
        return f"<td>a run is wanted, due {utc(journal.request.due)}</td>"
    return '<td class="good">watching</td>'


def _run(run: Run) -> str:
    good = run.outcome in {Outcome.RECOVERED, Outcome.NOT_NEEDED, Outcome.OBSERVED}
    shade = "" if run.outcome is None else "good" if good else "bad"
    gone = ", ".join(pod.name for pod in run.pods if pod.state is PodState.DELETED) or "none"
    link = f'<a href="api/v1/runs/{escape(run.id)}">{escape(run.id)}</a>'
    return (
        f'<tr><td>{utc(run.started)}</td><td>{link}</td><td class="{shade}">{escape(run.outcome or "under way")}</td>'
        f"<td>{escape(run.reason)}</td><td>{escape(run.requested_by)}</td><td>{escape(gone)}</td></tr>\n"
    )
