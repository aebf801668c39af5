"""The table of docs/safety.md: which mutation is caught by what."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutations.patches import ROOT, Mutation

COUNTED = 200
"""Random incidents that are always played."""
PAGE = ROOT / "docs" / "safety.md"
BEGIN, END = "<!-- mutations: begin -->\n", "<!-- mutations: end -->\n"
NOT_CAUGHT = "NOT CAUGHT"
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
        return f"{self.mutation.name}: {self.by or NOT_CAUGHT}{seeds}; {self.why}"

    @property
    def row(self) -> str:
        why = f": {self.mutation.unseen}" if self.mutation.unseen and not self.seeds else ""
        return f"| {title(self.mutation)} | {self.by or NOT_CAUGHT} | {self.seeds}{why} |\n"


def title(mutation: Mutation) -> str:
    """What the table calls it."""
    return mutation.reason.removesuffix(".") + (EARLIER if mutation.earlier else "")


def table(results: Sequence[Result]) -> str:
    head = f"| what is broken | what notices it | in how many of {COUNTED} seeds |\n| --- | --- | --- |\n"
    return head + "".join(result.row for result in results)


def write(results: Sequence[Result]) -> None:
    """Replaces the table on the page."""
    before, after = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
    PAGE.write_text(before + BEGIN + table(results) + END + after)


def rows() -> dict[str, str]:
    """What notices each mutation, as the page says it, by the mutation's title."""
    lines = PAGE.read_text().split(BEGIN)[1].split(END)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {mutation: by for mutation, by, _ in cells}
