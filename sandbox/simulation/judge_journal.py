"""The invariants of what is on record: nothing vanishes, one run at a time, and nothing is claimed that is not true."""

from collections.abc import Iterator
from itertools import pairwise

from exporter.config.model import Foundation
from sandbox.simulation.history import Deleted, History, Written
from sandbox.simulation.replica import EPOCH
from sandbox.simulation.settings import TIMINGS
from webhook.record.journal import Journal, Outcome, PodState, Run

ACTORS = ("replica", "cli")
EVER = float("inf")
NO_NC = 127


def judge_journal(history: History, foundation: Foundation) -> list[str]:
    """Every violation, in words."""
    found = [*_epochs(history), *_lost(history), *_alerts(history)]
    for before, after in pairwise(history.written):
        if not after.created and not _between(history.reset, before.at, after.at):
            found += [f"{text} at {after.at:.3f}" for text in _vanished(before.journal, after.journal)]
    for ended, run in _ends(history):
        found += [f"run {run.id} {text}" for text in _claims(ended, run, history, foundation)]
    if not history.skewed and not history.reset and not history.lost:
        found += _pace(history, foundation)
    return found


def _between(moments: list[float], first: float, last: float) -> bool:
    return any(first <= moment <= last for moment in moments)


def _epochs(history: History) -> Iterator[str]:
    epoch = 0
    for each in history.written:
        if each.journal.epoch < epoch and not _stray(each):
            yield f"the epoch went back from {epoch} to {each.journal.epoch} at {each.at:.3f}"
        epoch = max(epoch, each.journal.epoch)
        if sum(run.outcome is None for run in each.journal.runs) > 1:
            yield f"two runs are open at {each.at:.3f}"


def _stray(written: Written) -> bool:
    """Whether it is a first journal, by a process whose look at the cluster may be old: nobody may go on with it."""
    return written.created and not written.journal.runs


def _lost(history: History) -> Iterator[str]:
    """After the journal was lost nobody writes to another one, before a person has reset it."""
    for each in history.written:
        lost = [at for at in history.lost if at < each.at]
        if lost and not _stray(each) and not _between(history.reset, lost[-1], each.at):
            yield f"{each.by} wrote to another journal at {each.at:.3f}; the journal was lost at {lost[-1]:.3f}"


def _alerts(history: History) -> Iterator[str]:
    """What was answered with a 2xx is on record: written meanwhile, queued, or a late duplicate of a `resolved`."""
    for alert in history.accepted:
        before = [each.journal for each in history.written if each.at <= alert.at]
        written = any(alert.sent <= each.at <= alert.at for each in history.written)
        # A clock that was set back may give a repeat the very moment that is on record already.
        queued = history.skewed and bool(before) and before[-1].request is not None
        known = any(journal.resolved for journal in before)
        if not written and not queued and (alert.status == 202 or not known):
            yield f"{alert.by} accepted an alert at {alert.at:.3f} with {alert.status} and recorded nothing"


def _vanished(before: Journal, after: Journal) -> Iterator[str]:
    """What was on record and is not any more, or not as it was."""
    if before.paused is not None and after.paused is None:
        yield "the pause vanished"
    for run in before.runs:
        now = after.find(run.id)
        if now is None:
            yield f"run {run.id} vanished"
            continue
        if run.outcome is not None and now.outcome is not run.outcome:
            yield f"the outcome of {run.id} changed from {run.outcome} to {now.outcome or 'open'}"
        states = {pod.uid: pod for pod in now.pods}
        for pod in run.pods:
            again = states.get(pod.uid)
            if pod.intended_at and (again is None or not again.intended_at):
                yield f"the intent for {pod.name} vanished"
            elif pod.settled and again is not None and not again.settled:
                yield f"what became of {pod.name} vanished"


def _ends(history: History) -> Iterator[tuple[Written, Run]]:
    """The end of each run, as it was first on record."""
    seen: set[str] = set()
    for each in history.written:
        for run in each.journal.runs:
            if run.outcome is not None and run.id not in seen:
                seen.add(run.id)
                yield each, run


def _claims(ended: Written, run: Run, history: History, foundation: Foundation) -> Iterator[str]:
    if run.reason.startswith("internal-error"):
        yield f"ended with internal-error: {run.detail}"
    yield from _pods(ended, run, history)
    if run.outcome is Outcome.RECOVERED and (text := _recovery(ended, run, history, foundation)):
        yield text


def _pods(ended: Written, run: Run, history: History) -> Iterator[str]:
    deleted = {each.uid: each.at for each in history.deleted if each.at <= ended.at}
    late = {each.uid: each.at for each in history.deleted if each.by.startswith(ACTORS) and _awaited(each, ended)}
    verified = run.outcome in {Outcome.RECOVERED, Outcome.NOT_NEEDED}
    for pod in run.pods:
        if pod.state is PodState.DELETED and pod.uid not in deleted:
            yield f"claims to have deleted {pod.name}, and it has not"
        if pod.state in {PodState.GONE, PodState.REPLACED} and history.removed.get(pod.uid, EVER) > ended.at:
            yield f"claims that {pod.name} is {pod.state}, and it was still there"
        if verified and pod.state is PodState.SPARED and pod.uid in late:
            yield f"claims to have spared {pod.name}, which was deleted at {late[pod.uid]:.3f}"


def _awaited(deleted: Deleted, ended: Written) -> bool:
    """Whether the run had to know of it. A process that is stopped in its request sends it later than anybody waits.

    Nothing fences that but the preconditions (docs/safety.md, what a delayed DELETE can still do).
    """
    in_time = deleted.at - deleted.sent <= TIMINGS.outstanding
    return deleted.at <= ended.at or (deleted.sent <= ended.at and in_time)


def _recovery(ended: Written, run: Run, history: History, foundation: Foundation) -> str:
    """`recovered`: a pod was restarted, and the last questions succeeded as often as the config demands."""
    verify = (history.config(ended.by, ended.sent) or foundation).remediation.verify
    deleted = {each.uid: each.at for each in history.deleted if each.at <= ended.at}
    restarts = [deleted[pod.uid] for pod in run.pods if pod.uid in deleted]
    if not restarts:
        return "claims a recovery, and none of its pods was deleted"
    rounds, last = 0, max(restarts)
    for asked in (each for each in history.asked if each.code != NO_NC and max(restarts) < each.at <= ended.at):
        if asked.at > last + verify.interval / 2 or not rounds:  # those of one round are close together
            rounds, last = (rounds + 1, asked.at) if not asked.code else (0, asked.at)
    if rounds < verify.attempts:
        return f"claims a recovery after {rounds} rounds of questions that succeeded"
    return ""


def _pace(history: History, foundation: Foundation) -> Iterator[str]:
    """The cooldown between two disruptive runs, and the breaker.

    A run may end long before that can be written, and its own time says when: the clocks are right here. That time is
    not believed where a pod was deleted later.
    """
    remediation = foundation.remediation
    opened: dict[str, float] = {}
    for each in history.written:
        for run in each.journal.runs:
            opened.setdefault(run.id, each.at)
    disruptive = [(opened[run.id], _stopped(end, run, history)) for end, run in _ends(history) if run.disruptive]
    for (_, ended_at), (opened_at, _) in pairwise(disruptive):
        if opened_at - ended_at < remediation.cooldown - 1.0:
            yield f"a run started at {opened_at:.3f}, {opened_at - ended_at:.1f} s after a restart: in the cooldown"
    if len(disruptive) > remediation.breaker.runs:
        yield f"{len(disruptive)} restarts, and the breaker opens after {remediation.breaker.runs}"


def _stopped(end: Written, run: Run, history: History) -> float:
    """When it ended, as it says; not before its last DELETE."""
    uids = {pod.uid for pod in run.pods}
    deletes = [each.at for each in history.deleted if each.uid in uids and each.at <= end.at]
    return max([*deletes, *([run.ended.timestamp() - EPOCH] if run.ended is not None else [])])
