"""The names that follow from a foundation's config: its StatefulSets, and the Service behind `bbs.host`."""

import ipaddress

from exporter.config.model import Foundation


def component_names(foundation: Foundation) -> tuple[str, ...]:
    """The StatefulSets that matter to a foundation, each once."""
    names = foundation.diego_api.statefulset + foundation.cloud_controller.statefulset + foundation.restart
    return tuple(dict.fromkeys(names))


def service_name(foundation: Foundation) -> str | None:
    """The Service in the foundation's namespace that `bbs.host` names; None for an address or a name outside of it.

    As a cluster's DNS has it: `NAME`, `NAME.NAMESPACE`, `NAME.NAMESPACE.svc` and whatever the cluster's domain is.
    """
    if is_address(foundation.bbs.host):
        return None
    name, *rest = foundation.bbs.host.rstrip(".").lower().split(".")
    if rest[:1] not in ([], [foundation.namespace]) or rest[1:2] not in ([], ["svc"]):
        return None
    return name


def is_address(host: str) -> bool:
    """Whether the host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
