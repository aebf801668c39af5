"""A pod's status, as the kubelet reports it: a function of what runs."""

from typing import Literal

from sandbox.cluster.objects import Obj, timestamp

Phase = Literal["scheduled", "running", "terminated"]


def status(
    pod: Obj,
    *,
    phase: Phase,
    ready: dict[str, bool],
    restarts: dict[str, int],
    started_at: float | None,
    ip: str | None,
    host_ip: str,
    now: float,
) -> Obj:
    """The status of a pod that has a node. `ready` and `restarts` are by container; times are epoch seconds."""
    all_ready = phase == "running" and all(ready.values())
    unready = [name for name, value in ready.items() if not value or phase != "running"]
    reason = (
        {}
        if all_ready
        else {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    )
    old = {item["type"]: item for item in pod.get("status", {}).get("conditions") or ()}

    def condition(kind: str, value: bool, why: Obj) -> Obj:
        state = "True" if value else "False"
        since = old[kind]["lastTransitionTime"] if old.get(kind, {}).get("status") == state else timestamp(now)
        return {"type": kind, "status": state, "lastProbeTime": None, "lastTransitionTime": since} | why

    result: Obj = {
        "phase": "Pending" if phase == "scheduled" else "Running",
        "conditions": [
            condition("Initialized", True, {}),
            condition("Ready", all_ready, reason),
            condition("ContainersReady", all_ready, reason),
            condition("PodScheduled", True, {}),
        ],
        "hostIP": host_ip,
        "startTime": pod.get("status", {}).get("startTime") or timestamp(now),
        "containerStatuses": [
            _container(
                spec, phase, ready=ready[spec["name"]], restarts=restarts[spec["name"]], started_at=started_at, now=now
            )
            for spec in pod["spec"]["containers"]
        ],
        "qosClass": "BestEffort",
    }
    if ip:
        result |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    return result


def _container(spec: Obj, phase: Phase, *, ready: bool, restarts: int, started_at: float | None, now: float) -> Obj:
    started = timestamp(started_at) if started_at is not None else None
    if phase == "scheduled":
        state: Obj = {"waiting": {"reason": "ContainerCreating"}}
    elif phase == "running":
        state = {"running": {"startedAt": started}}
    else:
        state = {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": started, "finishedAt": timestamp(now)}}
    return {
        "name": spec["name"],
        "state": state,
        "lastState": {},
        "ready": ready and phase == "running",
        "restartCount": restarts,
        "image": spec.get("image", ""),
        "imageID": "",
        "started": phase == "running",
    }
