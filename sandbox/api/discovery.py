"""What kubectl asks before it asks for anything: versions, groups, resources, health."""

from sandbox.cluster.objects import Obj
from sandbox.cluster.resources import ACCESS_REVIEWS, SERVED, Resource

_SHORT = {"pods": ["po"], "services": ["svc"], "endpoints": ["ep"], "configmaps": ["cm"], "events": ["ev"]} | {
    "statefulsets": ["sts"],
    "namespaces": ["ns"],
}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def document(path: str) -> Obj | str | None:
    """The document at a path that is no resource's; None where there is none."""
    path = path.rstrip("/")
    if path in ("/healthz", "/readyz", "/livez"):
        return "ok"
    if path == "/version":
        return {"major": "1", "minor": "20", "gitVersion": "v1.20.2+sandbox", "platform": "loopback"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(group, version) for group, version in _groups() if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for group, version in _groups():
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
            resources = [_resource(item) for item in SERVED if item.group == group]
            group_version = f"{group}/{version}" if group else version
            return {"kind": "APIResourceList", "groupVersion": group_version, "resources": resources}
        if group and path == f"/apis/{group}":
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group, version)
    return None


def _groups() -> list[tuple[str, str]]:
    return list(dict.fromkeys((item.group, item.version) for item in SERVED))


def _group(group: str, version: str) -> Obj:
    one = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [one], "preferredVersion": one}


def _resource(item: Resource) -> Obj:
    verbs = ["create"] if item is ACCESS_REVIEWS else _VERBS
    return {
        "name": item.plural,
        "singularName": item.kind.lower(),
        "namespaced": item.namespaced,
        "kind": item.kind,
        "verbs": verbs,
        "shortNames": _SHORT.get(item.plural, []),
    }
