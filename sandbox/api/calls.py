"""A request to the API, and what its path says it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from sandbox.cluster import errors
from sandbox.cluster.resources import Resource, find

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request, as far as the API server looks at it."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    token: str | None = None
    content_type: str = "application/json"
    body: bytes = b""
    user_agent: str = ""

    def first(self, key: str, default: str = "") -> str:
        values = self.query.get(key)
        return values[0] if values else default

    def flag(self, key: str) -> bool:
        return self.first(key).lower() in ("true", "1")

    def number(self, key: str) -> int | None:
        """Raises a 400 StatusError for what is not a number."""
        text = self.first(key)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What a call is about, in the words that authorization and the audit log use."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str


@lru_cache(maxsize=1024)
def target(method: str, path: str, *, watch: bool) -> Target | None:
    """Reads the path; None for one that is no resource's. Raises a 404 or 405 StatusError."""
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if not rest:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = find(group, version, rest[0])
    if resource is None or len(rest) > 3:
        raise errors.no_such_resource()
    name, subresource = [*rest[1:], "", ""][:2]
    if subresource and subresource not in resource.subresources:
        raise errors.no_such_resource()
    verb = _VERBS.get(method)
    if verb is None or (verb == "create" and name and not subresource) or (verb in ("update", "patch") and not name):
        raise errors.method_not_allowed()
    if verb == "get" and not name:
        verb = "watch" if watch else "list"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    return Target(verb=verb, resource=resource, namespace=namespace, name=name, subresource=subresource)
