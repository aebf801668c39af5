"""From a tree of values to a checked model: every mistake at once, each with its line and its path.

The annotations of a model say what is right, and this walks them and the tree side by side. The words are for a person
who reads YAML and not Python.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from exporter.config.errors import ConfigError, Problem
from exporter.config.tree import Block, ListNode, Node, Scalar, child_path, describe, from_python, to_python
from exporter.config.types import Between, Derived, Parse, Rule, RuleError, Strict, WrongTypeError, quoted

Model = TypeVar("Model", bound=Strict)

_INHERITS: Final = re.compile(r"foundations\[[0-9]+\]\.(remediation\b)")
_WANTED: Final = {str: "must be a string", int: "must be a whole number", bool: "must be true or false"}


def check(model: type[Model], tree: Node, *, file: str) -> tuple[Model | None, list[Problem]]:
    """The model of the tree, or None and every mistake in it."""
    reading = _Reading()
    found = reading.value(model, to_python(tree), _Place(tree, tree.line, tree.path))
    reported = {(each.place.path, each.message) for each in reading.mistakes}
    return (found if isinstance(found, model) else None), [
        Problem(file, each.place.line, each.place.path, each.message)
        for each in reading.mistakes
        if each.place.origin == each.place.path or (each.place.origin, each.message) not in reported
    ]


def validated(model: type[Model], content: Mapping[str, object]) -> Model:
    """The model of plain values, as a file would have them. Raises ConfigError."""
    found, problems = check(model, from_python(dict(content)), file="")
    if found is None:
        raise ConfigError(problems)
    return found


@dataclass(frozen=True)
class _Place:
    """Where a value is: its path, and the line of it or, where the file has none there, of the block around it.

    `node` is what is written there, None where nothing is.
    """

    node: Node | None
    line: int | None
    path: str

    def of(self, key: str | int) -> "_Place":
        match self.node:
            case Block(entries=entries) if key in entries:
                node: Node | None = entries[str(key)]
            case ListNode(items=items) if isinstance(key, int):
                node = items[key]
            case Scalar(line=int()):
                return self  # a single name where a list is allowed
            case _:
                node = None
        path = child_path(self.path, key)
        return _Place(node, node.line if node is not None and node.path == path else self.line, path)

    @property
    def origin(self) -> str:
        """The path that the value comes from.

        A foundation inherits the general `remediation`, and its `restart` follows its StatefulSets. What is wrong there
        as well is reported there alone.
        """
        if self.node is not None and self.node.line is not None:
            return self.node.path
        return _INHERITS.sub(r"\1", self.path)

    @property
    def given(self) -> str:
        return "nothing" if self.node is None else describe(self.node)


@dataclass(frozen=True)
class _Mistake:
    place: _Place
    message: str


_WRONG: Final = object()
"""In the place of a value that is none; the mistake is on the list."""


class _Reading:
    """Reads values by their annotations, and goes on after a mistake."""

    def __init__(self) -> None:
        self.mistakes: list[_Mistake] = []

    def value(self, kind: Any, plain: object, place: _Place) -> object:
        """The value, or `_WRONG`."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self._ruled(arguments[0], arguments[1:], plain, place)
        if origin in (Union, UnionType):
            inner = next(each for each in arguments if each is not NoneType)
            return None if plain is None else self.value(inner, plain, place)
        if origin is Literal:
            return self._one_of(arguments, plain, place)
        if origin is tuple:
            return self._tuple(arguments[0], plain, place)
        if origin is dict:
            return self._dict(arguments[0], arguments[1], plain, place)
        if issubclass(kind, Strict):
            return self._model(kind, plain, place)
        if issubclass(kind, Enum):
            found = self._one_of([each.value for each in kind], plain, place)
            return found if found is _WRONG else kind(found)
        return plain if type(plain) is kind else self._wrong_type(_WANTED[kind], place)

    def _ruled(self, kind: Any, rules: tuple[object, ...], plain: object, place: _Place) -> object:
        try:
            for rule in rules:
                if isinstance(rule, Parse):
                    plain = rule.apply(plain)
            found = self.value(kind, plain, place)
            if found is not _WRONG:
                for rule in rules:
                    if isinstance(rule, Rule):
                        rule.apply(found)
        except WrongTypeError as error:
            return self._wrong_type(str(error), place)
        except RuleError as error:
            return self._wrong(place, str(error))
        return found

    def _one_of(self, values: Any, plain: object, place: _Place) -> object:
        if isinstance(plain, str) and plain in values:
            return plain
        *most, last = values
        names = f"{', '.join(most)} or {last}" if most else last
        return self._wrong_type(f"must be {names}", place)

    def _tuple(self, kind: Any, plain: object, place: _Place) -> object:
        if not isinstance(plain, tuple):
            return self._wrong_type("must be a list", place)
        items = tuple(self.value(kind, each, place.of(index)) for index, each in enumerate(plain))
        return _WRONG if _WRONG in items else items

    def _dict(self, key_kind: Any, kind: Any, plain: object, place: _Place) -> object:
        if not isinstance(plain, dict):
            return self._wrong_type("must be a mapping", place)
        items = {
            self.value(key_kind, key, place.of(key)): self.value(kind, each, place.of(key))
            for key, each in plain.items()
        }
        return _WRONG if _WRONG in items or _WRONG in items.values() else items

    def _model(self, kind: type[Strict], plain: object, place: _Place) -> object:
        if isinstance(plain, kind):
            return plain
        if not isinstance(plain, dict):
            return self._wrong_type("must be a mapping", place)
        known = {field.encode_name: field for field in fields(kind)}
        unknown = [key for key in plain if key not in known]
        for key in unknown:
            self._wrong(place.of(key), _unknown_key(key, known=list(known), model=kind))
        right: dict[str, Any] = {}
        for field in known.values():
            found = self._field(field, plain, place, right)
            if found is not _WRONG:
                right[field.name] = found
        return kind(**right) if len(right) == len(known) and not unknown else _WRONG

    def _field(self, field: FieldInfo, plain: dict[str, object], place: _Place, above: Mapping[str, Any]) -> object:
        here, rules = place.of(field.encode_name), get_args(field.type)
        if field.encode_name in plain:
            found = self.value(field.type, plain[field.encode_name], here)
        elif field.required:
            return self._wrong(here, "is required")
        else:
            found = next((rule.apply(above) for rule in rules if isinstance(rule, Derived)), _default(field))
        if found is not _WRONG:
            try:
                for rule in rules:
                    if isinstance(rule, Between):
                        rule.apply(found, above)
            except RuleError as error:
                return self._wrong(here, str(error))
        return found

    def _wrong_type(self, wanted: str, place: _Place) -> object:
        message = f"{wanted}, not {place.given}"
        if wanted == _WANTED[str] and isinstance(place.node, Scalar) and place.node.value is not None:
            message += f"; if the text is meant, write {quoted(place.node.text)} in quotes"
        return self._wrong(place, message)

    def _wrong(self, place: _Place, message: str) -> object:
        self.mistakes.append(_Mistake(place, message))
        return _WRONG


def _default(field: FieldInfo) -> object:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def _unknown_key(key: str, *, known: list[str], model: type[Strict]) -> str:
    if key in model.not_supported:
        return f"is not supported: {model.not_supported[key]}"
    near = difflib.get_close_matches(key.lower(), known, n=1)
    if near:
        return f"is not a known key; did you mean {near[0]}?"
    return f"is not a known key; known here: {', '.join(known)}"
