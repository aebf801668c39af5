"""Paths in the config files: relative to the file's own folder, as in Prometheus; a file that is named must exist.

Text in, text out: pathlib would refuse, or change, some of what a file may hold.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace

from exporter.config.errors import Problem
from exporter.config.tree import Block, Node, Scalar, get, get_text
from exporter.config.types import quoted


def folder_of(file: str) -> str:
    """The folder that the file's relative paths start from."""
    return os.path.dirname(os.path.abspath(file))  # noqa: PTH100, PTH120 - as above


def missing_file(node: Node | None, *, file: str) -> Iterator[Problem]:
    """The mistake, if any, that the file named by the node does not exist or is not readable; it is not opened."""
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
        yield Problem(file, node.line, node.path, f"cannot be read: {reason}: {quoted(path, longest=200)}")


def absolute(block: Node, key: str, *, folder: str) -> Node:
    """The block with the path under that key made absolute; `~` is the home folder, as in a shell."""
    node = get(block, key)
    if not isinstance(block, Block) or not isinstance(node, Scalar) or not get_text(node):
        return block
    path = os.path.normpath(os.path.join(folder, os.path.expanduser(node.text)))  # noqa: PTH111, PTH118 - as above
    return replace(block, entries={**block.entries, key: replace(node, value=path)})
