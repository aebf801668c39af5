"""The incident of the documentation in a sandbox: what breaks, who reports it, and what the audit list shows."""

import getpass
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sandbox.cluster.foundation import Foundation, Timing
from sandbox.cluster.objects import Obj, is_terminating, uid_of
from sandbox.cluster.resources import CONFIGMAPS, EVENTS, PODS, STATEFULSETS, Resource
from sandbox.cluster.store import Change
from sandbox.sandbox import Sandbox
from tests.support import audit
from tests.support.audit import Deletion
from tests.support.programs import Json, Webhook, serving, until

TIMING = Timing(start=0.1, probe=0.2, stop=0.05)
FAST: Json = {
    "mode": "auto",
    "confirm": {"attempts": 2, "interval": "300ms"},
    "verify": {"attempts": 2, "interval": "200ms", "timeout": "5s"},
    "await_ready": {"timeout": "20s"},
}
ME = f"{getpass.getuser()}@{socket.gethostname()}"
"""Who uses `diego-runbook` here, as it is on record."""
STEPS = [
    "check-cloud-controller",
    "confirm-unreachable",
    "preserve-evidence",
    "restart",
    "await-ready",
    "verify-reachable",
]


@asynccontextmanager
async def boxed(foundation: Foundation | None = None, *, seed: int | None = 1) -> AsyncIterator[Sandbox]:
    """A healthy foundation in a box, whose pods come and go fast."""
    async with Sandbox(foundation=foundation, timing=TIMING, seed=seed) as box:
        yield box


def config(box: Sandbox, *, remediation: Json | None = None, webhook: Json | None = None, **foundation: Any) -> Json:
    """A config with short times; `remediation` goes over them."""
    document = box.config(**foundation)
    document["remediation"] = deepcopy(FAST) | (remediation or {})
    return document | ({"webhook": webhook} if webhook else {})


class Incident(NamedTuple):
    """A foundation in a box, the webhook that watches it, and the UIDs of its diego-api pods at the start, by name."""

    box: Sandbox
    webhook: Webhook
    before: dict[str, str]


@asynccontextmanager
async def incident(
    foundation: Foundation | None = None,
    *,
    broken: bool = True,
    together: bool = True,
    active: str = "true",
    fast: bool = False,
    remediation: Json | None = None,
    **config_of: Any,
) -> AsyncIterator[Incident]:
    """A foundation that broke while a webhook watched it; nobody has notified the webhook yet.

    `broken=False` leaves the foundation healthy; `together` and `active` go to `break_it`. `fast` shortens the
    webhook's time-outs (`tests.support.fast_webhook`). `remediation` and `config_of` go to `config`.
    """
    async with boxed(foundation) as box:
        path = box.write_config(config(box, remediation=remediation, **config_of))
        async with serving(path, fast=fast) as webhook:
            before = uids(box)
            if broken:
                await break_it(box, active=active, together=together)
            yield Incident(box, webhook, before)


def diego_api(box: Sandbox) -> list[Obj]:
    """The diego-api pods, as the box sums them up."""
    return [pod for pod in box.state()["pods"] if pod["name"].startswith("diego-api-")]


async def break_it(box: Sandbox, *, active: str = "true", together: bool = True) -> None:
    """The lock's database goes away and comes back: no BBS leads any more, and none will.

    `together=False`: a new pod need not wait until the old ones are deleted (see `start_together`).
    """
    await settled(box, lambda pods: all(map(partial(_has_seen_the_database, box), pods)))
    box.fault("locket-db-down")
    await settled(box, lambda pods: all(pod["wedged"] for pod in pods))
    box.fault("locket-db-up")
    await settled(box, lambda pods: not any(pod["active"] == active for pod in pods))
    if together:
        start_together(box, "diego-api")
        start_together(box, "diego-locket")


def start_together(box: Sandbox, component: str) -> None:
    """A new pod of the component starts only when each pod that it has now was told to end.

    Without this, one that comes back fast leads before a busy machine has sent the next delete, and the pods that are
    left are rightly spared.
    """
    pods, held = uids(box, component), box.cluster.faults.never_starts
    left = set(pods.values())
    held.update(pods)

    def record(change: Change) -> None:
        if left and change.resource is PODS and (change.type == "DELETED" or is_terminating(change.object)):
            left.discard(uid_of(change.object))
            if not left:
                held.difference_update(pods)

    box.cluster.store.subscribe(record)


def _has_seen_the_database(box: Sandbox, pod: Obj) -> bool:
    """A BBS that never saw it waits for it, and is not wedged by its loss."""
    process = box.cluster.locket.find(pod["uid"])
    return process is not None and process.saw_database


def fully_ready(pods: list[Obj]) -> bool:
    """Whether these are the two pods, each with both containers, and on their way nowhere."""
    return [pod["ready"] for pod in pods] == ["2/2", "2/2"] and not any(pod["terminating"] for pod in pods)


async def settled(box: Sandbox, condition: Callable[[list[Obj]], bool]) -> None:
    """Waits until the diego-api pods are so."""

    async def look() -> bool:
        return condition(diego_api(box))

    await until(look, what="the box")


def alert(name: str = "DiegoBBSUnreachable", *, status: str = "firing", ago: float = 60, **labels: str) -> Json:
    """An alert as Alertmanager sends it, that began `ago` seconds ago; its fingerprint is of the labels alone."""
    labels = {
        "alertname": name,
        "foundation": "cf",
        "remediation": "restart-diego-api",
        "severity": "critical",
    } | labels
    text = "".join(f"{key}\xff{value}\xff" for key, value in sorted(labels.items()))
    now = datetime.now(UTC)
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": "Stager is unavailable"},
        "startsAt": (now - timedelta(seconds=ago)).isoformat().replace("+00:00", "Z"),
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else now.isoformat().replace("+00:00", "Z"),
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
    }


def resolved(fired: Json) -> Json:
    """The same alert, over now."""
    return fired | {"status": "resolved", "endsAt": datetime.now(UTC).isoformat().replace("+00:00", "Z")}


def notification(*alerts: Json, group: str = '{}:{alertname="DiegoBBSUnreachable", foundation="cf"}') -> Json:
    """A notification of webhook version 4, with keys of later versions."""
    firing = any(each["status"] == "firing" for each in alerts)
    return {
        "version": "4",
        "groupKey": group,
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": r"diego\.medic",
        "groupLabels": {"foundation": "cf"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "notification_reason": "first_notification",
        "alerts": list(alerts),
    }


async def fire(webhook: Webhook, *alerts: Json) -> None:
    """Notifies of the incident; it must be on record."""
    status, said = await webhook.notify(notification(*(alerts or (alert(),))))
    assert status == 202, f"{status} {said}\n{webhook.text}"


async def call_off(webhook: Webhook, *alerts: Json) -> None:
    """Resolves the alerts, and waits until nothing is requested and no run is in progress.

    An alert that still fires after a run that did not help is queued, and runs again by itself.
    """
    status, said = await webhook.notify(notification(*map(resolved, alerts)))
    assert status == 202, f"{status} {said}\n{webhook.text}"
    await webhook.until_metrics(
        {"diego_remediation_wanted{foundation=cf}": 0, "diego_remediation_run_in_progress{foundation=cf}": 0}
    )


def deletions(box: Sandbox) -> list[Deletion]:
    """Every request to delete a pod, in its order."""
    return audit.deletions(box.audit)


def deleted(box: Sandbox) -> list[str | None]:
    """The UIDs of the deletes that the API server accepted, in their order."""
    return [each.uid for each in audit.accepted(deletions(box))]


def writes(box: Sandbox) -> set[str]:
    """What was written: verb, resource and name. Exec is no write."""
    return {each for each in audit.requests(box.audit) if "/exec" not in each}


BOOKS = {f"{verb} {kind} {audit.JOURNAL}" for verb in ("create", "update") for kind in ("configmaps", "leases")}
"""The journal and the lease."""
COURTESY = {"create events"}
THE_PODS = {"delete pods diego-api-0", "delete pods diego-api-1"}


def uids(box: Sandbox, component: str = "diego-api") -> dict[str, str]:
    """The UIDs of a component's pods by name."""
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"]
        for pod in box.cluster.store.all(PODS, box.namespace)
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == component
    }


def journal(box: Sandbox) -> Json:
    """What stands in the ConfigMap."""
    found = box.cluster.store.get(CONFIGMAPS, box.namespace, audit.JOURNAL)
    document: Json = json.loads(found["data"]["journal.json"]) if found else {"runs": []}
    return document


def events(box: Sandbox) -> list[tuple[str, str, str]]:
    """The Kubernetes Events of the box: type, reason and text."""
    return [
        (each["type"], each["reason"], each["message"])
        for each in box.cluster.store.all(EVENTS, box.namespace)
        if each["source"]["component"] == "diego-medic"
    ]


async def told(box: Sandbox, reason: str) -> list[tuple[str, str, str]]:
    """The events with this reason, of which there will be at least one: it comes after the fact is on record."""

    async def look() -> list[tuple[str, str, str]]:
        return [event for event in events(box) if event[1] == reason]

    found: list[tuple[str, str, str]] = await until(look, what=f"an event {reason}")
    return found


def assert_recovered(box: Sandbox, before: dict[str, str], *, active: str = "true") -> None:
    """Asserts that each pod of the incident was deleted once, by its UID, and that the box is whole again."""
    assert sorted(map(str, deleted(box))) == sorted(before.values())
    assert {each.uid for each in deletions(box)} == set(before.values())
    assert not set(uids(box).values()) & set(before.values())
    assert whole(box, active=active)


def whole(box: Sandbox, *, active: str = "true") -> bool:
    """Whether all diego-api pods are fully ready and exactly one is active, the one that serves."""
    pods = diego_api(box)
    labelled = [pod["name"] for pod in pods if pod["active"] == active]
    serving = [pod["name"] for pod in pods if pod["serving"]]
    return all(pod["ready"] == "2/2" for pod in pods) and labelled == serving and len(labelled) == 1


def assert_nothing_deleted(box: Sandbox, before: dict[str, str]) -> None:
    """Asserts that no pod was touched, and nothing written but the journal, the lease and events."""
    assert deletions(box) == []
    assert uids(box) == before
    assert writes(box) <= BOOKS | COURTESY


def patch(box: Sandbox, name: str, body: Json, *, resource: Resource = STATEFULSETS) -> None:
    """Changes an object as `kubectl patch --type=merge` does."""
    box.cluster.registry.patch(resource, box.namespace, name, body, content_type="application/merge-patch+json")
