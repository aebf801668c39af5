"""The config files as trees that remember their lines, and the problems found in them.

A value keeps the line and the path of where it was written through every overlay of defaults, profile and file, so that
a mistake is reported where a person can correct it.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from exporter.config.types import quoted

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, eq=False)
class Scalar:
    """One value; `surprise` has what YAML makes of a text that a person means otherwise."""

    value: str | int | float | bool | None
    text: str = ""
    surprise: str | None = None
    line: int | None = None
    path: str = ""


@dataclass(frozen=True, eq=False)
class Block:
    """A mapping; the line is that of its key, where it has one."""

    entries: dict[str, "Node"]
    line: int | None = None
    path: str = ""


@dataclass(frozen=True, eq=False)
class ListNode:
    """A list."""

    items: tuple["Node", ...]
    line: int | None = None
    path: str = ""


Node = Scalar | Block | ListNode


def child_path(path: str, key: str | int) -> str:
    """The path of an entry, as in `foundations[0].bbs`; keys that are not plain words are in quotes."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key if _PLAIN_KEY.fullmatch(key) else quoted(key)
    return f"{path}.{shown}" if path else shown


def describe(node: Node) -> str:
    """What a person would call the node, to be put after 'not'."""
    match node:
        case Block():
            return "a mapping"
        case ListNode():
            return "a list"
        case Scalar(surprise=str(surprise)):
            return surprise
        case Scalar(value=None):
            return "null" if node.text else "empty"
        case Scalar(text=text):
            return quoted(text) if isinstance(node.value, str) else text


def merge(base: Node, over: Node | None) -> Node:
    """Lay one tree over the other, mapping by mapping; each value keeps the line and path of where it was written.

    A block left empty (`remediation:` and only comments below) changes nothing.
    """
    if over is None or (isinstance(base, Block) and isinstance(over, Scalar) and over.value is None):
        return base
    if not isinstance(base, Block) or not isinstance(over, Block):
        return over
    entries = dict(base.entries)
    for key, value in over.entries.items():
        entries[key] = merge(entries[key], value) if key in entries else value
    return replace(over, entries=entries)


def from_python(value: object) -> Node:
    """A tree of plain values, for presets: without lines, because nobody wrote it. Nodes in it are kept."""
    match value:
        case Scalar() | Block() | ListNode():
            return value
        case dict():
            return Block({key: from_python(each) for key, each in value.items()})
        case list() | tuple():
            return ListNode(tuple(from_python(each) for each in value))
        case str() | bool() | int() | float():  # a float is a duration of the code; a file never yields one
            return Scalar(value, str(value))
        case None:
            return Scalar(None, "null")
        case _:
            raise TypeError(f"no such value in a config file: {value!r}")


def to_python(node: Node) -> object:
    """The plain values; a scalar that would surprise stays a `Scalar`, which no field accepts."""
    match node:
        case Block(entries=entries):
            return {key: to_python(each) for key, each in entries.items()}
        case ListNode(items=items):
            return tuple(to_python(each) for each in items)
        case Scalar(surprise=None, value=value):
            return value
        case _:
            return node


def get(node: Node | None, *keys: str) -> Node | None:
    """The node under these keys, or None."""
    for key in keys:
        node = node.entries.get(key) if isinstance(node, Block) else None
    return node


def get_text(node: Node | None, *keys: str) -> str | None:
    """The text under these keys, or None where there is something else, or nothing."""
    found = get(node, *keys)
    return found.value if isinstance(found, Scalar) and isinstance(found.value, str) and not found.surprise else None


def get_items(node: Node) -> tuple[Node, ...]:
    """The nodes at a place where one value or a list is allowed."""
    return node.items if isinstance(node, ListNode) else (node,)


def get_names(node: Node | None, *keys: str) -> list[str]:
    """The texts at a place where one text or a list is allowed."""
    found = get(node, *keys)
    items = () if found is None else get_items(found)
    return [name for each in items if (name := get_text(each)) is not None]
