"""YAML read strictly: into a tree with lines, with nothing dropped and nothing guessed.

PyYAML's loader keeps the last of two duplicate keys without a word and reads ``no`` as false and ``1:30`` as 90. Here
the parser's events are put together by hand instead: a key given twice is a problem, and a scalar that YAML 1.1 would
turn into something surprising keeps its text, so that the message can say what happened.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Final, NoReturn

import yaml

from exporter.config.errors import ConfigError, Problem
from exporter.config.tree import Block, Node, Scalar, Sequence, child_path, describe
from exporter.config.types import printable, quoted

MAX_BYTES: Final = 10 * 1024 * 1024
_MAX_DEPTH: Final = 32
# With every alias written out. A thousand foundations with every key set have some 40,000 values.
_MAX_VALUES: Final = 200_000

_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")


def read_bytes(path: str) -> bytes:
    """The file's content, of at most `MAX_BYTES`.

    Raises:
        ConfigError: where it can't be read, or is larger.

    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - Path() refuses what open() explains, such as a NUL in the name
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(path, None, "", f"can't be read: {error.strerror or error}")]) from None
    except ValueError as error:
        raise ConfigError([Problem(quoted(path), None, "", f"can't be read: {error}")]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([Problem(path, None, "", f"is larger than {MAX_BYTES // 1024**2} MiB")])
    return content


def read_tree(path: str, *, may_be_empty: bool = False) -> tuple[Block, list[Problem]]:
    """Read one YAML document whose top is a mapping, and the problems that don't keep the rest from being checked.

    Raises:
        ConfigError: where there is no such document: the file can't be read, is not YAML, or is empty and may not be.

    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(path, line, "", f"is not UTF-8 text: byte 0x{content[error.start]:02x}")]) from None
    reader = _Reader(file=path, text=text)
    try:
        root = reader.document()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reader.fail(line, "", f"is not YAML: the character U+{ord(text[error.position]):04X} is not allowed")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.context, error.problem) if part)
        reader.fail(mark.line + 1 if mark else None, "", f"is not valid YAML: {printable(words)}")
    except (yaml.YAMLError, ArithmeticError, LookupError, ValueError) as error:
        # PyYAML lets a few slip, such as an escape beyond Unicode.
        reader.fail(None, "", f"is not valid YAML: {printable(str(error))}")
    if root is None:
        if not may_be_empty:
            reader.fail(None, "", "is empty")
        root = Block({}, line=1)
    if not isinstance(root, Block):
        reader.fail(root.line, "", f"must be a mapping (key: value) at its top, not {describe(root)}")
    return root, reader.problems


class _Reader:
    """Puts the parser's events together, within bounds of depth and of values."""

    def __init__(self, *, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._events: Iterator[yaml.Event] = iter(())
        self._anchors: dict[str, Node] = {}
        self._values = 0
        self._resolver = yaml.resolver.Resolver()
        self.problems: list[Problem] = []

    def document(self) -> Node | None:
        self._events = iter(yaml.parse(self._text, Loader=yaml.SafeLoader))
        next(self._events)  # the stream's start
        first = next(self._events)
        if isinstance(first, yaml.StreamEndEvent):
            return None
        root = self._node(next(self._events), line=None, path="", depth=0)
        next(self._events)  # the document's end
        more = next(self._events)
        if isinstance(more, yaml.DocumentStartEvent):
            self._problem(_line(more), "", "a second YAML document starts here; only one is read")
        return None if isinstance(root, Scalar) and root.value is None else root

    def fail(self, line: int | None, path: str, message: str) -> NoReturn:
        raise ConfigError([*self.problems, Problem(self._file, line, path, message)])

    def _problem(self, line: int | None, path: str, message: str) -> None:
        self.problems.append(Problem(self._file, line, path, message))

    def _node(self, event: yaml.Event, *, line: int | None, path: str, depth: int) -> Node:
        at = _line(event) if line is None else line
        if depth > _MAX_DEPTH:
            self.fail(at, "", f"is nested more than {_MAX_DEPTH} levels deep")
        self._count(1, at)
        node: Node
        match event:
            case yaml.AliasEvent(anchor=anchor):
                target = self._anchors.get(str(anchor))
                if target is None:
                    self.fail(at, path, f"refers to the anchor {quoted(str(anchor))}, which does not stand before it")
                self._count(target.size, at)
                return dataclasses.replace(target, line=at, path=path)
            case yaml.ScalarEvent():
                node = self._scalar(event, line=at, path=path)
            case yaml.SequenceStartEvent(tag=tag):
                self._collection_tag(tag, "seq", line=at, path=path)
                node = self._sequence(line=at, path=path, depth=depth)
            case yaml.MappingStartEvent(tag=tag):
                self._collection_tag(tag, "map", line=at, path=path)
                node = self._mapping(line=at, path=path, depth=depth)
            case _:
                self.fail(at, path, "is not valid YAML")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > _MAX_VALUES:
            self.fail(line, "", f"has more than {_MAX_VALUES} values, with its aliases written out")

    def _sequence(self, *, line: int, path: str, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, line=None, path=child_path(path, len(items)), depth=depth + 1))
        return Sequence(tuple(items), line=line, path=path, size=1 + sum(each.size for each in items))

    def _mapping(self, *, line: int, path: str, depth: int) -> Block:
        own: dict[str, Node] = {}
        inherited: dict[str, Node] = {}
        first_lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_line = _line(event)
            key_node = self._node(event, line=key_line, path=path, depth=depth + 1)
            key = key_node.text if isinstance(key_node, Scalar) else describe(key_node)
            value_path = child_path(path, key)
            value = self._node(next(self._events), line=key_line, path=value_path, depth=depth + 1)
            if not isinstance(key_node, Scalar):
                self._problem(key_line, path, f"has {describe(key_node)} as a key; a key must be plain text")
            elif key in first_lines:
                self._problem(key_line, value_path, f"is given twice, first in line {first_lines[key]}")
            elif key == "<<" and isinstance(event, yaml.ScalarEvent) and event.style is None:
                first_lines[key] = key_line
                inherited = self._inherited(value, line=key_line, path=value_path)
            else:
                first_lines[key] = key_line
                own[key] = value
        entries = {**inherited, **own}
        return Block(entries, line=line, path=path, size=1 + sum(each.size for each in entries.values()))

    def _inherited(self, value: Node, *, line: int, path: str) -> dict[str, Node]:
        """Return what a merge key brings in; of several mappings the first one wins, as YAML's merge type says."""
        sources = value.items if isinstance(value, Sequence) else (value,)
        entries: dict[str, Node] = {}
        for source in sources:
            if not isinstance(source, Block):
                self._problem(line, path, f"must be a mapping or a list of mappings, not {describe(source)}")
                continue
            entries = {**source.entries, **entries}
        return entries

    def _collection_tag(self, tag: str | None, wanted: str, *, line: int, path: str) -> None:
        if tag not in (None, "!", _TAG + wanted):
            self._problem(line, path, f"has the tag {quoted(str(tag))}; tags are not supported here")

    def _scalar(self, event: yaml.ScalarEvent, *, line: int, path: str) -> Scalar:
        text: str = event.value
        tag = event.tag
        if tag is None:
            tag = self._resolver.resolve(yaml.ScalarNode, text, event.implicit)  # type: ignore[no-untyped-call]
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            self._problem(line, path, "has an escape for half a character (a surrogate), which is no text")
            text = text.encode(errors="backslashreplace").decode()
        value: str | int | bool | None = text
        surprise = None
        match str(tag).removeprefix(_TAG):
            case "null":
                value = None
            case "bool" if text.lower() in ("true", "false"):
                value = text.lower() == "true"
            case "bool":
                surprise = f"{printable(text[:60])}, which YAML reads as {str(text.lower() in ('yes', 'on')).lower()}"
            case "int" if _PLAIN_INT.fullmatch(text):
                value = int(text)
            case "int" | "float" as kind:
                surprise = _number(text, kind)
            case "str" | "timestamp" | "value" | "merge" | "!":
                pass
            case _:
                self._problem(line, path, f"has the tag {quoted(str(tag))}; tags are not supported here")
        return Scalar(value, text, surprise, line=line, path=path)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _number(text: str, kind: str) -> str:
    """Return the text with the number that YAML 1.1 makes of it: 1:30 is 90, and 010 is 8."""
    if len(text) > 40:
        return "so large a number"  # and reading a million digits takes minutes
    constructor = yaml.constructor.SafeConstructor()
    node = yaml.ScalarNode(_TAG + kind, text)
    try:
        read = constructor.construct_yaml_int(node) if kind == "int" else constructor.construct_yaml_float(node)
        number = str(read)
    except (ValueError, OverflowError):
        return f"{quoted(text)}, which is no number"
    return text if number == text else f"{printable(text[:60])}, which YAML reads as {number}"
