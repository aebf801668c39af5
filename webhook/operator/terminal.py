"""Whether there is a terminal to draw on, and whether in colour. Without rich, which only who draws imports."""

import os
from collections.abc import Mapping
from typing import TextIO

_DUMB = {"", "dumb", "unknown"}


def draws_on(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream is a terminal that can move its cursor; in all others, each line is printed once."""
    return stream.isatty() and environment.get("TERM", "").lower() not in _DUMB


def in_colour(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a terminal may be coloured: https://no-color.org."""
    return not environment.get("NO_COLOR")


def plain_symbols(stream: TextIO) -> bool:
    """Whether the stream has no symbols beyond ASCII."""
    return not (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "").startswith("utf")
