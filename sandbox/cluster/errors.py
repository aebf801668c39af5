"""The API server's refusals, as `Status` objects with the codes, reasons and words of kube-apiserver 1.20."""

from collections.abc import Sequence

from sandbox.cluster.objects import Obj
from sandbox.cluster.resources import Resource


class StatusError(Exception):
    """A request was refused; `body` is the Status object that the client gets."""

    def __init__(self, code: int, reason: str, message: str, *, details: Obj | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    @property
    def body(self) -> Obj:
        status: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status["message"] = self.message
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def _details(resource: Resource, name: str) -> Obj:
    details: Obj = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return details | {"kind": resource.plural}


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, *, user: str, verb: str, subresource: str, namespace: str) -> StatusError:
    what = f'{resource.qualified} "{name}"' if name else resource.qualified
    path = f"{resource.plural}/{subresource}" if subresource else resource.plural
    message = (
        f'{what} is forbidden: User "{user}" cannot {verb} resource "{path}" in API group "{resource.group}"'
        f' in the namespace "{namespace}"'
    )
    return StatusError(403, "Forbidden", message, details=_details(resource, name))


def not_found(resource: Resource, name: str) -> StatusError:
    return StatusError(404, "NotFound", f'{resource.qualified} "{name}" not found', details=_details(resource, name))


def no_such_resource() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", details={})


def method_not_allowed() -> StatusError:
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, details={})


def already_exists(resource: Resource, name: str) -> StatusError:
    return StatusError(
        409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', details=_details(resource, name)
    )


def conflict(resource: Resource, name: str, why: str = "") -> StatusError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return StatusError(409, "Conflict", message, details=_details(resource, name))


def uid_conflict(resource: Resource, name: str, *, wanted: str, actual: str) -> StatusError:
    """A delete's UID precondition failed; here kube-apiserver names the kind, not the plural."""
    message = (
        f'Operation cannot be fulfilled on {resource.kind} "{name}": the UID in the precondition ({wanted}) does not '
        f"match the UID in record ({actual}). The object might have been deleted and then recreated"
    )
    return StatusError(409, "Conflict", message, details={"name": name, "kind": resource.kind})


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def unsupported_media_type() -> StatusError:
    return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})


def invalid(resource: Resource, name: str, causes: Sequence[tuple[str, str, str]]) -> StatusError:
    """422; each cause is (field, reason, message)."""
    text = ", ".join(f"{field}: {message}" for field, _reason, message in causes)
    details = {"name": name, "kind": resource.kind} | {
        "causes": [{"reason": reason, "message": message, "field": field} for field, reason, message in causes]
    }
    return StatusError(422, "Invalid", f'{resource.kind} "{name}" is invalid: {text}', details=details)


def unprocessable(message: str = "the server rejected our request due to an error in our request") -> StatusError:
    return StatusError(422, "Invalid", message, details={})


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}")


def too_large_resource_version(wanted: int, current: int) -> StatusError:
    details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return StatusError(504, "Timeout", message, details=details | {"retryAfterSeconds": 1})
