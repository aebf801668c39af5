"""The resources that the embedded API serves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A kind of object and where it stands in the API; there is one value of each."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    subresources: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As error messages name it: `statefulsets.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod", subresources=frozenset({"status", "log", "exec"}))
SERVICES = Resource("", "v1", "services", "Service", subresources=frozenset({"status"}))
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS = Resource("", "v1", "events", "Event")
STATEFULSETS = Resource("apps", "v1", "statefulsets", "StatefulSet", subresources=frozenset({"status"}))
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)

STORED = (NAMESPACES, PODS, SERVICES, ENDPOINTS, CONFIGMAPS, EVENTS, STATEFULSETS, LEASES)
SERVED = (*STORED, ACCESS_REVIEWS)


def find(group: str, version: str, plural: str) -> Resource | None:
    for resource in SERVED:
        if (resource.group, resource.version, resource.plural) == (group, version, plural):
            return resource
    return None
