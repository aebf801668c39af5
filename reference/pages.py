"""Pages written by hand, with generated tables in them, between marks that a reader does not see."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_PART = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- generated: end -->\n)", re.DOTALL)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def page(path: Path, parts: Mapping[str, str]) -> str:
    """The text of the page with these parts in it, by their names. Raises ValueError where page and parts differ."""
    text = path.read_text("utf-8")
    marked = [found[2] for found in _PART.finditer(text)]
    if sorted(marked) != sorted(parts):
        raise ValueError(f"{path} has the parts {', '.join(marked)}, and the code has {', '.join(parts)}")
    return _PART.sub(lambda found: f"{found[1]}\n{parts[found[2]]}\n{found[3]}", text)


def code(text: str) -> str:
    """A name, or a value, as in a program."""
    return f"`{text}`"
