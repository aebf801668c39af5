"""From a tree of values to a checked model: every mistake at once, each with its line and its path.

pydantic finds the mistakes but knows no lines; the tree has the lines. The words are ours, for a person who reads
YAML and not Python.
"""

import difflib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.config.errors import Problem
from exporter.config.tree import Block, ListNode, Node, Scalar, child_path, describe, to_python
from exporter.config.types import Strict, quoted

Model = TypeVar("Model", bound=Strict)

_INHERITS: Final = re.compile(r"foundations\[[0-9]+\]\.(remediation\b)")
_WANTED: Final = {
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
}


def check(model: type[Model], tree: Node, *, file: str) -> tuple[Model | None, list[Problem]]:
    """The model of the tree, or None and every mistake in it."""
    try:
        return model.model_validate(to_python(tree)), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    # pydantic's mark beside another key that is wrong, which is reported.
    found = [_locate(tree, each) for each in details if each["type"] != "default_factory_not_called"]
    reported = {(each.path, each.error["msg"]) for each in found}
    return None, [
        Problem(file, each.line, each.path, _message(each.error, each.node, model=model))
        for each in found
        if each.origin == each.path or (each.origin, each.error["msg"]) not in reported
    ]


@dataclass(frozen=True)
class _Mistake:
    """An error of pydantic's in the tree.

    `origin` is the path that the value comes from: a foundation inherits the general `remediation`, and its `restart`
    follows its StatefulSets. What is wrong there as well is reported there alone.
    """

    error: ErrorDetails
    node: Node | None
    line: int | None
    path: str
    origin: str


def _locate(tree: Node, error: ErrorDetails) -> _Mistake:
    """The node at the error's place. If the file has none there, the line is that of the nearest block around it."""
    node: Node | None = tree
    line, path = tree.line, tree.path
    for part in error["loc"]:
        if part == "[key]":
            break  # pydantic's mark for a key that is wrong itself
        match node:
            case Block(entries=entries) if part in entries:
                node = entries[str(part)]
            case ListNode(items=items) if isinstance(part, int):
                node = items[part]
            case Scalar(line=int()):
                break  # a single name where a list is allowed
            case _:
                node = None
        path = child_path(path, part)
        if node is not None and node.path == path:
            line = node.line
    origin = node.path if node is not None and node.line is not None else _INHERITS.sub(r"\1", path)
    return _Mistake(error, node, line, path, origin)


def _message(error: ErrorDetails, node: Node | None, *, model: type[Strict]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    given = "nothing" if node is None else describe(node)
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), model=_model_at(model, error["loc"][:-1]))
    if kind in ("literal_error", "enum"):
        return f"must be {context['expected'].replace(chr(39), '')}, not {given}"
    if not kind.endswith("_type"):
        return error["msg"]
    wanted = f"{_WANTED.get(kind, error['msg'])}, not {given}"
    if kind == "string_type" and isinstance(node, Scalar) and node.value is not None:
        wanted += f"; if the text is meant, write {quoted(node.text)} in quotes"
    return wanted


def _unknown_key(key: str, *, model: type[Strict]) -> str:
    if key in model.not_supported:
        return f"is not supported: {model.not_supported[key]}"
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(key.lower(), known, n=1)
    if near:
        return f"is not a known key; did you mean {near[0]}?"
    return f"is not a known key; known here: {', '.join(known)}"


def _model_at(model: type[Strict], place: Sequence[str | int]) -> type[Strict]:
    """The model whose keys belong at the place."""
    for part in place:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            model = _model_in(fields[str(part)].annotation) or model
    return model


def _model_in(annotation: object) -> type[Strict] | None:
    if inspect.isclass(annotation) and issubclass(annotation, Strict):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
