"""The invariants, judged from outside, by the history of the cluster after the incident: nothing can swallow them."""

from exporter.config.model import Foundation
from sandbox.simulation.history import Deleted, History
from sandbox.simulation.settings import VIEW_AGE
from webhook.record.journal import Journal, Outcome, PodState, Run

TOLERANCE = 0.5
"""Seconds that a request may be on its way after the last check."""


def judge(history: History, foundation: Foundation) -> list[str]:
    """Every violation, in words."""
    found: list[str] = []
    for deleted in history.deleted:
        found += _delete(deleted, history, foundation)
    found += _twice(history)
    found += _journals(history)
    return found


def _delete(deleted: Deleted, history: History, foundation: Foundation) -> list[str]:
    what = f"{deleted.by} deleted {deleted.name} {deleted.uid[:8]} at {deleted.at:.3f}"
    if not deleted.by.startswith(("replica", "cli")):
        return []
    run = _run_at(history, deleted)
    if run is None:
        return [f"{what} without an intent on record"]
    found = []
    first = min(pod.intended_at for pod in run.pods if pod.intended_at)
    created = history.created.get(deleted.uid)
    started = next(each.at for each in history.written if each.journal.find(run.id) is not None)
    if created is not None and created > started:
        found.append(f"{what}: a replacement, created at {created:.3f}; the run started at {started:.3f}, {first}")
    found += [f"{what}{text}" for text in (_proof(deleted, history, foundation), _allowed(deleted, history)) if text]
    return found


def _run_at(history: History, deleted: Deleted) -> Run | None:
    """The run that had recorded the intent when the pod was deleted."""
    for each in reversed([item for item in history.written if item.at <= deleted.at]):
        for run in reversed(each.journal.runs):
            if any(pod.uid == deleted.uid and pod.intended_at for pod in run.pods):
                return run
        return None
    return None


def _proof(deleted: Deleted, history: History, foundation: Foundation) -> str:
    """No success of any api pod since the proof began, and a whole proof within the window."""
    confirm = foundation.remediation.confirm
    window = confirm.attempts * confirm.interval + 10.0 + TOLERANCE
    failures = [each for each in history.asked if each.by == deleted.by and each.at <= deleted.sent and each.code]
    if not failures or deleted.sent - failures[-1].at > window:
        return ": the proof is too old, or there is none"
    rounds: list[float] = []
    for each in reversed(failures):
        if not rounds or rounds[-1] - each.at > confirm.interval / 2:
            rounds.append(each.at)
        if len(rounds) == confirm.attempts:
            break
    if len(rounds) < confirm.attempts:
        return f": only {len(rounds)} rounds of questions"
    successes = [each for each in history.asked if not each.code and rounds[-1] < each.at <= deleted.at]
    if successes:
        return f": {successes[-1].pod} reached the BBS at {successes[-1].at:.3f}"
    return ""


def _allowed(deleted: Deleted, history: History) -> str:
    """No pause was on record before the intent, no exclude annotation before the last view."""
    before: Journal | None = None
    for each in history.written:
        intent = any(
            pod.uid == deleted.uid and pod.state is PodState.INTENDED for run in each.journal.runs for pod in run.pods
        )
        if intent:
            if before is not None and before.paused is not None:
                return ": remediation was paused before the intent"
            break
        before = each.journal
    state = False
    for at, excluded in history.excluded:
        if at <= deleted.sent - VIEW_AGE - TOLERANCE:
            state = excluded
    return ": the StatefulSet was excluded before" if state else ""


def _twice(history: History) -> list[str]:
    uids = [each.uid for each in history.deleted]
    return [f"pod {uid[:8]} was deleted {uids.count(uid)} times" for uid in sorted(set(uids)) if uids.count(uid) > 1]


def _journals(history: History) -> list[str]:
    found = []
    deleted = {each.uid for each in history.deleted}
    epoch = 0
    for each in history.written:
        journal = each.journal
        if journal.epoch < epoch:
            found.append(f"the epoch went back from {epoch} to {journal.epoch} at {each.at:.3f}")
        epoch = max(epoch, journal.epoch)
        if sum(run.outcome is None for run in journal.runs) > 1:
            found.append(f"two runs are open at {each.at:.3f}")
    last = history.journal
    for run in last.runs if last is not None else ():
        if run.reason.startswith("internal-error"):
            found.append(f"run {run.id} ended with internal-error: {run.detail}")
        claimed = {pod.uid for pod in run.pods if pod.state is PodState.DELETED}
        if claimed - deleted - _gone(history):
            found.append(f"run {run.id} claims to have deleted pods that it has not")
        if run.outcome is Outcome.RECOVERED and not any(pod.uid in deleted for pod in run.pods):
            found.append(f"run {run.id} claims a recovery, and none of its pods was deleted")
    return found


def _gone(history: History) -> set[str]:
    """Pods that a person or a node took away: a run may find them terminating after its own intent."""
    return {each.uid for each in history.deleted if not each.by.startswith(("replica", "cli"))}
