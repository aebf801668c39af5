"""The cluster as a person wants to see it: a summary of what the API shows and of what really runs."""

from dataclasses import asdict

from sandbox.api.mishaps import Mishaps
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.endpoints import ready_addresses
from sandbox.cluster.objects import Obj, is_terminating, labels_of, name_of, uid_of
from sandbox.cluster.resources import ENDPOINTS, PODS


def state(cluster: Cluster, mishaps: Mishaps) -> Obj:
    """JSON-ready."""
    foundation, locket = cluster.foundation, cluster.locket
    faults = {
        key: sorted(value) if isinstance(value, set | dict) else value for key, value in asdict(cluster.faults).items()
    }
    faults |= {"locket_database_down": not locket.database_up, "split_brain": locket.split_brain}
    faults |= {"api_hanging": mishaps.hanging, "api_killed": mishaps.killed, "lock_elsewhere": locket.held_elsewhere}
    endpoints = cluster.store.get(ENDPOINTS, foundation.namespace, foundation.service)
    return {
        "namespace": foundation.namespace,
        "pods": [_pod(cluster, pod) for pod in cluster.store.all(PODS, foundation.namespace)],
        "service": {"name": foundation.service, "endpoints": ready_addresses(endpoints)},
        "faults": faults,
        "resource_version": cluster.store.revision,
    }


def _pod(cluster: Cluster, pod: Obj) -> Obj:
    process = cluster.locket.find(uid_of(pod))
    statuses = pod["status"].get("containerStatuses") or ()
    return {
        "name": name_of(pod),
        "uid": uid_of(pod),
        "ip": pod["status"].get("podIP"),
        "phase": pod["status"]["phase"],
        "ready": f"{sum(item['ready'] for item in statuses)}/{len(pod['spec']['containers'])}",
        "terminating": is_terminating(pod),
        "active": labels_of(pod).get(cluster.foundation.active_label.key),
        "serving": cluster.locket.serves(uid_of(pod)),
        "wedged": process is not None and process.wedged,
    }
