"""The StatefulSet controller: Parallel and OrderedReady, revisions, rolling updates, adoption, garbage collection."""

import hashlib
import json
import re
from contextlib import suppress

from sandbox.cluster.errors import StatusError
from sandbox.cluster.objects import (
    Obj,
    condition,
    controller_of,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    thaw,
    uid_of,
)
from sandbox.cluster.queue import WorkQueue
from sandbox.cluster.registry import Registry
from sandbox.cluster.resources import PODS, STATEFULSETS
from sandbox.cluster.selectors import matches
from sandbox.cluster.store import Change, Store

REVISION_LABEL = "controller-revision-hash"


class StatefulSetController:
    """Reconciles StatefulSets with their pods, a moment after either changed."""

    def __init__(self, store: Store, registry: Registry, queue: WorkQueue) -> None:
        self._store = store
        self._registry = registry
        self._queue = queue
        self._revisions: dict[str, tuple[Obj, str]] = {}  # by UID: of which template

    def changed(self, change: Change) -> None:
        obj = change.object
        if change.resource is STATEFULSETS:
            self._enqueue(namespace_of(obj), name_of(obj))
        elif change.resource is PODS:
            owner = controller_of(obj)
            if owner is not None:
                self._enqueue(namespace_of(obj), owner["name"])
            else:
                for candidate in self._store.all(STATEFULSETS, namespace_of(obj)):
                    self._enqueue(namespace_of(obj), name_of(candidate))

    def _enqueue(self, namespace: str, name: str) -> None:
        self._queue.add(("statefulset", namespace, name), lambda: self._reconcile(namespace, name))

    def _reconcile(self, namespace: str, name: str) -> None:
        found = self._store.get(STATEFULSETS, namespace, name)
        self._collect_garbage(namespace, name, uid_of(found) if found else "")
        if found is None:
            return
        pods = self._claim(found)
        update = self._revision_of(found)
        current = found["status"].get("currentRevision") or update
        with suppress(StatusError):  # a name that is still taken: the next change brings us back
            self._act(found, pods, current, update)
        self._write_status(name, namespace, current, update)

    def _revision_of(self, found: Obj) -> str:
        """As `revision_of`, which takes time, and a template is the same object as long as nobody changes it."""
        known = self._revisions.get(uid_of(found))
        if known is None or known[0] is not found["spec"]["template"]:
            known = self._revisions[uid_of(found)] = found["spec"]["template"], revision_of(found)
        return known[1]

    def _collect_garbage(self, namespace: str, name: str, uid: str) -> None:
        """Deletes the pods of a StatefulSet of this name that is no more."""
        for pod in self._store.all(PODS, namespace):
            owner = controller_of(pod)
            orphan = owner and owner["kind"] == "StatefulSet" and owner["name"] == name and owner["uid"] != uid
            if orphan and not is_terminating(pod):
                self._registry.delete(PODS, namespace, name_of(pod))

    def _claim(self, found: Obj) -> dict[int, Obj]:
        """The pods that it controls, by ordinal; pods of its names and labels without a controller are adopted."""
        pods: dict[int, Obj] = {}
        wanted = found["spec"]["selector"]["matchLabels"]
        pattern = re.compile(rf"^{re.escape(name_of(found))}-(\d+)$")
        for pod in self._store.all(PODS, namespace_of(found)):
            ordinal = pattern.match(name_of(pod))
            if ordinal is None:
                continue
            owner = controller_of(pod)
            if owner is None and matches(labels_of(pod), wanted) and not is_terminating(pod):
                adopted = thaw(pod)
                adopted["metadata"]["ownerReferences"] = [_reference(found)]
                pods[int(ordinal[1])] = self._store.put(PODS, adopted)
            elif owner is not None and owner["uid"] == uid_of(found):
                pods[int(ordinal[1])] = pod
        return pods

    def _act(self, found: Obj, pods: dict[int, Obj], current: str, update: str) -> None:
        spec = found["spec"]
        replicas, ordered = int(spec.get("replicas", 1)), spec.get("podManagementPolicy") != "Parallel"
        for ordinal in range(replicas):
            pod = pods.get(ordinal)
            if pod is None:
                self._create(found, ordinal, _revision_for(found, ordinal, current, update))
                if ordered:
                    return
            elif ordered and (is_terminating(pod) or not _healthy(pod)):
                return
        condemned = sorted((ordinal for ordinal in pods if ordinal >= replicas), reverse=True)
        for ordinal in condemned:
            if not is_terminating(pods[ordinal]):
                self._registry.delete(PODS, namespace_of(found), name_of(pods[ordinal]))
            if ordered:
                return
        if not condemned:
            self._roll(found, pods, update)

    def _roll(self, found: Obj, pods: dict[int, Obj], update: str) -> None:
        strategy = found["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for ordinal in sorted(pods, reverse=True):
            if ordinal < partition:
                return
            pod = pods[ordinal]
            if labels_of(pod).get(REVISION_LABEL) != update and not is_terminating(pod):
                self._registry.delete(PODS, namespace_of(found), name_of(pod))
                return
            if not _healthy(pod) or is_terminating(pod):
                return

    def _create(self, found: Obj, ordinal: int, revision: str) -> None:
        template = thaw(found["spec"]["template"])
        name = f"{name_of(found)}-{ordinal}"
        labels = (template.get("metadata") or {}).get("labels") or {}
        metadata = (template.get("metadata") or {}) | {
            "name": name,
            "generateName": f"{name_of(found)}-",
            "labels": labels | {REVISION_LABEL: revision, "statefulset.kubernetes.io/pod-name": name},
            "ownerReferences": [_reference(found)],
        }
        spec = template["spec"] | {"hostname": name, "subdomain": found["spec"].get("serviceName", "")}
        self._registry.create(PODS, namespace_of(found), {"metadata": metadata, "spec": spec})

    def _write_status(self, name: str, namespace: str, current: str, update: str) -> None:
        found = self._store.get(STATEFULSETS, namespace, name)
        if found is None:
            return
        pods = list(self._claim(found).values())

        def count(revision: str) -> int:
            return sum(not is_terminating(pod) and labels_of(pod).get(REVISION_LABEL) == revision for pod in pods)

        ready, updated = sum(_healthy(pod) for pod in pods), count(update)
        rolling = (found["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
        if rolling and updated == ready == len(pods) == found["spec"].get("replicas", 1):
            current = update
        status = {
            "observedGeneration": found["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "currentReplicas": count(current),
            "updatedReplicas": updated,
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": 0,
        }
        if status != found["status"]:
            self._store.put(STATEFULSETS, found | {"metadata": dict(found["metadata"]), "status": status})


def revision_of(found: Obj) -> str:
    """The name of the revision that its template stands for."""
    template = json.dumps(found["spec"]["template"], sort_keys=True).encode()
    return f"{name_of(found)}-{hashlib.sha256(template).hexdigest()[:10]}"


def _revision_for(found: Obj, ordinal: int, current: str, update: str) -> str:
    """A new pod's revision: with RollingUpdate, ordinals below the partition stay at the current one."""
    strategy = found["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        return current if ordinal < partition else update
    return update


def _reference(found: Obj) -> Obj:
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name_of(found), "uid": uid_of(found)}
    return reference | {"controller": True, "blockOwnerDeletion": True}


def _healthy(pod: Obj) -> bool:
    return bool(pod["status"].get("phase") == "Running" and condition(pod, "Ready"))
