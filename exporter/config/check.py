"""From a tree of values to a checked model: every mistake at once, each with its line and its path.

pydantic finds the mistakes but knows no lines; the tree has the lines. The words are ours, for a person who reads
YAML and not Python.
"""

import difflib
import inspect
from collections.abc import Iterable
from typing import Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.errors import Problem
from exporter.config.tree import Block, Node, Scalar, Sequence, child_path, describe, to_python
from exporter.config.types import quoted

Model = TypeVar("Model", bound=BaseModel)

_WANTED: Final = {
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
}


def check(model: type[Model], tree: Node, *, file: str) -> tuple[Model | None, list[Problem]]:
    """Return the model of the tree, or None and everything that is wrong with it."""
    try:
        return model.model_validate(to_python(tree)), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [
            _problem(each, model=model, tree=tree, file=file)
            for each in details
            if each["type"] != "default_factory_not_called"  # for another key is wrong, and is reported
        ]


def _problem(error: ErrorDetails, *, model: type[BaseModel], tree: Node, file: str) -> Problem:
    node, line, path = _locate(tree, error["loc"])
    return Problem(file, line, path, _message(error, node, model=model))


def _locate(tree: Node, loc: Iterable[str | int]) -> tuple[Node | None, int | None, str]:
    """Return the node at the location, with its line and path; of one that nobody wrote, the nearest that was."""
    node: Node | None = tree
    line, path = tree.line, tree.path
    for part in loc:
        if part == "[key]":
            break  # pydantic's mark for a key that is wrong itself
        match node:
            case Block(entries=entries) if part in entries:
                node = entries[str(part)]
            case Sequence(items=items) if isinstance(part, int):
                node = items[part]
            case Scalar(line=int()):
                break  # a single name where a list may stand
            case _:
                node, path = None, child_path(path, part)
                continue
        written = node.line is not None
        line, path = (node.line, node.path) if written else (line, child_path(path, part))
    return node, line, path


def _message(error: ErrorDetails, node: Node | None, *, model: type[BaseModel]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    given = "nothing" if node is None else describe(node)
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), known=_keys(model, error["loc"][:-1]))
    if kind == "literal_error":
        return f"must be {context['expected'].replace(chr(39), '')}, not {given}"
    if not kind.endswith("_type"):
        return error["msg"]
    wanted = f"{_WANTED.get(kind, error['msg'])}, not {given}"
    if kind == "string_type" and isinstance(node, Scalar) and node.value is not None:
        wanted += f"; if the text is meant, write {quoted(node.text)} in quotes"
    return wanted


def _unknown_key(key: str, *, known: list[str]) -> str:
    near = difflib.get_close_matches(key.lower(), known, n=1)
    if near:
        return f"is not a known key; did you mean {near[0]}?"
    return f"is not a known key; known here: {', '.join(known)}"


def _keys(model: type[BaseModel], loc: Iterable[str | int]) -> list[str]:
    """Return the keys that the model knows at a location."""
    for part in loc:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            model = _model_in(fields[str(part)].annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
