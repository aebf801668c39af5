"""The audit log: an event for each request that changes something or opens an exec, as audit.k8s.io/v1 writes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.api.calls import Call, Target
from sandbox.cluster.objects import Obj, micro_timestamp

_MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class AuditLog:
    """Keeps the events in memory, and appends them to a file where one is named.

    What the cluster does by itself (controllers, the pods' own label patches) is not in it, and neither are reviews of
    one's own access, which change nothing.
    """

    def __init__(self, *, now: Callable[[], float], file: Path | None = None, audited: bool = True) -> None:
        self.events: list[Obj] = []
        self._audited = audited
        self._now = now
        self._file = file

    def wants(self, target: Target) -> bool:
        if not self._audited or target.resource.plural == "selfsubjectaccessreviews":
            return False
        return target.verb in _MUTATING or target.subresource == "exec"

    def record(self, call: Call, target: Target, *, user: str, code: int, request: Any, request_uri: str) -> None:
        reference: Obj = {"resource": target.resource.plural, "namespace": target.namespace}
        name = target.name or _name_in(request)
        reference |= {"name": name} if name else {}
        reference |= {"apiGroup": target.resource.group} if target.resource.group else {}
        reference |= {"apiVersion": target.resource.version}
        reference |= {"subresource": target.subresource} if target.subresource else {}
        moment = micro_timestamp(self._now())
        event: Obj = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata" if target.subresource == "exec" else "Request",
            "auditID": f"{len(self.events) + 1:08d}",
            "stage": "ResponseComplete",
            "requestURI": request_uri,
            "verb": target.verb,
            "user": {"username": user, "groups": ["system:authenticated"]},
            "userAgent": call.user_agent,
            "objectRef": reference,
            "responseStatus": {"metadata": {}, "code": code},
            "requestReceivedTimestamp": moment,
            "stageTimestamp": moment,
        }
        if request is not None:
            event["requestObject"] = request
        self.events.append(event)
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(event) + "\n")


def _name_in(request: Any) -> str:
    metadata = request.get("metadata") if isinstance(request, dict) else None
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
