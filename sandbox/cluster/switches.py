"""The switches that break and mend the foundation, by the names that operators and tests use.

The faults are those of the real one-node cluster that the contract tests use, plus a few that only a box can do.
"""

from collections.abc import Callable

from sandbox.cluster.cluster import Cluster
from sandbox.cluster.foundation import COMPONENT
from sandbox.cluster.kubelet import Running
from sandbox.cluster.objects import is_terminating, labels_of, uid_of
from sandbox.cluster.programs import Outcome
from sandbox.cluster.resources import PODS


class UnknownFaultError(Exception):
    """There is no switch of this name, or it lacks its argument."""


class Switches:
    """Sets faults in a cluster. A switch is a name and, for some, an argument: the name of a pod."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._faults = cluster.faults
        self.plain: dict[str, Callable[[], None]] = {
            "locket-db-down": lambda: self._database(up=False),
            "locket-db-up": lambda: self._database(up=True),
            "freeze-label": lambda: self._set("freeze_label", True),
            "thaw-label": lambda: self._set("freeze_label", False),
            "label-all": self._label_all,
            "label-none": self._label_none,
            "split-brain": lambda: self._split(True),
            "heal-brain": lambda: self._split(False),
            "unhealthy": lambda: self._set("unhealthy", True),
            "healthy": lambda: self._set("unhealthy", False),
            "no-nc": lambda: self._programs({"nc"}),
            "no-tools": lambda: self._programs({"nc", "bash", "timeout"}),
            "yes-nc": lambda: self._programs(set()),
            "blackhole": lambda: self._set("blackhole", True),
            "no-blackhole": lambda: self._set("blackhole", False),
            "bbs-mute": lambda: self._set("mute", True),
            "bbs-unmute": lambda: self._set("mute", False),
            "dns-down": lambda: self._set("dns_down", True),
            "dns-up": lambda: self._set("dns_down", False),
            "lock-elsewhere": lambda: self._held_elsewhere(True),
            "lock-back": lambda: self._held_elsewhere(False),
            "locket-hang": cluster.locket.hang,
            "locket-unhang": cluster.locket.unhang,
            "clear": self._clear,
        }
        self.with_pod: dict[str, Callable[[str], None]] = {
            "blind": lambda pod: self._faults.blind.update({pod: Outcome.TIMEOUT}),
            "unblind": lambda pod: self._drop(self._faults.blind, pod),
            "stuck": self._faults.stuck.add,
            "unstuck": self._unstick,
            "node-dies": self._node_dies,
            "node-back": self._unstick,
            "never-ready": self._faults.never_ready.add,
            "may-be-ready": self._faults.never_ready.discard,
            "never-starts": self._faults.never_starts.add,
            "may-start": self._faults.never_starts.discard,
            "crash": self._crash,
        }

    def apply(self, name: str, argument: str = "") -> None:
        """Raises UnknownFaultError."""
        if name in self.plain and not argument:
            self.plain[name]()
        elif name in self.with_pod and argument:
            self.with_pod[name](argument)
        else:
            raise UnknownFaultError(f"no such fault: {name} {argument}".strip())
        self._cluster.locket.look_soon()

    def _set(self, flag: str, value: bool) -> None:
        setattr(self._faults, flag, value)

    def _database(self, *, up: bool) -> None:
        self._cluster.locket.database_up = up

    def _split(self, value: bool) -> None:
        self._cluster.locket.split_brain = value

    def _held_elsewhere(self, value: bool) -> None:
        self._cluster.locket.held_elsewhere = value

    def _pods(self) -> list[Running]:
        return self._cluster.kubelet.pods

    def _programs(self, missing: set[str]) -> None:
        """The programs are gone from the Cloud Controller's containers that run now; new ones have them."""
        for pod in self._pods():
            if pod.name.startswith(f"{self._cluster.foundation.cloud_controller}-"):
                pod.missing_programs = set(missing)

    def _label(self, value: str | None) -> None:
        self._faults.freeze_label = True
        foundation = self._cluster.foundation
        for pod in self._cluster.store.all(PODS, foundation.namespace):
            if labels_of(pod).get(COMPONENT) == foundation.diego_api:
                self._cluster.kubelet.set_label(pod, value)

    def _label_all(self) -> None:
        self._label(self._cluster.foundation.active_label.active)

    def _label_none(self) -> None:
        self._label(self._cluster.foundation.active_label.passive)

    def _drop(self, mapping: dict[str, Outcome], key: str) -> None:
        mapping.pop(key, None)

    def _unstick(self, pod: str) -> None:
        self._faults.stuck.discard(pod)
        found = self._cluster.store.get(PODS, self._cluster.foundation.namespace, pod)
        if found is not None and is_terminating(found):
            self._cluster.kubelet.terminate(uid_of(found))
        for running in self._pods():
            if running.name == pod and running.lost:
                self._cluster.kubelet.bring_back(running)

    def _node_dies(self, pod: str) -> None:
        """The node of a pod is gone: its processes too, and whoever deletes the pod waits for ever."""
        self._faults.stuck.add(pod)
        for running in self._pods():
            if running.name == pod:
                self._cluster.kubelet.lose(running)

    def _crash(self, pod: str) -> None:
        for running in self._pods():
            if running.name == pod:
                self._cluster.kubelet.restart_container(running, running.bbs or running.locket or running.containers[0])

    def _clear(self) -> None:
        for name in (
            "locket-db-up",
            "thaw-label",
            "heal-brain",
            "healthy",
            "yes-nc",
            "no-blackhole",
            "bbs-unmute",
            "dns-up",
            "lock-back",
            "locket-unhang",
        ):
            self.plain[name]()
        self._faults.blind.clear()
        self._faults.never_ready.clear()
        self._faults.never_starts.clear()
        for pod in tuple(self._faults.stuck):
            self._unstick(pod)
