"""How a journal changes: pure functions from a journal to a journal.

Each is safe to apply twice, since a write whose answer was lost is applied again.
"""

from datetime import datetime, timedelta

import msgspec

from webhook.record.journal import (
    MAX_TEXT,
    Disruption,
    Journal,
    Note,
    Pause,
    PodState,
    Request,
    Run,
    later,
)

MAX_NOTES = 20


def note(journal: Journal, text: str, now: datetime) -> Journal:
    """Adds a note; the same text again only raises its count."""
    text = text[:MAX_TEXT]
    notes = journal.notes
    if notes and notes[-1].text == text:
        notes = (*notes[:-1], Note(at=now, text=text, count=notes[-1].count + 1))
    else:
        notes = (*notes, Note(at=now, text=text))
    return msgspec.structs.replace(journal, notes=notes[-MAX_NOTES:])


def clamp(journal: Journal, now: datetime) -> Journal:
    """Ends in the future were written by a clock that is ahead of ours: they count as now, and waits end in time."""
    last = journal.runs[-1] if journal.runs else None
    if last is not None and last.ended is not None and last.ended > now:
        journal = update_run(journal, msgspec.structs.replace(last, ended=now))
    if any(item.ended is not None and item.ended > now for item in journal.disruptions):
        ends = tuple(
            msgspec.structs.replace(item, ended=min(item.ended, now)) if item.ended is not None else item
            for item in journal.disruptions
        )
        journal = msgspec.structs.replace(journal, disruptions=ends)
    return journal


def update_run(journal: Journal, run: Run) -> Journal:
    """Replaces the run of the same id."""
    return msgspec.structs.replace(journal, runs=tuple(run if run.id == old.id else old for old in journal.runs))


def end_run(
    journal: Journal,
    run: Run,
    *,
    breaker_runs: int,
    breaker_window: timedelta,
    wanted: Request | None = None,
    now: datetime,
) -> Journal:
    """Records an ended run. A disruptive one counts for the cooldown and the breaker, whatever its outcome.

    `wanted` is what the run leaves to be decided again; a newer request keeps its own alerts beside it.
    """
    journal = update_run(journal, run)
    disruptions = tuple(
        msgspec.structs.replace(item, ended=run.ended) if item.run == run.id else item for item in journal.disruptions
    )
    journal = msgspec.structs.replace(journal, disruptions=disruptions)
    if wanted is not None and journal.paused is None:
        newer = journal.request
        if newer is not None:
            wanted = msgspec.structs.replace(wanted, alerts=wanted.alerts | newer.alerts, person=newer.person)
        journal = msgspec.structs.replace(journal, request=wanted)
    # How long the last run took does not matter: a run is within the window if it started within it.
    started = next((item.started for item in disruptions if item.run == run.id), now)
    return trip(journal, runs=breaker_runs, since=later(started, -breaker_window), now=now)


def trip(journal: Journal, *, runs: int, since: datetime, now: datetime) -> Journal:
    """Opens the breaker where `runs` counted disruptive runs started at `since` or later. A person closes it."""
    counted = [item for item in journal.disruptions if item.counted and item.started >= since]
    if journal.breaker_opened or len(counted) < runs:
        return journal
    return note(msgspec.structs.replace(journal, breaker_opened=now), f"breaker opened after {len(counted)} runs", now)


def record_intent(journal: Journal, run: Run, pod_uid: str, *, window: timedelta, now: datetime) -> Journal:
    """Records that a delete of this pod is about to be sent; with the first one the run becomes disruptive."""
    if not any(item.run == run.id for item in journal.disruptions):
        kept = tuple(item for item in journal.disruptions if now - item.started <= window) or journal.disruptions[-1:]
        journal = msgspec.structs.replace(journal, disruptions=(*kept, Disruption(run=run.id, started=now)))
    pods = tuple(
        msgspec.structs.replace(pod, state=PodState.INTENDED, intended_at=pod.intended_at or now)
        if pod.uid == pod_uid
        else pod
        for pod in run.pods
    )
    return update_run(journal, msgspec.structs.replace(run, pods=pods))


def settle_pod(run: Run, *, uid: str, state: PodState) -> Run:
    """Records what became of the pod with this UID."""
    pods = tuple(msgspec.structs.replace(pod, state=state) if pod.uid == uid else pod for pod in run.pods)
    return msgspec.structs.replace(run, pods=pods)


def pause(journal: Journal, *, by: str, reason: str, now: datetime) -> Journal:
    paused = Pause(by=by, at=now, reason=reason[:MAX_TEXT])
    return note(msgspec.structs.replace(journal, paused=paused, request=None), f"paused by {by}: {reason}", now)


def resume(journal: Journal, *, by: str, now: datetime) -> Journal:
    """Ends the pause. Requests from before are not replayed: an alert that still fires is sent again."""
    return note(msgspec.structs.replace(journal, paused=None, request=None), f"resumed by {by}", now)


def reset(journal: Journal, *, by: str, now: datetime) -> Journal:
    """Closes the breaker. The runs on record are not counted any more; requests from before are not replayed.

    It works by what is on record and not by `now`: the clock of a person's machine may be wrong.
    """
    forgiven = tuple(
        msgspec.structs.replace(item, counted=False) if item.ended is not None else item for item in journal.disruptions
    )
    closed = msgspec.structs.replace(journal, breaker_opened=None, disruptions=forgiven, request=None)
    return note(closed, f"breaker reset by {by}", now)


def approve(journal: Journal, run_id: str, *, by: str, now: datetime) -> Journal:
    """Records who approved a run that waits for it. Raises LookupError where there is no such run to approve."""
    run = journal.find(run_id)
    if run is None or run.outcome is not None:
        raise LookupError(f"run {run_id} is not in progress")
    if run.approval is None:
        raise LookupError(f"run {run_id} does not wait for approval")
    if run.approval.at is not None:
        return journal
    approval = msgspec.structs.replace(run.approval, by=by, at=now)
    changed = update_run(journal, msgspec.structs.replace(run, approval=approval))
    return note(changed, f"run {run_id} approved by {by}", now)
