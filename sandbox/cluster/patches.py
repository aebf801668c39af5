"""Patches: JSON merge patch (RFC 7386) and JSON patch (RFC 6902).

A strategic merge patch is applied as a merge patch: they differ in how lists with merge keys are treated, which nothing
here patches.
"""

from typing import Any

from sandbox.cluster.errors import StatusError, bad_request, unprocessable, unsupported_media_type
from sandbox.cluster.objects import Obj, thaw

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"


def apply(target: Obj, patch: Any, content_type: str) -> Obj:
    """The patched copy of an object. Raises StatusError 400, 415 or 422."""
    if content_type in (MERGE, STRATEGIC):
        if not isinstance(patch, dict):
            raise bad_request("a merge patch must be a JSON object")
        merged: Obj = merge(target, patch)
        return merged
    if content_type == JSON:
        if not isinstance(patch, list):
            raise bad_request("a JSON patch must be a list of operations")
        return _json_patch(target, patch)
    raise unsupported_media_type()


def merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return thaw(patch)
    result = thaw(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _json_patch(target: Obj, operations: list[Any]) -> Obj:
    root: Any = {"": thaw(target)}
    for operation in operations:
        try:
            _operate(root, operation)
        except StatusError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise unprocessable() from error
    result: Obj = root[""]
    return result


def _operate(root: Any, operation: Any) -> None:
    kind, path = operation["op"], operation["path"]
    if kind in ("move", "copy"):
        parent, key = _locate(root, operation["from"])
        value = thaw(parent[key])
        if kind == "move":
            del parent[key]
    else:
        value = operation.get("value")
    parent, key = _locate(root, path)
    if kind == "test":
        if parent[key] != value:
            raise unprocessable()
    elif kind == "remove":
        del parent[key]
    elif kind == "replace":
        parent[key]  # what is replaced must exist
        parent[key] = value
    elif kind in ("add", "move", "copy"):
        if isinstance(parent, list):
            parent.insert(key, value)
        else:
            parent[key] = value
    else:
        raise unprocessable()


def _locate(root: Any, pointer: str) -> tuple[Any, Any]:
    *steps, last = pointer.split("/")
    value = root
    for step in steps:
        value = value[_key(value, step)]
    return value, _key(value, last)


def _key(container: Any, step: str) -> Any:
    step = step.replace("~1", "/").replace("~0", "~")
    if isinstance(container, list):
        return len(container) if step == "-" else int(step)
    return step
