"""The node: it runs the pods' containers, probes them, and reports; it does what it is told through the API only.

What runs (`Running`) and what the API shows (the Pod object) are two things: while the API server is away, or a pod is
stuck, they part, as they do in life.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.cluster.addresses import Addresses
from sandbox.cluster.errors import StatusError
from sandbox.cluster.faults import Faults
from sandbox.cluster.foundation import BBS, LOCKET, PROBE, ActiveLabel, Timing
from sandbox.cluster.locket import Locket
from sandbox.cluster.logs import ContainerLog
from sandbox.cluster.objects import Obj, is_terminating, labels_of, name_of, namespace_of, thaw, uid_of
from sandbox.cluster.podstatus import Phase, status
from sandbox.cluster.queue import WorkQueue
from sandbox.cluster.registry import Registry
from sandbox.cluster.resources import PODS
from sandbox.cluster.store import Change, Store
from sandbox.cluster.timers import Timers

NODE = "sandbox-node"


@dataclass(slots=True)
class Running:
    """What the node knows of one pod."""

    uid: str
    namespace: str
    name: str
    containers: tuple[str, ...]
    bbs: str | None
    """The container that is a BBS."""
    locket: str | None
    """The container that is Locket."""
    probed: str | None
    """The container that has a readiness probe."""
    threshold: int
    lost: bool = False
    """Its node is dead."""
    phase: Phase = "scheduled"
    ip: str | None = None
    started_at: float | None = None
    failures: int = 0
    ready: dict[str, bool] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    logs: dict[str, ContainerLog] = field(default_factory=dict)
    missing_programs: set[str] = field(default_factory=set)


class Kubelet:
    """Runs pods. `changed` is called when what runs has changed."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        queue: WorkQueue,
        timers: Timers,
        rng: random.Random,
        locket: Locket,
        faults: Faults,
        timing: Timing,
        label: ActiveLabel,
        addresses: Addresses,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._queue = queue
        self._timers = timers
        self._rng = rng
        self._locket = locket
        self._faults = faults
        self._timing = timing
        self._label = label
        self._addresses = addresses
        self._changed = changed
        self._pods: dict[str, Running] = {}

    @property
    def pods(self) -> list[Running]:
        """The pods whose containers run, or did until a moment ago."""
        return list(self._pods.values())

    def find(self, namespace: str, name: str) -> Running | None:
        """The pod of this name that runs, by what the API shows."""
        pod = self._store.get(PODS, namespace, name)
        return self._pods.get(uid_of(pod)) if pod else None

    def on_change(self, change: Change) -> None:
        if change.resource is not PODS:
            return
        pod, uid = change.object, uid_of(change.object)
        if change.type == "ADDED":
            self._queue.add(("bind", uid), lambda: self._bind(uid, pod), delay=self._timing.schedule)
        elif change.type == "DELETED":
            self._end_processes(uid)
            self._pods.pop(uid, None)
        elif is_terminating(pod) and not (change.previous and is_terminating(change.previous)):
            self.terminate(uid)

    def _bind(self, uid: str, pod: Obj) -> None:
        current = self._current(uid, namespace_of(pod), name_of(pod))
        if current is None:
            return
        containers = tuple(item["name"] for item in current["spec"]["containers"])
        commands = {item["name"]: tuple(item.get("command") or ()) for item in current["spec"]["containers"]}
        probes = {
            item["name"]: item["readinessProbe"] for item in current["spec"]["containers"] if "readinessProbe" in item
        }
        running = Running(
            uid=uid,
            namespace=namespace_of(pod),
            name=name_of(pod),
            containers=containers,
            bbs=next((name for name, command in commands.items() if command[:1] == (BBS,)), None),
            locket=next((name for name, command in commands.items() if command[:1] == (LOCKET,)), None),
            probed=next((name for name, probe in probes.items() if probe["exec"]["command"] == [PROBE]), None),
            threshold=max((probe.get("failureThreshold", 3) for probe in probes.values()), default=3),
            ready=dict.fromkeys(containers, False),
            restarts=dict.fromkeys(containers, 0),
            logs={name: ContainerLog() for name in containers},
        )
        self._pods[uid] = running
        self._report(uid)
        self._timers.after(self._timing.start, lambda: self._start(running))

    def _start(self, running: Running) -> None:
        if self._pods.get(running.uid) is not running:
            return
        if running.name in self._faults.never_starts:
            self._timers.after(self._timing.start, lambda: self._start(running))
            return
        running.ip = running.ip or self._addresses.pod()
        running.phase, running.started_at = "running", self._timers.now
        running.ready = {name: name != running.probed for name in running.containers}
        self._start_process(running)
        if running.probed:
            self._timers.after(self._rng.uniform(0, self._timing.probe), lambda: self._probe(running))
        self._report(running.uid)
        self._changed()

    def _start_process(self, running: Running) -> None:
        if running.bbs:
            log = running.logs[running.bbs]
            self._locket.start(running.uid, lambda line: log.write(self._timers.now, line))
        elif running.locket:
            self._locket.start_server(running.uid)

    def _probe(self, running: Running) -> None:
        """The readiness probe, and with it fissile's script: it patches its own pod's label, then reports health."""
        if self._pods.get(running.uid) is not running or running.phase != "running":
            return
        self._timers.after(self._timing.probe, lambda: self._probe(running))
        pod = self._current(running.uid, running.namespace, running.name)
        if pod is None or is_terminating(pod) or running.probed is None:
            return  # a terminating pod keeps its label
        healthy = not self._faults.unhealthy and running.name not in self._faults.never_ready
        self._patch_label(pod, active=healthy and self._locket.serves(running.uid))
        running.failures = 0 if healthy else running.failures + 1
        ready = running.ready[running.probed]
        if healthy or running.failures >= running.threshold:
            ready = healthy
        if ready != running.ready[running.probed]:
            running.ready[running.probed] = ready
            self._report(running.uid)

    def _patch_label(self, pod: Obj, *, active: bool) -> None:
        if self._faults.freeze_label or not self._queue.available:
            return
        wanted = self._label.active if active else self._label.passive
        if labels_of(pod).get(self._label.key) != wanted:
            self.set_label(pod, wanted)

    def set_label(self, pod: Obj, value: str | None) -> None:
        """Writes the active label of a pod, or takes it away."""
        obj = thaw(pod)
        labels = obj["metadata"].setdefault("labels", {})
        labels.pop(self._label.key, None)
        if value is not None:
            labels[self._label.key] = value
        self._store.put(PODS, obj)

    def terminate(self, uid: str) -> None:
        """SIGTERM, and SIGKILL when the grace period is over; a stuck pod hears neither."""
        running = self._pods.get(uid)
        if running is None:
            return
        pod = self._current(uid, running.namespace, running.name)
        if pod is None:
            return
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 0))
        delay = grace if self._timing.stop is None else min(grace, self._timing.stop)
        self._timers.after(delay, lambda: self._kill(running))

    def _kill(self, running: Running) -> None:
        if self._pods.get(running.uid) is not running or running.name in self._faults.stuck:
            return
        self._end_processes(running.uid)
        self._report(running.uid)
        self._queue.add(("remove", running.uid), lambda: self._remove(running), delay=self._timing.remove)

    def _end_processes(self, uid: str) -> None:
        running = self._pods.get(uid)
        if running is None or running.phase == "terminated":
            return
        running.phase = "terminated"
        self._locket.stop(uid)
        self._changed()

    def _remove(self, running: Running) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": running.uid}}
        try:
            self._registry.delete(PODS, running.namespace, running.name, options)
        except StatusError:  # somebody else was faster
            self._pods.pop(running.uid, None)

    def lose(self, running: Running) -> None:
        """The node of this pod dies; the API shows it as not ready from now on."""
        if running.phase == "running":
            running.lost = True
            self._end_processes(running.uid)
            self._report(running.uid)

    def bring_back(self, running: Running) -> None:
        """The node is there again, and starts the pod's containers."""
        running.lost = False
        pod = self._current(running.uid, running.namespace, running.name)
        if pod is not None and not is_terminating(pod):
            running.restarts = {name: count + 1 for name, count in running.restarts.items()}
            self._start(running)

    def restart_container(self, running: Running, container: str) -> None:
        """The container's process dies and is started again in place, in the same pod; not where the pod terminates."""
        pod = self._current(running.uid, running.namespace, running.name)
        if running.phase != "running" or pod is None:
            return
        if is_terminating(pod):
            self._end_processes(running.uid)
            return
        running.restarts[container] += 1
        running.ready[container] = container != running.probed
        running.logs[container].rotate()
        if container in (running.bbs, running.locket):
            self._locket.stop(running.uid)
            self._start_process(running)
        self._report(running.uid)

    def _report(self, uid: str) -> None:
        self._queue.add(("status", uid), lambda: self._write_status(uid), delay=0.0)

    def _write_status(self, uid: str) -> None:
        running = self._pods.get(uid)
        pod = self._current(uid, running.namespace, running.name) if running else None
        if running is None or pod is None:
            return
        new = status(
            pod,
            phase=running.phase,
            ready=running.ready,
            restarts=running.restarts,
            started_at=running.started_at,
            ip=running.ip,
            host_ip=self._addresses.node,
            now=self._timers.now,
        )
        if new == pod["status"] and pod["spec"].get("nodeName"):
            return
        spec = pod["spec"] if pod["spec"].get("nodeName") else pod["spec"] | {"nodeName": NODE}
        self._store.put(PODS, pod | {"metadata": dict(pod["metadata"]), "spec": spec, "status": new})

    def _current(self, uid: str, namespace: str, name: str) -> Obj | None:
        pod = self._store.get(PODS, namespace, name)
        return pod if pod is not None and uid_of(pod) == uid else None
