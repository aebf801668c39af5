"""Who may do what: tokens stand for users, and everything is allowed that no rule denies."""

from dataclasses import dataclass, field

from sandbox.cluster import errors
from sandbox.cluster.objects import Obj

TOKEN = "sandbox-token"  # noqa: S105 - of a cluster that exists on loopback, for a minute
USER = "diego-medic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Denies a verb on a resource (`pods`, `pods/exec`; `*` for any); empty name and user stand for all."""

    verb: str
    resource: str
    name: str = ""
    user: str = ""

    def matches(self, *, user: str, verb: str, resource: str, name: str) -> bool:
        return (
            self.verb in ("*", verb)
            and self.resource in ("*", resource)
            and self.name in ("", name)
            and self.user in ("", user)
        )


@dataclass(slots=True)
class Access:
    """The API's authentication and authorization."""

    users: dict[str, str] = field(default_factory=lambda: {TOKEN: USER})
    """User names by token."""
    denials: list[Denial] = field(default_factory=list)

    def user(self, token: str | None) -> str:
        """Raises a 401 StatusError."""
        user = self.users.get(token or "")
        if user is None:
            raise errors.unauthorized()
        return user

    def allows(self, *, user: str, verb: str, resource: str, name: str) -> bool:
        return not any(denial.matches(user=user, verb=verb, resource=resource, name=name) for denial in self.denials)

    def review(self, user: str, body: Obj) -> Obj:
        """Answers a SelfSubjectAccessReview."""
        attributes = (body.get("spec") or {}).get("resourceAttributes") or {}
        resource, subresource = attributes.get("resource", ""), attributes.get("subresource", "")
        allowed = self.allows(
            user=user,
            verb=attributes.get("verb", ""),
            resource=f"{resource}/{subresource}" if subresource else resource,
            name=attributes.get("name", ""),
        )
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {"creationTimestamp": None},
            "spec": body.get("spec") or {},
            "status": {"allowed": allowed} if allowed else {"allowed": False, "reason": "denied in the sandbox"},
        }
