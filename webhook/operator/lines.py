"""Lines for people, before it is known whether they are drawn in a terminal or printed in a pipe. Values only.

`kind` is a key of `SYMBOLS`, or empty. It chooses a symbol and a colour; the meaning is always in the words.
"""

from dataclasses import dataclass
from typing import Final

SYMBOLS: Final = {"good": "✓", "bad": "✕", "busy": "↻", "needs": "!", "unknown": "?"}
"""Those of the web pages (`exporter.serving.html`), which are not imported for this."""
PENDING: Final = "○"


@dataclass(frozen=True, slots=True)
class Line:
    """`lead` is kept apart from the text: further lines of a long text begin below the text.

    `tone` is empty, `strong` or `faint`. `share`: a bar of so much (0 to 1) stands before the text.
    """

    text: str
    lead: str = ""
    kind: str = ""
    tone: str = ""
    share: float | None = None
    most: int = 3
    """Rows that it may take; the rest is cut off."""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines that belong together. Where there is too little room, the highest `rank` goes first; 0 always stays.

    `short` is what stays of it in any case.
    """

    rank: int
    lines: tuple[Line, ...]
    short: tuple[Line, ...] = ()
