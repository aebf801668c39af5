"""The config files as trees that remember their lines, and the problems found in them.

A value keeps the line and the path of where it was written through every overlay of defaults, profile and file, so a
mistake is reported where a person can mend it.
"""

import dataclasses
import re
from typing import Final

from exporter.config.types import quoted

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True, eq=False)
class Scalar:
    """One value; ``surprise`` says what YAML makes of a text that a person means otherwise."""

    value: str | int | bool | None
    text: str = ""
    surprise: str | None = None
    line: int | None = None
    path: str = ""
    size: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A mapping; the line is that of its key, where it has one."""

    entries: dict[str, "Node"]
    line: int | None = None
    path: str = ""
    size: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    line: int | None = None
    path: str = ""
    size: int = 1


Node = Scalar | Block | Sequence


def child_path(path: str, key: str | int) -> str:
    """Return the path of an entry: ``foundations[0].bbs``; keys that are not plain words stand in quotes."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key if _PLAIN_KEY.fullmatch(key) else quoted(key)
    return f"{path}.{shown}" if path else shown


def describe(node: Node) -> str:
    """Return what a person would call the node, to stand behind 'not'."""
    match node:
        case Block():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(surprise=str(surprise)):
            return surprise
        case Scalar(value=None):
            return "null" if node.text else "empty"
        case Scalar(text=text):
            return quoted(text) if isinstance(node.value, str) else text


def merge(base: Node, over: Node | None) -> Node:
    """Lay one tree over the other, mapping by mapping; each value keeps the line and path of where it was written.

    A block left empty (``remediation:`` and only comments below) gives nothing and takes nothing away.
    """
    if over is None or (isinstance(base, Block) and isinstance(over, Scalar) and over.value is None):
        return base
    if not isinstance(base, Block) or not isinstance(over, Block):
        return over
    entries = dict(base.entries)
    for key, value in over.entries.items():
        entries[key] = merge(entries[key], value) if key in entries else value
    return dataclasses.replace(over, entries=entries)


def from_python(value: object) -> Node:
    """Build a tree from plain values, for presets: it has no lines, for nobody wrote it. Nodes in it are kept."""
    match value:
        case Scalar() | Block() | Sequence():
            return value
        case dict():
            return Block({key: from_python(each) for key, each in value.items()})
        case list() | tuple():
            return Sequence(tuple(from_python(each) for each in value))
        case str() | bool() | int():
            return Scalar(value, str(value))
        case None:
            return Scalar(None, "null")
        case _:
            raise TypeError(f"no such value in a config file: {value!r}")


def to_python(node: Node) -> object:
    """Return plain values; a scalar that would surprise stays a `Scalar`, which no field takes."""
    match node:
        case Block(entries=entries):
            return {key: to_python(each) for key, each in entries.items()}
        case Sequence(items=items):
            return tuple(to_python(each) for each in items)
        case Scalar(surprise=None, value=value):
            return value
        case _:
            return node


def get(node: Node | None, *keys: str) -> Node | None:
    """Return the node under these keys, or None."""
    for key in keys:
        node = node.entries.get(key) if isinstance(node, Block) else None
    return node


def get_text(node: Node | None, *keys: str) -> str | None:
    """Return the text under these keys, or None where there is something else, or nothing."""
    found = get(node, *keys)
    return found.value if isinstance(found, Scalar) and isinstance(found.value, str) and not found.surprise else None


def get_items(node: Node) -> tuple[Node, ...]:
    """Return the nodes at a place where one value or a list of them may stand."""
    return node.items if isinstance(node, Sequence) else (node,)


def get_names(node: Node | None, *keys: str) -> list[str]:
    """Return the texts at a place where one or a list of them may stand."""
    found = get(node, *keys)
    items = () if found is None else get_items(found)
    return [name for each in items if (name := get_text(each)) is not None]
