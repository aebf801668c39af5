"""Whether a cell broke a promise: judged by the API server's audit log and the journal, and not by what a program says.

Pure: audit events in, sentences out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.matrix.points import Json
from tests.support.audit import JOURNAL, Event

_RESTARTED = {"deleted", "gone", "replaced"}


@dataclass(frozen=True, slots=True)
class Deleted:
    """A DELETE that the API server accepted: of which pod, and the process that sent it."""

    pod: str
    uid: str
    by: str
    at: str


def deletions(events: Iterable[Event]) -> list[Deleted]:
    """Every pod's DELETE that was accepted, in their order."""
    return [
        Deleted(
            pod=event["objectRef"].get("name", ""),
            uid=((event.get("requestObject") or {}).get("preconditions") or {}).get("uid", ""),
            by=event["userAgent"],
            at=event["requestReceivedTimestamp"],
        )
        for event in events
        if event["verb"] in {"delete", "deletecollection"}
        and event["objectRef"]["resource"] == "pods"
        and event["responseStatus"]["code"] in {200, 202}
    ]


def broken(events: Sequence[Event], *, originals: Mapping[str, str], runs: Sequence[Json]) -> list[str]:
    """The promises that were broken. `events`: what the webhooks asked for; `originals`: the UIDs of the pods by name.

    `runs`: the runs of the journal at the end.
    """
    return [
        *_only_originals(deletions(events), originals),
        *_intended(events),
        *_one_run(events),
        *_ended(runs),
        *_told(deletions(events), runs),
    ]


def _only_originals(deleted: Sequence[Deleted], originals: Mapping[str, str]) -> Iterator[str]:
    seen: set[str] = set()
    for each in deleted:
        if not each.uid:
            yield f"{each.pod} was deleted by {each.by} without its UID as precondition"
        elif originals.get(each.pod) != each.uid:
            yield f"{each.by} deleted {each.pod} {each.uid}, which is a replacement"
        if each.uid in seen:
            yield f"{each.pod} {each.uid} was deleted twice, at last by {each.by}"
        seen.add(each.uid)


def _intended(events: Sequence[Event]) -> Iterator[str]:
    """The intent of each DELETE is on record before it, by a write of the same process, or of one before it."""
    journals = list(_journals(events))
    for each in deletions(events):
        if not any(at < each.at and _intends(journal, each.uid) for at, journal in journals):
            yield f"{each.pod} was deleted by {each.by} without an intent on record"


def _one_run(events: Sequence[Event]) -> Iterator[str]:
    for _, journal in _journals(events):
        unended = [run["id"] for run in journal["runs"] if run["outcome"] is None]
        if len(unended) > 1:
            yield f"{len(unended)} runs are open at the same time: {', '.join(unended)}"
            return


def _ended(runs: Sequence[Json]) -> Iterator[str]:
    for run in runs:
        if run["outcome"] is None:
            yield f"the run {run['id']} has no end"
        if run["outcome"] == "recovered" and not any(pod["state"] in _RESTARTED for pod in run["pods"]):
            yield f"the run {run['id']} claims to have recovered, and restarted nothing"


def _told(deleted: Sequence[Deleted], runs: Sequence[Json]) -> Iterator[str]:
    """The record says of each pod what the audit log says. `gone` and `replaced` do not say by whom."""
    uids = {each.uid for each in deleted}
    states = {pod["uid"]: pod["state"] for run in runs for pod in run["pods"]}
    for uid, state in states.items():
        if state == "deleted" and uid not in uids:
            yield f"{uid} is on record as deleted, and nobody deleted it"
        if state not in {*_RESTARTED, "intended"} and uid in uids:
            yield f"{uid} was deleted, and is on record as {state}"
    for uid in uids - states.keys():
        yield f"{uid} was deleted, and no run has it"


def _journals(events: Iterable[Event]) -> Iterator[tuple[str, Json]]:
    """Each journal that was accepted, and when."""
    for event in events:
        about = event["objectRef"]
        if (about["resource"], about.get("name")) == ("configmaps", JOURNAL) and event["responseStatus"]["code"] == 200:
            yield event["requestReceivedTimestamp"], json.loads(event["requestObject"]["data"]["journal.json"])


def _intends(journal: Json, uid: str) -> bool:
    return any(pod["uid"] == uid and pod["intended_at"] for run in journal["runs"] for pod in run["pods"])
