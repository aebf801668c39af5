"""Changes of a journal that are written together: each caller gets its own result, or its own refusal."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from webhook.record.errors import FencedError
from webhook.record.journal import Journal

R = TypeVar("R")
Change = Callable[[Journal], tuple[Journal, R]]


def apply(
    batch: list[tuple[Change[object], asyncio.Future[object]]], journal: Journal
) -> tuple[Journal, list[tuple[asyncio.Future[object], object, Exception | None]]]:
    """All changes of a batch, one on top of the other. One that refuses fails its own caller, nobody else's."""
    results: list[tuple[asyncio.Future[object], object, Exception | None]] = []
    for change, future in batch:
        if future.done():
            continue
        try:
            journal, result = change(journal)
            results.append((future, result, None))
        except Exception as error:  # noqa: BLE001 - it is told to its caller
            results.append((future, None, error))
    return journal, results


def fenced(change: Change[R], epoch: int | None) -> Change[R]:
    def guarded(journal: Journal) -> tuple[Journal, R]:
        if epoch is None:
            return change(journal)
        if journal.epoch > epoch:
            raise FencedError(f"epoch {journal.epoch} has taken over from {epoch}")
        return change(journal if journal.epoch == epoch else msgspec.structs.replace(journal, epoch=epoch))

    return guarded


def claimed(epoch: int) -> Change[None]:
    """Marks the journal as this holder's. Raises FencedError where it is not the first with this epoch.

    Where somebody deletes the Lease twice in a moment, two processes may get the same epoch: one of them may act.
    """

    def claim(journal: Journal) -> tuple[Journal, None]:
        if journal.epoch >= epoch:
            raise FencedError(f"epoch {journal.epoch} is on record, so {epoch} is not new")
        return msgspec.structs.replace(journal, epoch=epoch), None

    return claim


def fail(future: asyncio.Future[object], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
