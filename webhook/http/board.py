"""What the pages show, in pieces, of which a browser that listens gets those that changed.

A piece is rendered again when something behind it changed, and once in a while because of its age: once for all who
look at it.
"""

from collections.abc import Hashable, Mapping

from exporter.clock import Clock, utc_now
from exporter.foundation.view import FoundationView
from exporter.kubernetes.api import KubernetesError
from webhook.http.pieces import Pieces, Viewer, foundation_pieces, overview_piece, runs_piece
from webhook.medic.medic import Medic
from webhook.medic.medics import Medics
from webhook.record.errors import JournalError, JournalLostError
from webhook.record.journal import Journal, Run
from webhook.status.known import Known
from webhook.status.watch import Watch

REFRESH = 5.0
"""Seconds after which a piece is rendered again although nothing happened: what it shows has become older."""


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
        return None if isinstance(medic.unreadable, JournalError) else self._medics.journal(name)

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
        everything = [self.known(name) for name in self.names()]
        pieces = overview_piece(everything)
        for known in everything:
            pieces |= self._foundation(known, viewer)
        runs = [run for known in everything if known.journal is not None for run in known.journal.runs]
        return pieces | runs_piece(runs, now=utc_now(self._clock), several=len(everything) > 1)

    def _foundation(self, known: Known, viewer: Viewer) -> Pieces:
        name = known.foundation.name
        key, wanted = self._key(name), (name, viewer)
        kept = self._rendered.get(wanted)
        if kept is not None and kept[0] == key:
            return kept[1]
        watch = self._watches.get(name)
        pieces = foundation_pieces(known, watch.history.spans if watch is not None else (), viewer)
        if len(self._rendered) > 8 * len(self.names()) + 100:  # of foundations that are not in the config any more
            self._rendered.clear()
        self._rendered[wanted] = (key, pieces)
        return pieces


def reason(error: KubernetesError | JournalError | TimeoutError) -> str:
    """Why something could not be recorded, for a person."""
    return str(error) or "the API server did not answer in time"
