"""YAML read strictly: into a tree with lines, with nothing dropped and nothing guessed.

PyYAML's `safe_load` keeps the last of two duplicate keys without a warning, and reads `no` as false and `1:30` as 90.
So only its nodes are used, which have lines: a duplicate key is a mistake, and a value that YAML 1.1 would change
keeps its text, so that the message can show what happened.
"""

import re
from typing import Final, NoReturn

import yaml

from exporter.config.errors import ConfigError, Problem
from exporter.config.tree import Block, ListNode, Node, Scalar, child_path, describe
from exporter.config.types import printable, quoted

MAX_BYTES: Final = 10 * 1024 * 1024
_MAX_DEPTH: Final = 32
# With every alias expanded. A thousand foundations with every key set have about 40,000 values.
_MAX_VALUES: Final = 200_000

_TAG: Final = "tag:yaml.org,2002:"
_KINDS: Final = ("null", "bool", "int", "float", "str", "timestamp", "value", "merge", "seq", "map")
_TAGS: Final = frozenset(_TAG + kind for kind in _KINDS)
_PLAIN_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")


def read_bytes(path: str) -> bytes:
    """The file's content, of at most `MAX_BYTES`.

    Raises:
        ConfigError: the file cannot be read, or is larger.

    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - Path() refuses what open() explains, such as a NUL in the name
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(path, None, "", f"cannot be read: {error.strerror or error}")]) from None
    except ValueError as error:
        raise ConfigError([Problem(quoted(path), None, "", f"cannot be read: {error}")]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([Problem(path, None, "", f"is larger than {MAX_BYTES // 1024**2} MiB")])
    return content


def read_tree(path: str, *, may_be_empty: bool = False) -> tuple[Block, list[Problem]]:
    """The file's one YAML document, whose top is a mapping, and the mistakes that do not prevent further checks.

    Raises:
        ConfigError: there is no such document: the file cannot be read, is not YAML, or is empty and may not be.

    """
    content = read_bytes(path)
    try:
        reader = _Reader(content.decode("utf-8-sig"), file=path)
        root = reader.document()
    except (yaml.YAMLError, ArithmeticError, LookupError, ValueError) as error:
        line, message = _explained(error, content)
        raise ConfigError([Problem(path, line, "", message)]) from None
    if root is None or (isinstance(root, Scalar) and root.value is None):
        if not may_be_empty:
            reader.fail(None, "", "is empty")
        root = Block({}, line=1)
    if not isinstance(root, Block):
        reader.fail(root.line, "", f"must be a mapping (key: value) at its top, not {describe(root)}")
    return root, reader.problems


def _explained(error: Exception, content: bytes) -> tuple[int | None, str]:
    match error:
        case UnicodeDecodeError(start=start):
            return content.count(b"\n", 0, start) + 1, f"is not UTF-8 text: byte 0x{content[start]:02x}"
        case yaml.reader.ReaderError(position=position, character=character):
            line = content.decode("utf-8-sig").count("\n", 0, position) + 1
            return line, f"is not YAML: the character U+{character:04X} is not allowed"
        case yaml.MarkedYAMLError(problem_mark=mark):
            words = ", ".join(part for part in (error.context, error.problem) if part)
            return mark.line + 1 if mark else None, f"is not valid YAML: {printable(words)}"
    # PyYAML lets a few slip, such as an escape beyond Unicode.
    return None, f"is not valid YAML: {printable(str(error))}"


class _Reader(yaml.SafeLoader):
    """Makes the tree of PyYAML's nodes. An alias becomes a copy, with its own paths."""

    def __init__(self, text: str, *, file: str) -> None:
        super().__init__(text)
        self._file = file
        self._depth = 0
        self._values = 0
        self.problems: list[Problem] = []

    def document(self) -> Node | None:
        root = self.get_node() if self.check_node() else None
        if root is None:
            return None
        if self.check_node():
            self._problem(self._next_line(), "", "a second YAML document starts here; only one is read")
        self._values = 0
        return self._node(root, line=_line(root), path="", parents=())

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """PyYAML's own, but within the bounds: it is recursive, and without them a file could exhaust the stack."""
        self._bound(self._next_line(), depth=self._depth)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def fail(self, line: int | None, path: str, message: str) -> NoReturn:
        raise ConfigError([*self.problems, Problem(self._file, line, path, message)])

    def _next_line(self) -> int:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        return event.start_mark.line + 1 if event.start_mark else 1

    def _problem(self, line: int, path: str, message: str) -> None:
        self.problems.append(Problem(self._file, line, path, message))

    def _bound(self, line: int, *, depth: int) -> None:
        self._values += 1
        if depth > _MAX_DEPTH:
            self.fail(line, "", f"is nested more than {_MAX_DEPTH} levels deep")
        if self._values > _MAX_VALUES:
            self.fail(None, "", f"has more than {_MAX_VALUES} values, with its aliases expanded")

    def _node(self, node: yaml.Node, *, line: int, path: str, parents: tuple[yaml.Node, ...]) -> Node:
        if node in parents:
            self.fail(line, path, "is an alias of a block that it is in itself")
        self._bound(line, depth=len(parents))
        if node.tag not in _TAGS:
            self._problem(line, path, f"has the tag {quoted(node.tag)}; tags are not supported here")
        if isinstance(node, yaml.MappingNode):
            return Block(self._entries(node, path=path, parents=(*parents, node)), line=line, path=path)
        if isinstance(node, yaml.SequenceNode):
            items = [
                self._node(item, line=_line(item), path=child_path(path, index), parents=(*parents, node))
                for index, item in enumerate(node.value)
            ]
            return ListNode(tuple(items), line=line, path=path)
        text: str = node.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._problem(line, path, "has an escape for half a character (a surrogate), which is not text")
            text = text.encode(errors="backslashreplace").decode()
        value, surprise = _value(node, text)
        return Scalar(value, text, surprise, line=line, path=path)

    def _entries(self, block: yaml.MappingNode, *, path: str, parents: tuple[yaml.Node, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in block.value:
            line = _line(key)
            name = self._node(key, line=line, path=path, parents=parents)
            if not isinstance(name, Scalar):
                self._problem(line, path, f"has {describe(name)} as a key; a key must be plain text")
                continue
            below = child_path(path, name.text)
            node = self._node(value, line=line, path=below, parents=parents)
            if key.tag == f"{_TAG}merge":
                self._problem(line, below, "is a merge key, which is not supported; write the keys themselves")
            elif name.text in entries:
                self._problem(line, below, f"is given twice, first in line {entries[name.text].line}")
            else:
                entries[name.text] = node
        return entries


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1


def _value(node: yaml.Node, text: str) -> tuple[str | int | bool | None, str | None]:
    """The scalar's value, and what YAML 1.1 makes of a text that a person means otherwise: `1:30` is 90, `no` false."""
    kind = node.tag.removeprefix(_TAG)
    if kind == "null":
        return None, None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true", None
    if kind == "int" and _PLAIN_INT.fullmatch(text):
        return int(text), None
    if kind not in ("bool", "int", "float"):
        return text, None
    if len(text) > 40:
        return text, "so large a number"  # and reading a million digits takes minutes
    try:
        read = str(yaml.constructor.SafeConstructor().construct_object(node)).lower()
    except (ValueError, LookupError, OverflowError):
        return text, f"{quoted(text)}, which is not a number"
    return text, text if read == text else f"{printable(text)}, which YAML reads as {read}"
