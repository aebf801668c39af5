"""The stand-in Cloud Foundry: its StatefulSets and Services, and how fast things happen.

`command: [bbs]`, `[locket]` and `[sleep, infinity]` are what the kubelet here can run; `active-passive-probe` is
fissile's readiness script, which patches its own pod's label.
"""

from dataclasses import dataclass

from sandbox.cluster.objects import Obj

COMPONENT = "app.kubernetes.io/component"
BBS_PORT = 8889
PING_PORT = 8890
LOCKET_PORT = 8891
BBS = "bbs"
LOCKET = "locket"
PROBE = "active-passive-probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveLabel:
    """The label that marks the active pod; a passive one has the value `passive`, or lacks the label for None."""

    key: str = "skiff-role-active"
    active: str = "true"
    passive: str | None = "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds."""

    controller: float = 0.02
    """A controller acts on a change."""
    schedule: float = 0.05
    """A new pod gets its node."""
    start: float = 0.5
    """Its containers run."""
    stop: float | None = None
    """From SIGTERM to the end of the processes; None: they ignore it, and are killed when the grace period is over."""
    remove: float = 0.05
    """From the end of the processes until the pod is gone from the API."""
    probe: float = 2.0
    """Period of the readiness probe, and so of the label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What stands in the namespace; the defaults are CFEE's names."""

    namespace: str = "cf"
    diego_api: str = "diego-api"
    diego_api_replicas: int = 2
    service: str = "diego-api"
    headless: bool = False
    cloud_controller: str = "api"
    cloud_controller_replicas: int = 2
    locket: str | None = None
    """The StatefulSet of Locket where it has pods of its own, as before CFEE 2.0."""
    pod_management: str = "Parallel"
    update_strategy: str = "RollingUpdate"
    grace: int = 2
    """terminationGracePeriodSeconds of every pod; fissile's is 600."""
    active_label: ActiveLabel = ActiveLabel()

    def manifests(self) -> list[Obj]:
        """Services first, so that they have their addresses before pods look for them."""
        objects = [self._service()]
        diego_api = self._container(self.diego_api, BBS) | {
            "readinessProbe": {"exec": {"command": [PROBE]}, "failureThreshold": 2}
        }
        objects.append(self._statefulset(self.diego_api, self.diego_api_replicas, diego_api))
        if self.locket:
            objects.append(self._statefulset(self.locket, 2, self._container(self.locket, LOCKET)))
        cloud_controller = self._container(self.cloud_controller, "sleep", "infinity")
        objects.append(self._statefulset(self.cloud_controller, self.cloud_controller_replicas, cloud_controller))
        return objects

    @staticmethod
    def _container(name: str, *command: str) -> Obj:
        return {"name": name, "image": "cfbox:test", "imagePullPolicy": "Never", "command": list(command)}

    def _service(self) -> Obj:
        selector = {COMPONENT: self.diego_api, self.active_label.key: self.active_label.active}
        spec: Obj = {"type": "ClusterIP", "selector": selector, "ports": [_port("bbs", BBS_PORT)]}
        if self.headless:
            spec["clusterIP"] = "None"
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": self.service}, "spec": spec}

    def _statefulset(self, name: str, replicas: int, container: Obj) -> Obj:
        labels = {COMPONENT: name}
        agent = self._container("loggregator-agent", "sleep", "infinity")
        spec = {
            "serviceName": f"{name}-set",
            "podManagementPolicy": self.pod_management,
            "updateStrategy": {"type": self.update_strategy},
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels | {"skiff-role-name": name}},
                "spec": {"terminationGracePeriodSeconds": self.grace, "containers": [container, agent]},
            },
        }
        metadata = {"name": name, "labels": labels}
        return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def _port(name: str, number: int) -> Obj:
    return {"name": name, "port": number, "protocol": "TCP", "targetPort": number}
