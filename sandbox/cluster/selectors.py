"""Label and field selectors, as the API's query parameters write them."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from sandbox.cluster.errors import bad_request
from sandbox.cluster.objects import Obj, labels_of

Predicate = Callable[[Obj], bool]

_KEY = r"(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9_.-]*"
_EQUALITY = re.compile(rf"^(?P<key>{_KEY})\s*(?P<operator>==|!=|=)\s*(?P<value>{_VALUE})$")
_SET = re.compile(rf"^(?P<key>{_KEY})\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EXISTS = re.compile(rf"^(?P<absent>!?)\s*(?P<key>{_KEY})$")
_COMMA = re.compile(r",(?![^()]*\))")
_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "status.phase",
    "spec.nodeName",
    "type",
    "reason",
    *(f"involvedObject.{field}" for field in ("kind", "namespace", "name", "uid")),
)


def everything(_obj: Obj) -> bool:
    return True


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether labels satisfy a map selector, as Services and `matchLabels` have it."""
    return all(labels.get(key) == value for key, value in wanted.items())


@lru_cache(maxsize=256)
def label_selector(text: str) -> Predicate:
    """Raises a 400 StatusError for what is not a selector."""
    tests = [_requirement(part.strip()) for part in _COMMA.split(text) if part.strip()]
    if not tests:
        return everything
    return lambda obj: all(test(labels_of(obj)) for test in tests)


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _EQUALITY.match(text):
        key, value, negated = found["key"], found["value"], found["operator"] == "!="
        return lambda labels: (labels.get(key) == value) != negated
    if found := _SET.match(text):
        key, negated = found["key"], found["operator"] == "notin"
        values = {value.strip() for value in found["values"].split(",")}
        return lambda labels: (labels.get(key) in values) != negated
    if found := _EXISTS.match(text):
        key, absent = found["key"], bool(found["absent"])
        return lambda labels: (key in labels) != absent
    raise bad_request(f"unable to parse requirement: {text!r}")


@lru_cache(maxsize=256)
def field_selector(text: str) -> Predicate:
    """Raises a 400 StatusError for a field that cannot be selected by."""
    tests: list[tuple[tuple[str, ...], str, bool]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.match(r"^([^=!]+?)(==|!=|=)(.*)$", part)
        if not found:
            raise bad_request(f"invalid selector: {part!r}; can't understand it")
        if found[1] not in _FIELDS:
            raise bad_request(f"field label not supported: {found[1]}")
        tests.append((tuple(found[1].split(".")), found[3], found[2] == "!="))
    if not tests:
        return everything
    return lambda obj: all((_field(obj, path) == value) != negated for path, value, negated in tests)


def _field(obj: Obj, path: tuple[str, ...]) -> str:
    value: object = obj
    for step in path:
        value = value.get(step, "") if isinstance(value, dict) else ""
    return str(value)
