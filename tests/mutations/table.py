"""The table of docs/safety.md: which mutation is caught by what."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutations.patches import ROOT, Mutation

COUNTED = 200
"""Random incidents that are always played."""
PAGE = ROOT / "docs" / "safety.md"
BEGIN, END = "<!-- mutations: begin -->\n", "<!-- mutations: end -->\n"
EARLIER = "¹"
"""Marks a defect that an early version really had."""


@dataclass(frozen=True, slots=True)
class Result:
    """What caught a mutation; `by` is empty where nothing did."""

    mutation: Mutation
    by: str = ""
    seeds: int = 0
    """In how many of the first `COUNTED` random incidents."""
    why: str = ""
    """The first violation, or the test that failed."""

    def __str__(self) -> str:
        seeds = f" in {self.seeds} of {COUNTED} seeds" if self.seeds else ""
        return f"{self.mutation.name}: {self.by or 'NOT CAUGHT'}{seeds}; {self.why}"

    @property
    def row(self) -> str:
        mark = EARLIER if self.mutation.earlier else ""
        why = f": {self.mutation.unseen}" if self.mutation.unseen and not self.seeds else ""
        return f"| {self.mutation.reason.removesuffix('.')}{mark} | {self.by or 'NOT CAUGHT'} | {self.seeds}{why} |\n"


def table(results: Sequence[Result]) -> str:
    head = f"| what is broken | what notices it | in how many of {COUNTED} seeds |\n| --- | --- | --- |\n"
    return head + "".join(result.row for result in results)


def write(results: Sequence[Result]) -> None:
    """Replaces the table on the page."""
    before, after = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
    PAGE.write_text(before + BEGIN + table(results) + END + after)
