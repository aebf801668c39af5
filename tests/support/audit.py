"""Reading the API server's audit log: who asked for what, of all that changes something or opens an exec."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Event = dict[str, Any]

JOURNAL = "diego-medic-diego-api"
COURTESIES = frozenset(
    {
        *(f"{verb} {kind} {JOURNAL}" for verb in ("create", "update") for kind in ("configmaps", "leases")),
        "create events",
        *(f"{verb} pods/exec api-{ordinal}" for verb in ("get", "create") for ordinal in (0, 1)),
    }
)
"""All that the webhook may do beside deleting pods: the journal, the lease, events, and the exec that proves."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """One DELETE of a pod, as it was asked for."""

    pod: str
    uid: str | None  # the precondition
    code: int


def by(user: str, events: Iterable[Event]) -> list[Event]:
    """The events of one of the project's service accounts."""
    name = f"system:serviceaccount:diego-medic:{user}"
    return [event for event in events if event["user"]["username"] == name]


def deletions(events: Iterable[Event]) -> list[Deletion]:
    """The deletes of pods, in their order."""
    return list(_deletions(events))


def accepted(deletions: Iterable[Deletion]) -> list[Deletion]:
    """Those that deleted a pod. A 409 is of a pod that changed meanwhile: the DELETE is decided again."""
    return [each for each in deletions if each.code == HTTPStatus.OK]


def _deletions(events: Iterable[Event]) -> Iterator[Deletion]:
    for event in events:
        if event["verb"] in {"delete", "deletecollection"} and _resource(event) == "pods":
            asked = event.get("requestObject") or {}
            uid = (asked.get("preconditions") or {}).get("uid")
            assert "gracePeriodSeconds" not in asked, f"a grace period of its own: {asked}"
            yield Deletion(event["objectRef"].get("name", ""), uid, event["responseStatus"]["code"])


def requests(events: Iterable[Event]) -> set[str]:
    """What was asked for, each once: `VERB RESOURCE NAME`, an event without its name, which is chance."""
    return {" ".join(filter(None, (event["verb"], _resource(event), _name(event)))) for event in events}


def _resource(event: Event) -> str:
    found: dict[str, str] = event["objectRef"]
    subresource = found.get("subresource", "")
    return found["resource"] + (f"/{subresource}" if subresource else "")


def _name(event: Event) -> str:
    name: str = event["objectRef"].get("name", "")
    return "" if event["objectRef"]["resource"] == "events" else name
