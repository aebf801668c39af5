"""What is broken in the foundation at the moment; the switches that set it are in `sandbox.cluster.switches`."""

from dataclasses import dataclass, field

from sandbox.cluster.programs import Outcome


@dataclass(slots=True)
class Faults:
    """The state of the faults that pods and their network feel; Locket's are Locket's own."""

    freeze_label: bool = False
    unhealthy: bool = False
    dns_down: bool = False
    blackhole: bool = False
    """Packets to port 8889 are lost, on every pod and so on the Service."""
    mute: bool = False
    """The BBS's own database is silent: whoever leads keeps the lock and accepts, and does not answer."""
    blind: dict[str, Outcome] = field(default_factory=dict)
    """What every connection from these pods comes to."""
    stuck: set[str] = field(default_factory=set)
    """Pods, by name, that go on running when they are deleted."""
    never_ready: set[str] = field(default_factory=set)
    never_starts: set[str] = field(default_factory=set)
    """Pods, by name, whose containers are not started: for the kubelet they are still being created."""
