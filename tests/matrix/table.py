"""Which cells there are."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tests.matrix.cell import Cell
from tests.matrix.faults import FAULTS
from tests.matrix.points import POINTS

_FIRST = ("intent", "delete", "between", "confirm-wait", "await-wait", "verify-wait", "end", "restart")
"""Crash points that are played before the others: around a DELETE, and during the waits."""

CELLS = tuple(Cell(point, fault) for fault in FAULTS for point in POINTS if fault.applies(point))


def chosen(patterns: Sequence[str]) -> list[Cell]:
    """The cells whose key fits one of the patterns, e.g. `stopped/*`; all where there is none.

    Raises ValueError where a pattern fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(cell.key, pattern) for cell in CELLS):
            raise ValueError(f"no cell is called {pattern}")
    cells = [cell for cell in CELLS if not patterns or any(fnmatchcase(cell.key, pattern) for pattern in patterns)]
    return sorted(cells, key=lambda cell: _FIRST.index(cell.point.key) if cell.point.key in _FIRST else len(_FIRST))
