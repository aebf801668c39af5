"""What the API server does with an object between a request and the store: the rules of API machinery.

Names, UIDs, generations, optimistic concurrency, preconditions, graceful deletion, finalizers. The order of the checks
and the words of the refusals are kube-apiserver's; the contract tests hold both.
"""

import random
import re
from typing import Any

from sandbox.cluster import errors
from sandbox.cluster.objects import Obj, is_terminating, name_of, thaw, timestamp, uid_of
from sandbox.cluster.patches import apply
from sandbox.cluster.resources import LEASES, NAMESPACES, PODS, STATEFULSETS, Resource
from sandbox.cluster.store import Store
from sandbox.cluster.timers import Timers

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # what generateName draws from: no vowels, nothing ambiguous
_SYSTEM_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
DEFAULT_GRACE_PERIOD = 30


class Registry:
    """Creates, changes and deletes objects as the API server does. Every method raises StatusError."""

    def __init__(self, store: Store, timers: Timers, rng: random.Random) -> None:
        self._store = store
        self._timers = timers
        self._rng = rng

    def new_uid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def get(self, resource: Resource, namespace: str, name: str) -> Obj:
        obj = self._store.get(resource, namespace, name)
        if obj is None:
            raise errors.not_found(resource, name)
        return obj

    def create(self, resource: Resource, namespace: str, body: Any) -> Obj:
        obj = _validated(resource, body)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise errors.StatusError(500, "", "resourceVersion should not be set on objects to be created")
        _check_namespace(metadata, namespace)
        if resource.namespaced and self._store.get(NAMESPACES, "", namespace) is None:
            raise errors.not_found(NAMESPACES, namespace)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(self._rng.choices(_SUFFIX, k=5))
        _check_name(resource, str(metadata.get("name") or ""))
        if self._store.get(resource, namespace, metadata["name"]) is not None:
            raise errors.already_exists(resource, metadata["name"])
        for key in _SYSTEM_OWNED:
            metadata.pop(key, None)
        metadata |= {"uid": self.new_uid(), "creationTimestamp": timestamp(self._timers.now)}
        if resource.namespaced:
            metadata["namespace"] = namespace
        if resource is STATEFULSETS:
            metadata["generation"] = 1
            obj["status"] = {"replicas": 0}
        elif resource is PODS:
            obj.setdefault("spec", {}).setdefault("terminationGracePeriodSeconds", DEFAULT_GRACE_PERIOD)
            obj["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
        return self._store.put(resource, obj)

    def update(self, resource: Resource, namespace: str, name: str, body: Any, *, subresource: str = "") -> Obj:
        obj = _validated(resource, body)
        metadata = obj["metadata"]
        if metadata.get("name") != name:
            named = metadata.get("name") or ""
            raise errors.bad_request(f"the name of the object ({named}) does not match the name on the URL ({name})")
        _check_namespace(metadata, namespace)
        current = self.get(resource, namespace, name)
        version = metadata.get("resourceVersion")
        if not version and resource is LEASES:
            cause = (
                "metadata.resourceVersion",
                "FieldValueInvalid",
                "Invalid value: 0x0: must be specified for an update",
            )
            raise errors.invalid(resource, name, [cause])
        return self._replace(resource, current, obj, subresource)

    def patch(
        self, resource: Resource, namespace: str, name: str, patch: Any, *, content_type: str, subresource: str = ""
    ) -> Obj:
        current = self.get(resource, namespace, name)
        patched = _validated(resource, apply(current, patch, content_type))
        if isinstance(patch, dict) and not (patch.get("metadata") or {}).get("resourceVersion"):
            patched["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
        return self._replace(resource, current, patched, subresource)

    def _replace(self, resource: Resource, current: Obj, obj: Obj, subresource: str) -> Obj:
        name, metadata, old = name_of(current), obj["metadata"], current["metadata"]
        if metadata.get("uid") not in (None, "", old["uid"]):
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {old['uid']}"
            raise errors.conflict(resource, name, why)
        if metadata.get("resourceVersion") not in (None, "", old["resourceVersion"]):
            raise errors.conflict(resource, name)
        for key in (*_SYSTEM_OWNED, "namespace", "resourceVersion"):
            metadata.pop(key, None)
            if key in old:
                metadata[key] = old[key]
        if subresource == "status":
            obj = current | {"metadata": metadata, "status": obj.get("status", {})}
        elif resource in (PODS, STATEFULSETS):
            obj["status"] = current.get("status", {})
        if resource is STATEFULSETS and obj.get("spec") != current.get("spec"):
            metadata["generation"] = old["generation"] + 1
        if obj == current:
            return current  # no change, no new version, no event
        if (
            is_terminating(current)
            and not metadata.get("finalizers")
            and old.get("finalizers")
            and resource is not PODS
        ):
            self._store.put(resource, obj)
            return self._store.remove(resource, str(metadata.get("namespace", "")), name)
        return self._store.put(resource, obj)

    def delete(self, resource: Resource, namespace: str, name: str, options: Any = None) -> tuple[Obj, bool]:
        """Deletes; returns the object, and whether it is gone (False: it is terminating).

        A pod gets its grace period: `gracePeriodSeconds` of the options, else the pod's own. One that is on no node
        yet goes at once.
        """
        options = options if isinstance(options, dict) else {}
        current = self.get(resource, namespace, name)
        preconditions = options.get("preconditions") or {}
        uid, version = preconditions.get("uid"), preconditions.get("resourceVersion")
        if uid is not None and uid != uid_of(current):
            raise errors.uid_conflict(resource, name, wanted=uid, actual=uid_of(current))
        if version is not None and version != current["metadata"]["resourceVersion"]:
            raise errors.conflict(resource, name)
        if current["metadata"].get("finalizers") and not is_terminating(current):
            return self._mark(resource, current, grace=0), False
        if resource is PODS:
            spec = current["spec"]
            grace = options.get("gracePeriodSeconds")
            grace = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_PERIOD) if grace is None else grace
            if not spec.get("nodeName"):
                grace = 0
            if grace > 0:
                left = current["metadata"].get("deletionGracePeriodSeconds")
                shorter = left is None or grace < left
                return (self._mark(resource, current, grace=grace) if shorter else current), False
        if current["metadata"].get("finalizers"):
            return current, False
        if resource is STATEFULSETS and options.get("propagationPolicy") == "Orphan":
            self._orphan(namespace, uid_of(current))
        return self._store.remove(resource, namespace, name), True

    def _orphan(self, namespace: str, owner: str) -> None:
        for pod in self._store.all(PODS, namespace):
            references = pod["metadata"].get("ownerReferences") or []
            if any(reference["uid"] == owner for reference in references):
                obj: Obj = thaw(pod)
                obj["metadata"]["ownerReferences"] = [item for item in references if item["uid"] != owner]
                self._store.put(PODS, obj)

    def _mark(self, resource: Resource, current: Obj, *, grace: int) -> Obj:
        obj: Obj = thaw(current)
        obj["metadata"] |= {
            "deletionTimestamp": timestamp(self._timers.now + grace),
            "deletionGracePeriodSeconds": grace,
        }
        return self._store.put(resource, obj)


def _validated(resource: Resource, body: Any) -> Obj:
    """A copy of the body that is known to be an object of this kind."""
    if not isinstance(body, dict):
        raise errors.bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
    if (body.get("kind") or resource.kind) != resource.kind:
        raise errors.bad_request(
            f"{body['kind']} in version {body.get('apiVersion')!r} cannot be handled as a {resource.kind}"
        )
    given = body.get("apiVersion") or resource.api_version
    if given != resource.api_version:
        expected = f"does not match the expected API version ({resource.api_version})"
        raise errors.bad_request(f"the API version in the data ({given}) {expected}")
    obj: Obj = {"kind": resource.kind, "apiVersion": resource.api_version} | thaw(body)
    if not isinstance(obj.setdefault("metadata", {}), dict):
        raise errors.bad_request("metadata must be an object")
    return obj


def _check_namespace(metadata: Obj, namespace: str) -> None:
    given = metadata.get("namespace")
    if given and given != namespace:
        message = f"the namespace of the object ({given}) does not match the namespace on the request ({namespace})"
        raise errors.bad_request(message)


def _check_name(resource: Resource, name: str) -> None:
    if not name:
        cause = ("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
        raise errors.invalid(resource, name, [cause])
    if not _NAME.match(name):
        raise errors.invalid(
            resource, name, [("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {_NAME_RULE}')]
        )
