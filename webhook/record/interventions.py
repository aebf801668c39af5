"""What a person does to a foundation's remediation: pause, resume, reset, approve. One way for all who offer it.

Each is on record with who did it, and returns the record's own sentence. They raise KubernetesError and JournalError.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from webhook.record import changes
from webhook.record.journal import Journal
from webhook.record.store import Store


async def pause(store: Store, *, by: str, reason: str, now: datetime) -> str:
    """From now on nothing is restarted; a run in progress deletes no further pod."""
    return await _record(store, partial(changes.pause, by=by, reason=reason, now=now))


async def resume(store: Store, *, by: str, now: datetime) -> str:
    """Ends the pause."""
    return await _record(store, partial(changes.resume, by=by, now=now))


async def reset(store: Store, *, by: str, now: datetime) -> str:
    """Closes the breaker; where the journal is lost, creates a new one."""
    replaced = await store.reset_lost()
    said = await _record(store, partial(changes.reset, by=by, now=now))
    return (
        f"{said}; the journal was lost and a new one is created, the old text is kept beside it" if replaced else said
    )


async def approve(store: Store, run_id: str, *, by: str, now: datetime) -> str:
    """Lets a run continue that waits for approval. Raises LookupError where there is no such run to approve."""
    return await _record(store, partial(changes.approve, run_id=run_id, by=by, now=now))


async def _record(store: Store, change: Callable[[Journal], Journal]) -> str:
    def apply(before: Journal) -> tuple[Journal, str]:
        after = change(before)
        return after, after.notes[-1].text if after.notes else "unchanged"

    return await store.update(apply)
