"""Stores on a cluster in memory, and changes of a journal that are easily told apart."""

from collections.abc import Callable

import msgspec

from exporter.kubernetes.api import ApiError, ConflictError
from tests.support.inprocess import JOURNAL, InProcessWriter
from tests.support.moments import at
from webhook.record.changes import note
from webhook.record.journal import Journal, Outcome, Run
from webhook.record.store import Store

CONFLICT = ConflictError(409, "Conflict", "the object has been modified")
FORBIDDEN = ApiError(403, "Forbidden", "configmaps is forbidden")


def a_store(writer: InProcessWriter, foundation: str = "cf") -> Store:
    return Store(name=JOURNAL, foundation=foundation, writer=writer)


def noting(text: str) -> Callable[[Journal], tuple[Journal, str]]:
    """A change: one more note, each with a text of its own."""
    return lambda journal: (note(journal, text, at(0)), text)


def texts(journal: Journal) -> list[str]:
    return [each.text for each in journal.notes]


def nothing(journal: Journal) -> tuple[Journal, int]:
    return journal, len(journal.notes)


def run(number: int) -> Run:
    return Run(
        id=f"cf-{number}",
        foundation="cf",
        runbook="restart-diego-api",
        mode="auto",
        started=at(number),
        outcome=Outcome.FAILED,
    )


def with_epoch(journal: Journal, epoch: int) -> Journal:
    return msgspec.structs.replace(journal, epoch=epoch)
