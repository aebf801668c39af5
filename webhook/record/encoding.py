"""The journal as text: the size bounds, the version, and how version 1 is read."""

from datetime import datetime
from typing import Any

import msgspec

from webhook.record.journal import MAX_BYTES, MAX_RUNS, MAX_STEPS, VERSION, Journal, Moment, PodState

MODES = ("observe", "approve", "auto")


class JournalUnreadableError(ValueError):
    """The text is not a journal that this program can read."""


def encode(journal: Journal) -> str:
    """The journal as stored, within `MAX_BYTES`: old evidence is dropped first, then old runs, never the open one."""
    runs = list(journal.runs[-MAX_RUNS:])
    if journal.open_run is not None:
        open_run = runs[-1]
        runs[-1] = msgspec.structs.replace(open_run, steps=open_run.steps[-MAX_STEPS:])
    keep = 1 if journal.open_run else 0
    while True:
        text = msgspec.json.encode(msgspec.structs.replace(journal, runs=tuple(runs)))
        if len(text) <= MAX_BYTES:
            return text.decode()
        heavy = next((index for index, run in enumerate(runs[:-1]) if run.evidence), None)
        if heavy is not None:
            runs[heavy] = msgspec.structs.replace(runs[heavy], evidence="")
        elif len(runs) > keep:
            del runs[0]
        else:
            return text.decode()  # one run's evidence and steps are bounded: well below the API's limit of 1 MiB


class _Versioned(msgspec.Struct):
    version: int


def decode(text: str) -> Journal:
    """Reads a journal of this version or of version 1. Raises JournalUnreadableError."""
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version == VERSION:
            return msgspec.json.decode(text, type=Journal)
        if version == 1:
            return msgspec.convert(_from_version_1(msgspec.json.decode(text)), type=Journal)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError, msgspec.MsgspecError) as error:
        raise JournalUnreadableError(str(error)) from error
    raise JournalUnreadableError(f"version {version}; this program reads 1 and {VERSION}")


def _from_version_1(old: dict[str, Any]) -> dict[str, Any]:
    """Version 1 said `intent`, `deleted` and `answer` of a pod, and named some fields otherwise."""
    new = {key: value for key, value in old.items() if key not in {"breaker_open", "breaker_reset"}}
    new["version"] = VERSION
    new["breaker_opened"] = old.get("breaker_open")
    reset = old.get("breaker_reset")
    new["disruptions"] = [
        # As times and not as text: a whole second has no fraction, and `Z` sorts after `.`
        item | {"counted": reset is None or _moment(item["started"]) >= _moment(reset)}
        for item in old.get("disruptions", ())
    ]
    new["resolved"] = {
        key: {"ended": item["ended"], "first_seen": item["heard"]} for key, item in old.get("resolved", {}).items()
    }
    new["runs"] = [_run(run) for run in old.get("runs", ())]
    if old.get("request"):
        request = dict(old["request"])
        request["waiting_for"] = request.pop("waits_for", "")
        request["alerts"] = {key: _alert(alert) for key, alert in request.get("alerts", {}).items()}
        new["request"] = request
    return new


def _moment(text: object) -> datetime:
    return msgspec.convert(text, type=Moment)


def _alert(old: dict[str, Any]) -> dict[str, Any]:
    return {"alertname": old["alertname"], "starts_at": old["starts_at"], "last_seen": old["heard"]}


def _run(old: dict[str, Any]) -> dict[str, Any]:
    new = dict(old)
    new["requested_by"] = new.pop("asked_by", "")
    if new["mode"] not in MODES:
        new["mode"] = "observe"  # what this program does not know permits nothing
    new["alerts"] = {
        key: {"alertname": "", "starts_at": old["started"], "last_seen": old["started"], "firing": firing}
        for key, firing in old.get("alerts", {}).items()
    }
    new["pods"] = [_pod(pod) for pod in old.get("pods", ())]
    return new


def _pod(old: dict[str, Any]) -> dict[str, Any]:
    new = {key: value for key, value in old.items() if key not in {"intent", "deleted", "answer"}}
    new["intended_at"] = old.get("intent")
    states = {
        "deleted": PodState.DELETED,
        "gone already": PodState.GONE,
        "replaced already": PodState.REPLACED,
        "spared": PodState.SPARED,
    }
    undecided = PodState.INTENDED if old.get("intent") else PodState.LISTED
    new["state"] = states.get(old.get("answer", ""), undecided)
    return new
