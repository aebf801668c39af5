"""The view of one foundation: what Kubernetes knows and what the probes found, as one immutable value.

The exporter's watch, the runbook's checks and `diego-runbook check` fill the same `FoundationView`, and
`exporter.foundation.assess` draws the conclusions, so that a gauge, a decision and a sentence never disagree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.kubernetes.objects import Endpoints, Pod, Service, StatefulSet


class ProbeResult(StrEnum):
    """The result of a TCP probe. docs/proof.md says what each proves."""

    SUCCESS = "success"
    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    TLS = "tls"
    ERROR = "error"


class CallResult(StrEnum):
    """The result of a call of the BBS's API over TLS. docs/proof.md says what each proves."""

    ANSWERED = "answered"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    TLS = "tls"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the BBS's API: what it came to, when (seconds since the epoch), and in whose words."""

    result: CallResult
    at: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe: what it found, when (seconds since the epoch), how long it took (seconds), and in whose words.

    `call` is what was asked on the same connection; None: nothing was.
    """

    result: ProbeResult
    at: float
    duration: float = 0.0
    detail: str = ""
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known through one kind of probe, or of call: the last one, and the last that proved anything.

    `reachable`, for a call whether it is answered, and `known_at` belong to the last *good* one; an unknown one leaves
    them as they were.
    """

    last: Probe | Call | None = None
    reachable: bool | None = None
    known_at: float = 0.0

    def value(self, *, now: float, staleness: float) -> bool | None:
        """The last good value while it is at most `staleness` seconds old; None is unknown."""
        fresh = self.reachable is not None and now - self.known_at <= staleness
        return self.reachable if fresh else None


@dataclass(frozen=True, slots=True)
class Component:
    """A StatefulSet and the pods that it controls now, in the order of their ordinals."""

    name: str
    statefulset: StatefulSet | None
    pods: tuple[Pod, ...] = ()

    @classmethod
    def of(cls, name: str, statefulset: StatefulSet | None, pods: Iterable[Pod]) -> "Component":
        """Keeps only the pods whose controller is this very StatefulSet, by UID: a label proves nothing."""
        if statefulset is None:
            return cls(name, None)
        owned = sorted((pod for pod in pods if pod.owned_by(statefulset.uid)), key=lambda pod: pod.ordinal)
        return cls(name, statefulset, tuple(owned))

    @property
    def desired(self) -> int:
        return self.statefulset.spec.replicas if self.statefulset else 0

    @property
    def ready(self) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.pods if pod.fully_ready)


@dataclass(frozen=True, slots=True)
class FoundationView:
    """One immutable look at a foundation.

    `components` is by StatefulSet name; a component whose `statefulset` is None is known not to exist. `synced_at` is
    the moment up to which the Kubernetes part is known to be true (seconds since the epoch); None: nothing was read.
    """

    components: Mapping[str, Component] = field(default_factory=dict)
    service: Service | None = None
    endpoints: Endpoints | None = None
    synced: bool = False
    synced_at: float | None = None
    bbs: Reading = Reading()
    answers: Reading = Reading()  # calls of the BBS's API; evidence, never a gate
    pods: Mapping[str, Reading] = field(default_factory=dict)  # by pod UID
    database: Reading = Reading()
    locket: Reading = Reading()
