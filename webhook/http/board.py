"""What the pages show, in pieces: elements with an id, of which a browser that listens gets those that changed.

A piece is rendered again when something behind it changed, and once in a while because of its age: once for all who
look at it.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from exporter.clock import Clock, utc_now
from exporter.foundation.view import FoundationView
from exporter.kubernetes.api import KubernetesError
from webhook.http.rendering import render
from webhook.medic.medic import Medic
from webhook.medic.medics import Medics
from webhook.record.advice import next_look
from webhook.record.errors import JournalError, JournalLostError
from webhook.record.journal import Journal, Run
from webhook.status.headline import headline
from webhook.status.known import Known
from webhook.status.progress import step_lines
from webhook.status.timeline import Zoom, timeline
from webhook.status.watch import Watch

REFRESH = 5.0
"""Seconds after which a piece is rendered again although nothing happened: what it shows has become older."""
RUNS_SHOWN = 30

Pieces = dict[str, str]
"""HTML by the id of its element, in the order of the page."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """For whom pieces are rendered: whether it may act, and which window of the time line it wants."""

    may_act: bool
    zoom: Zoom


class Board:
    """The pieces of all pages, from the medics and the watches of the config in force."""

    def __init__(self, *, medics: Medics, watches: Mapping[str, Watch], clock: Clock) -> None:
        self._medics = medics
        self._watches = watches
        self._clock = clock
        self._rendered: dict[Hashable, tuple[Hashable, Pieces]] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(self._medics.by_foundation)

    def known(self, name: str) -> Known:
        """All that is known of a foundation now. Raises KeyError."""
        medic, watch = self._medics.by_foundation[name], self._watches.get(name)
        error = watch.observer.error if watch is not None else None
        return Known(
            foundation=medic.foundation,
            view=watch.observer.view if watch is not None else FoundationView(),
            now=utc_now(self._clock),
            journal=self._journal(name, medic),
            trouble="" if medic.unreadable is None else str(medic.unreadable),
            lost=isinstance(medic.unreadable, JournalLostError),
            error=str(error or ""),
            waits_for=medic.waits_for,
        )

    def _journal(self, name: str, medic: Medic) -> Journal | None:
        """The journal; one that is lost or another's is not known, whatever was read before."""
        return None if isinstance(medic.unreadable, JournalError) else self._medics.journals().get(name)

    def find(self, run_id: str) -> tuple[Known, Run] | None:
        for name in self.names():
            known = self.known(name)
            run = known.journal.find(run_id) if known.journal is not None else None
            if run is not None:
                return known, run
        return None

    def key(self) -> Hashable:
        """Changes whenever something happened, and every `REFRESH` seconds."""
        return tuple(self._key(name) for name in self.names())

    def _key(self, name: str) -> Hashable:
        medic, watch = self._medics.by_foundation[name], self._watches.get(name)
        return (
            name,
            medic.store.changed.count,
            str(medic.unreadable),
            medic.waits_for,
            watch.observer.version if watch is not None else 0,
            self._clock.now() // REFRESH,
        )

    def overview(self, viewer: Viewer) -> Pieces:
        """The pieces of the page of all foundations."""
        names = self.names()
        heads = [(name, headline(self.known(name))) for name in names]
        order = {kind: rank for rank, kind in enumerate(("bad", "needs", "busy", "unknown", "good"))}
        heads.sort(key=lambda each: order[each[1].kind])
        pieces = {"overview": render("overview.html", heads=heads)}
        for name in names:
            pieces |= self._foundation(name, viewer)
        return pieces | self._runs()

    def _foundation(self, name: str, viewer: Viewer) -> Pieces:
        key, wanted = self._key(name), (name, viewer)
        kept = self._rendered.get(wanted)
        if kept is not None and kept[0] == key:
            return kept[1]
        known = self.known(name)
        run = known.run
        values = {
            "known": known,
            "now": known.now,
            "name": name,
            "run": run,
            "steps": step_lines(run) if run is not None else (),
            "head": headline(known),
            "may_act": viewer.may_act,
            "line": self._timeline(name, known, viewer.zoom),
        }
        pieces = {f"{piece}-{name}": render(f"{piece}.html", **values) for piece in ("state", "timeline", "evidence")}
        if len(self._rendered) > 8 * len(self.names()) + 100:  # of foundations that are not in the config any more
            self._rendered.clear()
        self._rendered[wanted] = (key, pieces)
        return pieces

    def _timeline(self, name: str, known: Known, zoom: Zoom) -> object:
        watch = self._watches.get(name)
        spans = watch.history.spans if watch is not None else ()
        runs = known.journal.runs if known.journal is not None else ()
        return timeline(spans, runs, now=known.now.timestamp(), zoom=zoom)

    def _runs(self) -> Pieces:
        found = [self.known(name).journal for name in self.names()]
        runs = sorted((run for journal in found if journal is not None for run in journal.runs), key=_started)
        shown = runs[::-1][:RUNS_SHOWN]
        return {"runs": render("runs.html", runs=shown, now=utc_now(self._clock), several=len(found) > 1)}

    def run(self, known: Known, run: Run, viewer: Viewer) -> Pieces:
        """The pieces of the page of one run."""
        values = {
            "known": known,
            "now": known.now,
            "run": run,
            "steps": step_lines(run),
            "next": next_look(run),
            "may_act": viewer.may_act,
        }
        return {piece: render(f"{piece}.html", **values) for piece in ("run-state", "run-steps", "run-pods")}


def _started(run: Run) -> float:
    return run.started.timestamp()


def reason(error: KubernetesError | JournalError | TimeoutError) -> str:
    """Why something could not be recorded, for a person."""
    return str(error) or "the API server did not answer in time"
