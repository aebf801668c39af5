"""Kubernetes objects, decoded with only the fields in use."""

from collections.abc import Iterator

import msgspec

ROLLING_UPDATE = "RollingUpdate"
ORDERED_READY = "OrderedReady"


class Object(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of what is decoded from the API: unknown fields are skipped, known ones are checked."""


class OwnerReference(Object, frozen=True, omit_defaults=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class Metadata(Object, frozen=True):
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[OwnerReference] | None = None
    finalizers: list[str] | None = None


class Stored(Object, frozen=True):
    """Base of the kinds that are listed and watched."""

    metadata: Metadata

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def uid(self) -> str:
        return self.metadata.uid


class ContainerSpec(Object, frozen=True):
    name: str


class PodSpec(Object, frozen=True):
    containers: list[ContainerSpec] = []
    node_name: str = ""
    termination_grace_period_seconds: int | None = None


class StateReason(Object, frozen=True):
    reason: str = ""
    message: str = ""


class ContainerState(Object, frozen=True):
    waiting: StateReason | None = None
    terminated: StateReason | None = None


class ContainerStatus(Object, frozen=True):
    name: str
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()


class Condition(Object, frozen=True):
    type: str
    status: str = ""
    reason: str = ""
    message: str = ""


class PodStatus(Object, frozen=True):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None


class Pod(Stored, frozen=True):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ip(self) -> str:
        return self.status.pod_ip

    @property
    def terminating(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def containers(self) -> int:
        """How many containers the pod asks for: the right-hand number of kubectl's READY column."""
        return len(self.spec.containers)

    @property
    def containers_ready(self) -> int:
        """How many of them are ready: the left-hand number of kubectl's READY column."""
        return sum(status.ready for status in self.status.container_statuses or ())

    @property
    def fully_ready(self) -> bool:
        """`Running` with every container ready, e.g. `2/2`, and not terminating (docs/runbook.md, steps 2 and 6).

        On a node that is lost the containers keep the status that its kubelet reported last; there the node controller
        sets the pod's Ready condition to False, and so that has a say where there is one.
        """
        return (
            self.status.phase == "Running"
            and not self.terminating
            and self.containers > 0
            and self.containers_ready == self.containers
            and not any(each.type == "Ready" and each.status != "True" for each in self.status.conditions or ())
        )

    @property
    def restarts(self) -> int:
        return sum(status.restart_count for status in self.status.container_statuses or ())

    @property
    def revision(self) -> str:
        """The StatefulSet's revision that the pod was made from."""
        return (self.metadata.labels or {}).get("controller-revision-hash", "")

    @property
    def ordinal(self) -> int:
        """The number at the end of a StatefulSet's pod name; -1 where there is none."""
        tail = self.name.rpartition("-")[2]
        return int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else -1

    def has_label(self, key: str, value: str) -> bool:
        return (self.metadata.labels or {}).get(key) == value

    def owned_by(self, uid: str) -> bool:
        """Whether the controller of the pod is the object with this UID."""
        return any(owner.controller and owner.uid == uid for owner in self.metadata.owner_references or ())


class Expression(Object, frozen=True):
    key: str
    operator: str
    values: list[str] = []


class Selector(Object, frozen=True):
    match_labels: dict[str, str] = {}
    match_expressions: list[Expression] = []

    def __str__(self) -> str:
        """As the API takes it in `labelSelector`."""
        terms = [f"{key}={value}" for key, value in sorted(self.match_labels.items())]
        for expression in self.match_expressions:
            match expression.operator:
                case "In":
                    terms.append(f"{expression.key} in ({','.join(expression.values)})")
                case "NotIn":
                    terms.append(f"{expression.key} notin ({','.join(expression.values)})")
                case "Exists":
                    terms.append(expression.key)
                case _:  # DoesNotExist is the only other operator that the API accepts
                    terms.append(f"!{expression.key}")
        return ",".join(terms)


class RollingUpdate(Object, frozen=True):
    partition: int = 0


class UpdateStrategy(Object, frozen=True):
    type: str = ROLLING_UPDATE
    rolling_update: RollingUpdate | None = None


class Ordinals(Object, frozen=True):
    start: int = 0


class StatefulSetSpec(Object, frozen=True):
    replicas: int = 1
    ordinals: Ordinals | None = None  # Kubernetes 1.26 and later
    selector: Selector = Selector()
    pod_management_policy: str = ORDERED_READY
    update_strategy: UpdateStrategy = UpdateStrategy()


class StatefulSetStatus(Object, frozen=True):
    observed_generation: int = 0
    current_revision: str = ""
    update_revision: str = ""


class StatefulSet(Stored, frozen=True):
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()

    @property
    def one_after_another(self) -> bool:
        """Whether a pod is only created when the one before it is ready (`OrderedReady`, SCF's diego-api)."""
        return self.spec.pod_management_policy == ORDERED_READY

    @property
    def pod_names(self) -> Iterator[str]:
        """The names of the pods that it should have, one by one: `replicas` is any number that somebody wrote."""
        first = self.spec.ordinals.start if self.spec.ordinals else 0
        return (f"{self.name}-{first + index}" for index in range(self.spec.replicas))

    def next_revision(self, ordinal: int) -> str:
        """The revision that the controller would make this pod from, if it were deleted now."""
        strategy = self.spec.update_strategy
        partition = strategy.rolling_update.partition if strategy.rolling_update else 0
        held_back = strategy.type == ROLLING_UPDATE and ordinal < partition
        return self.status.current_revision if held_back else self.status.update_revision


class ServiceSpec(Object, frozen=True):
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    selector: dict[str, str] | None = None


class Service(Stored, frozen=True):
    spec: ServiceSpec = ServiceSpec()


class EndpointAddress(Object, frozen=True):
    ip: str


class EndpointSubset(Object, frozen=True):
    addresses: list[EndpointAddress] | None = None


class Endpoints(Stored, frozen=True):
    subsets: list[EndpointSubset] | None = None

    @property
    def ready_addresses(self) -> tuple[str, ...]:
        return tuple(address.ip for subset in self.subsets or () for address in subset.addresses or ())
