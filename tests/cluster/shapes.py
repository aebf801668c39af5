"""Stand-in foundations on the real cluster, each with the names, labels and order of a profile.

Their BBS and its readiness script are those of the cluster's own foundation, copied from its ConfigMap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.inside import resolver

Json = dict[str, Any]

COMPONENT = "app.kubernetes.io/component"
IMAGE = "docker.io/library/cfbox:test"
SKIFF, QUARKS = ("skiff-role-active", "true"), ("quarks.cloudfoundry.org/pod-active", "active")
SCRIPTS = "cf-scripts"
MOUNT = "/stand-in"
BBS = f"{MOUNT}/bbs.py"
"""Not where the cluster's own foundation has it, whose processes other tests look for."""
KEEPS_THE_LOCK = "locket-keeps-the-lock"
ACCOUNT = "active-passive"
_LOCKET = f"until [ -e /locket/{KEEPS_THE_LOCK} ]; do sleep 0.2; done; exec flock /locket/lock sleep infinity"
"""Locket: it hangs where this file is, and keeps the lock of a BBS that died until it is restarted."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What stands in a namespace. The name of the foundation is that of its namespace."""

    namespace: str
    profile: str
    service: str = "diego-api"
    headless: bool = False
    """The Service has no address, so its name has a record only while a pod is active."""
    label: tuple[str, str] = SKIFF
    bbs_containers: tuple[str, ...] = ("diego-api", "loggregator-agent")
    api: str = "api"
    api_containers: tuple[str, ...] = ("api", "loggregator-agent")
    api_replicas: int = 2
    locket: bool = False
    """Locket has pods of its own."""
    order: str = "Parallel"
    """podManagementPolicy of `diego-api`."""
    remediation: Json | None = None
    """Overrides of the times of the test."""

    @property
    def restarted(self) -> tuple[str, ...]:
        """The StatefulSets that the profile restarts, in its order."""
        return ("diego-locket", "diego-api") if self.locket else ("diego-api",)

    @property
    def by_operator(self) -> bool:
        """The label is written by an operator, not by the pod's own readiness script, and a passive pod lacks it."""
        return self.label == QUARKS

    @property
    def pods(self) -> int:
        return 2 * len(self.restarted) + self.api_replicas

    def config(self) -> Json:
        """The foundation as a config has it: the profile and none of its values."""
        own: Json = {"name": self.namespace, "profile": self.profile, "namespace": self.namespace}
        return own | {"bbs": {"interval": "1s"}} | ({"remediation": self.remediation} if self.remediation else {})

    def manifests(self, *, scripts: Json, locket: Path, nameserver: str) -> Iterator[Json]:
        """All objects. `scripts`: the files of the ConfigMap; `locket`: a folder of the node, this foundation's own."""
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        yield self._object("v1", "ConfigMap", SCRIPTS, data=scripts)
        yield from self._rights()
        yield self._object("v1", "Service", self.service, spec=self._service())
        volumes = [
            {"name": "cf", "configMap": {"name": SCRIPTS}},
            {"name": "locket", "hostPath": {"path": str(locket), "type": "DirectoryOrCreate"}},
        ]
        pod = resolver(nameserver) | {"terminationGracePeriodSeconds": 2, "volumes": volumes}
        for name, replicas, containers in (
            *([("diego-locket", 2, [self._container("diego-locket", "bash", "-c", _LOCKET)])] if self.locket else []),
            ("diego-api", 2, [self._bbs(), *map(self._idle, self.bbs_containers[1:])]),
            (self.api, self.api_replicas, [*map(self._idle, self.api_containers)]),
        ):
            account = {"serviceAccountName": ACCOUNT} if name == "diego-api" else {}
            yield self._statefulset(name, replicas, pod | account | {"containers": containers})

    def _object(self, version: str, kind: str, name: str, **content: Any) -> Json:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": version, "kind": kind, "metadata": metadata} | content

    def _rights(self) -> Iterator[Json]:
        """What the readiness script needs to label its own pod."""
        group = "rbac.authorization.k8s.io"
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]}]
        subjects = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}]
        role = {"apiGroup": group, "kind": "Role", "name": ACCOUNT}
        yield self._object("v1", "ServiceAccount", ACCOUNT)
        yield self._object(f"{group}/v1", "Role", ACCOUNT, rules=rules)
        yield self._object(f"{group}/v1", "RoleBinding", ACCOUNT, roleRef=role, subjects=subjects)

    def _service(self) -> Json:
        key, active = self.label
        spec: Json = {"selector": {COMPONENT: "diego-api", key: active}, "ports": [{"name": "bbs", "port": 8889}]}
        return spec | ({"clusterIP": "None"} if self.headless else {})

    def _bbs(self) -> Json:
        """Labelled by its own readiness probe, or by an operator, which is the test (`Standing.operate`)."""
        probe: Json = {"httpGet": {"path": "/ping", "port": 8890}}
        if not self.by_operator:
            probe = {"exec": {"command": ["bash", f"{MOUNT}/ready.sh"]}}
        container = self._container(self.bbs_containers[0], "python3", "-u", BBS)
        return container | {"readinessProbe": probe | {"periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 2}}

    def _idle(self, name: str) -> Json:
        return self._container(name, "sleep", "infinity")

    def _container(self, name: str, *command: str) -> Json:
        mounts = [{"name": "cf", "mountPath": MOUNT}, {"name": "locket", "mountPath": "/locket"}]
        container: Json = {"name": name, "image": IMAGE, "imagePullPolicy": "Never", "command": [*command]}
        return container | {"volumeMounts": mounts, "env": [{"name": "FOUNDATION", "value": self.namespace}]}

    def _statefulset(self, name: str, replicas: int, pod: Json) -> Json:
        labels = {COMPONENT: name}
        spec = {
            "serviceName": f"{name}-set",
            "podManagementPolicy": self.order if name == "diego-api" else "Parallel",
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        return self._object("apps/v1", "StatefulSet", name, spec=spec)


SHAPES = [
    Shape(
        namespace="kubecf",
        profile="kubecf",
        headless=True,
        label=QUARKS,
        order="OrderedReady",
        bbs_containers=("bbs-bbs", "locket-locket"),
        api_containers=("cloud-controller-ng-cloud-controller-ng", "cloud-controller-ng-nginx"),
    ),
    Shape(namespace="scf", profile="scf", service="diego-api-bbs", order="OrderedReady"),
    Shape(namespace="cfee-1", profile="cfee-1", locket=True, api_replicas=1),
    Shape(
        namespace="cfee-1-locket",
        profile="cfee-1",
        locket=True,
        api_replicas=1,
        # Long enough for the label to follow a BBS that is back: after Locket's restart it is proved again.
        remediation={"confirm": {"attempts": 10, "interval": "2s"}},
    ),
    Shape(
        namespace="cfee-2-late",
        profile="cfee-2-late",
        service="diego-api-set",
        headless=True,
        api="api-group",
        api_containers=("loggregator-agent", "api-group"),
    ),
]
