"""The profiles: what differs between the distributions of Cloud Foundry on Kubernetes, as presets of the config.

docs/profiles.md has the source of each value: a document, source code or an assumption.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

DEFAULT_PROFILE: Final = "cfee-2"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One distribution; every field has the value of most of them."""

    bbs_service: str = "diego-api"
    api_statefulset: str = "api"
    # None: the container is found as `cloud_controller.container` says; the StatefulSet's own name, in most.
    api_container: str | None = None
    active_label: str = "skiff-role-active=true"
    # Restarted before the diego-api pods: Locket, where it has pods of its own.
    restart_first: tuple[str, ...] = ()
    confirm_attempts: int = 4

    def preset(self, *, namespace: str, diego_api: Sequence[object]) -> dict[str, object]:
        """The profile as a config file would write it.

        Args:
            namespace: the foundation's, a part of the BBS' host name.
            diego_api: the StatefulSets as the file names them, because `restart` follows them; empty for the default.

        """
        names = tuple(diego_api) or ("diego-api",)
        return {
            "bbs": {"host": f"{self.bbs_service}.{namespace}.svc.cluster.local"},
            "diego_api": {"statefulset": names, "active_label": self.active_label},
            "cloud_controller": {"statefulset": self.api_statefulset, "container": self.api_container},
            "restart": (*self.restart_first, *names),
            "remediation": {"confirm": {"attempts": self.confirm_attempts, "interval": "10s"}},
        }


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "cfee-2": Profile(),
        "cfee-1": Profile(restart_first=("diego-locket",)),
        "cfee-2-late": Profile(bbs_service="diego-api-set", api_statefulset="api-group", api_container="api-group"),
        "scf": Profile(bbs_service="diego-api-bbs"),
        # The quarks operator writes the label every 30 s, so a healthy failover shows later than elsewhere.
        "kubecf": Profile(active_label="quarks.cloudfoundry.org/pod-active=active", confirm_attempts=6),
    }
)
