"""Paths in the config files: relative to the file's own folder, as in Prometheus, and there when they are named.

Text in, text out: pathlib would refuse, or change, some of what a file may hold.
"""

import dataclasses
import errno
import os
import stat
from collections.abc import Iterator

from exporter.config.errors import Problem
from exporter.config.tree import Block, Node, Scalar, get, get_text
from exporter.config.types import quoted


def folder_of(file: str) -> str:
    """Return the folder that the file's relative paths start from."""
    return os.path.dirname(os.path.abspath(file))  # noqa: PTH100, PTH120 - as above


def missing_file(node: Node | None, *, file: str) -> Iterator[Problem]:
    """Find out, without opening it, whether the file that the node names is there and readable."""
    path = get_text(node)
    if node is None or not path or not path.isprintable():
        return
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 - as above
            reason: str | None = os.strerror(errno.EISDIR)
        else:
            reason = None if os.access(path, os.R_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        reason = error.strerror
    if reason:
        yield Problem(file, node.line, node.path, f"can't be read: {reason}: {quoted(path, longest=200)}")


def absolute(block: Node, key: str, *, folder: str) -> Node:
    """Return the block with the path under that key made absolute; ``~`` is the home folder, as in a shell."""
    node = get(block, key)
    if not isinstance(block, Block) or not isinstance(node, Scalar) or not get_text(node):
        return block
    path = os.path.normpath(os.path.join(folder, os.path.expanduser(node.text)))  # noqa: PTH111, PTH118 - as above
    return dataclasses.replace(block, entries={**block.entries, key: dataclasses.replace(node, value=path)})
