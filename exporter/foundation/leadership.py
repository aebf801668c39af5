"""Whether the leader changed: pure, by the active label, from one view to the next."""

from typing import Final

from exporter.config.model import Foundation
from exporter.foundation import assess
from exporter.foundation.view import FoundationView

NOBODY: Final = ""
"""In the place of the leader's UID: it is known that no pod leads."""


class Leadership:
    """Follows the leader of a foundation by what is known of it, and counts when it is lost.

    A change is that the one pod that was labelled active is known to be so no longer: another pod is, or none. So a
    failover is one change, whether or not the moment without a leader was seen, and so is a leader that loses its label
    and gets it back: Locket lost it for a moment. No change is: a first leader, one that comes after none, and what
    lies in between while it is unknown or two pods are labelled. A pod made anew under the same name is another pod.
    """

    def __init__(self) -> None:
        self._leader: str | None = None

    def changed(self, view: FoundationView, foundation: Foundation) -> bool:
        """Takes over what the view says, and tells whether the leader changed since the last view."""
        leader = _leader(view, foundation)
        if leader is None:
            return False
        before, self._leader = self._leader, leader
        return before not in (None, NOBODY, leader)


def _leader(view: FoundationView, foundation: Foundation) -> str | None:
    """The UID of the only pod labelled active, or `NOBODY`; None is unknown."""
    if not view.synced or assess.components(view, foundation.diego_api.statefulset) is None:
        return None
    match assess.leaders(view, foundation):
        case ():
            return NOBODY
        case (only,):
            return only.uid
        case _:
            return None
