"""The pieces of the pages: elements with an id, each rendered from values. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from webhook.http.rendering import render
from webhook.record.advice import next_look
from webhook.record.journal import Run
from webhook.status.headline import headline
from webhook.status.history import Span
from webhook.status.known import Known
from webhook.status.progress import step_lines
from webhook.status.timeline import Zoom, timeline

RUNS_SHOWN = 30
_TROUBLE_FIRST = ("bad", "needs", "busy", "unknown", "good")

Pieces = dict[str, str]
"""HTML by the id of its element, in the order of the page."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """For whom pieces are rendered: whether it may act, and which window of the time line it wants."""

    may_act: bool
    zoom: Zoom


def overview_piece(all_known: Iterable[Known]) -> Pieces:
    """All foundations in a line each, trouble first; for one alone only what is read aloud."""
    heads = [(known.foundation.name, headline(known)) for known in all_known]
    heads.sort(key=lambda each: _TROUBLE_FIRST.index(each[1].kind))
    return {"overview": render("overview.html", heads=heads)}


def foundation_pieces(known: Known, spans: Sequence[Span], viewer: Viewer) -> Pieces:
    """State, time line and evidence of one foundation."""
    name, run = known.foundation.name, known.run
    runs = known.journal.runs if known.journal is not None else ()
    values = {
        "known": known,
        "now": known.now,
        "name": name,
        "run": run,
        "steps": step_lines(run) if run is not None else (),
        "head": headline(known),
        "may_act": viewer.may_act,
        "line": timeline(spans, runs, now=known.now.timestamp(), zoom=viewer.zoom),
    }
    return {f"{piece}-{name}": render(f"{piece}.html", **values) for piece in ("state", "timeline", "evidence")}


def runs_piece(runs: Iterable[Run], *, now: datetime, several: bool) -> Pieces:
    """The newest runs of all foundations; `several`: they are of more than one."""
    newest = sorted(runs, key=lambda run: run.started, reverse=True)[:RUNS_SHOWN]
    return {"runs": render("runs.html", runs=newest, now=now, several=several)}


def run_pieces(known: Known, run: Run, viewer: Viewer) -> Pieces:
    """The page of one run."""
    values = {
        "known": known,
        "now": known.now,
        "run": run,
        "steps": step_lines(run),
        "next": next_look(run),
        "may_act": viewer.may_act,
    }
    return {piece: render(f"{piece}.html", **values) for piece in ("run-state", "run-steps", "run-pods")}
