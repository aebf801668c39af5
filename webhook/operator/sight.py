"""What the command line knows of a foundation while it watches, and how old that is. A value only."""

from dataclasses import dataclass

from exporter.clock import ago
from webhook.status.known import Known

SILENCE = 5.0
"""Seconds without a read of the journal after which what is shown counts as old, also where no call has failed yet."""


@dataclass(frozen=True, slots=True)
class Sight:
    """`journal_at` is when the journal was last read (Unix time; None: never). `tried`: everything was asked once.

    `denied`: the API server answers, but does not let us read the journal. Then that is unknown, and the rest is live.
    `skew` is by how many seconds this machine's clock is ahead of the API server's, where that is too much.
    """

    known: Known
    journal_at: float | None = None
    tried: bool = True
    denied: bool = False
    skew: float = 0.0

    @property
    def live(self) -> bool:
        """Whether this is how it is now, as far as the API server tells."""
        read = self.journal_at is not None and self._age(self.journal_at) <= SILENCE
        return self.tried and not self.known.error and (read or self.denied)

    @property
    def empty(self) -> bool:
        """Whether nothing of what the API server tells can be shown: it never told, or that was too long ago."""
        return self.known.journal is None and not self.known.summary.fresh

    @property
    def never(self) -> bool:
        """Whether the API server has told nothing since the start."""
        return self.journal_at is None and self.known.view.synced_at is None

    @property
    def trouble(self) -> str:
        """Why it may be old."""
        return self.known.error or self.known.trouble or "the API server does not answer"

    @property
    def pods_as_of(self) -> str:
        """How old what Kubernetes said is. What is older than `staleness` is not known any more."""
        return self._as_of(self.known.view.synced_at if self.known.summary.fresh else None)

    @property
    def journal_as_of(self) -> str:
        return self._as_of(self.journal_at if self.known.journal is not None else None)

    def _as_of(self, moment: float | None) -> str:
        return "unknown" if moment is None else f"as of {ago(self._age(moment))}"

    def _age(self, moment: float) -> float:
        return max(0.0, self.known.now.timestamp() - moment)
