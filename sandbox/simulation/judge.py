"""The invariants, judged from outside, by the history of the cluster after the incident: nothing can swallow them.

Here: whether each pod was rightly deleted. What the journal records and claims is judged in `judge_journal`.
"""

from exporter.config.model import Foundation
from sandbox.simulation.history import Asked, Deleted, History, Written
from sandbox.simulation.judge_journal import judge_journal
from sandbox.simulation.settings import VIEW_AGE
from webhook.record.journal import PodState, Run

TOLERANCE = 0.5
"""Seconds that a request may be on its way after the last check."""


def judge(history: History, foundation: Foundation) -> list[str]:
    """Every violation, in words."""
    found: list[str] = []
    for deleted in history.deleted:
        if deleted.by.startswith(("replica", "cli")):
            what = f"{deleted.by} deleted {deleted.name} {deleted.uid[:8]} at {deleted.at:.3f}"
            found += [what + text for text in _delete(deleted, history) if text]
    found += _twice(history)
    return found + judge_journal(history, foundation)


def _delete(deleted: Deleted, history: History) -> list[str]:
    run, foundation = _run_at(history, deleted), history.config(deleted.by, deleted.sent)
    if run is None:
        return [" without an intent on record"]
    if foundation is None:
        return [" without a config"]
    return [
        _replacement(deleted, history, run),
        _changed(deleted, history),
        _proof(deleted, history, foundation),
        _lease(deleted, history),
        _mode(foundation, run),
        _people(deleted, history),
        _excluded(deleted, history),
    ]


def _run_at(history: History, deleted: Deleted) -> Run | None:
    """The run that had recorded the intent when the DELETE was sent."""
    for each in reversed([item for item in history.written if item.at <= deleted.sent]):
        for run in reversed(each.journal.runs):
            if any(pod.uid == deleted.uid and pod.intended_at for pod in run.pods):
                return run
    return None


def _replacement(deleted: Deleted, history: History, run: Run) -> str:
    created = history.created.get(deleted.uid)
    journals = ((each.at, each.journal.find(run.id)) for each in history.written)
    listed = next(at for at, found in journals if found is not None and found.pods)
    if created is not None and created > listed:
        return f": a replacement, created at {created:.3f}; the pods were listed at {listed:.3f}"
    return ""


def _changed(deleted: Deleted, history: History) -> str:
    """The pod had not changed since the process last read it: that is what its resourceVersion is for."""
    changed, component = history.changed.get(deleted.uid, 0.0), deleted.name.rpartition("-")[0]
    read = [
        at
        for at, by, selector in history.listed
        if by == deleted.by and at <= deleted.sent and selector.endswith(f"={component}")
    ]
    if not read or changed > read[-1]:
        return f": it had changed at {changed:.3f}; the process read it at {read[-1] if read else 0:.3f}"
    return ""


def _proof(deleted: Deleted, history: History, foundation: Foundation) -> str:
    """No success of any api pod since the proof began, and a whole proof within the window, when the DELETE was sent.

    What is on its way cannot be called back; then the pod must not have changed since (`_changed`).
    """
    confirm = foundation.remediation.confirm
    window = confirm.attempts * confirm.interval + 10.0 + TOLERANCE
    failures = [each for each in history.asked if each.by == deleted.by and each.at <= deleted.sent and each.code == 1]
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
    successes = [each for each in history.asked if rounds[-1] < each.at and forbids(each, deleted, window=window)]
    if successes:
        return f": {successes[-1].pod} reached the BBS at {successes[-1].at:.3f}"
    return ""


def forbids(asked: Asked, deleted: Deleted, *, window: float) -> bool:
    """Whether the answer forbids the DELETE: a success before it was sent, less than `window` seconds ago.

    The process that deletes must remember its own for as long as its proof goes back. What another process has heard,
    nobody could tell it: that counts where the pod that goes was reached, or longer ago than a view may be old.
    """
    if asked.code or asked.at > deleted.sent:
        return False
    if asked.by == deleted.by:
        return True
    ago = deleted.sent - asked.at
    return ago < window and (deleted.uid in asked.serving or ago > VIEW_AGE + TOLERANCE)


def _lease(deleted: Deleted, history: History) -> str:
    """The process that sends a DELETE is the holder of the lease, as the cluster has it at that time."""
    holders = [holder for at, holder in history.holders if at <= deleted.sent]
    if not holders or not holders[-1].startswith(f"{deleted.by}-"):
        return f": the lease was held by {holders[-1] if holders else 'nobody'}"
    return ""


def _mode(foundation: Foundation, run: Run) -> str:
    """The mode of the run and that of the process's config permit it; in mode `approve` a person has approved."""
    remediation = foundation.remediation
    if "observe" in {remediation.mode, run.mode}:
        return f": the mode of the run is {run.mode}, that of the config {remediation.mode}"
    approved = run.approval is not None and run.approval.at is not None
    if "approve" in {remediation.mode, run.mode} and not approved:
        return ": nobody has approved it"
    return f": one of {len(run.pods)}, more than max_pods" if len(run.pods) > remediation.max_pods else ""


def _people(deleted: Deleted, history: History) -> str:
    """Nothing forbade the intent when it was recorded: no pause, and no alerts that were all resolved by then."""
    before: Written | None = None
    for each in history.written:
        if each.at > deleted.sent:
            break
        run = next((run for run in each.journal.runs if _intends(run, deleted.uid)), None)
        if run is None:
            before = each
            continue
        earlier = before.journal.find(run.id) if before is not None else None
        if before is not None and before.journal.paused is not None:
            return ": remediation was paused before the intent"
        # One write may record both that an alert fires again and the intent.
        if earlier is not None and earlier.withdrawn and run.withdrawn and not earlier.disruptive:
            return ": every alert was resolved before the intent"
        break
    started = max((at for at in history.reset if at < deleted.sent), default=0.0)  # a new journal knows of no pause
    paused = [each.at for each in history.written if each.journal.paused is not None and each.at > started]
    if paused and paused[0] < deleted.sent - VIEW_AGE - TOLERANCE:
        return f": remediation was paused at {paused[0]:.3f}"
    return ""


def _intends(run: Run, uid: str) -> bool:
    return any(pod.uid == uid and pod.state is PodState.INTENDED for pod in run.pods)


def _excluded(deleted: Deleted, history: History) -> str:
    """No exclude annotation when the process last read the StatefulSet, which was right before."""
    looked = [at for at, by in history.looked if by == deleted.by and at <= deleted.sent]
    if not looked or looked[-1] < deleted.sent - VIEW_AGE - TOLERANCE:
        return ": the guards have not looked at the StatefulSet"
    return ": the StatefulSet was excluded before" if any(at < looked[-1] for at in history.excluded) else ""


def _twice(history: History) -> list[str]:
    uids = [each.uid for each in history.deleted]
    return [f"pod {uid[:8]} was deleted {uids.count(uid)} times" for uid in sorted(set(uids)) if uids.count(uid) > 1]
