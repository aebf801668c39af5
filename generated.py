"""Files that are generated from the code and committed: writes them, or checks that they are what the code says.

A package with such files has a module `build`, which names them and calls `main`:

python -m PACKAGE.build            write what is out of date
python -m PACKAGE.build --check    write nothing; exit 1 where a committed file differs
"""

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

Files = Mapping[str, Callable[[], str]]
"""What makes the text of each file, by its path in the folder; the same text on every run."""

_SHOWN = 20
"""Lines of a difference that are printed."""


def main(arguments: Sequence[str] | None, *, files: Files, directory: Path, package: str, description: str) -> int:
    """The command `python -m PACKAGE.build`; returns its exit code."""
    command = f"python -m {package}.build"
    parser = argparse.ArgumentParser(prog=command, description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    options = parser.parse_args(arguments)
    stale = {name: text for name, make in files.items() if (text := make()) != committed(directory / name)}
    if options.check:
        reports = [report(directory / name, text) for name, text in stale.items()]
        if reports:
            sys.stderr.write("\n".join([*reports, "", f"Run `{command}` and commit the result.", ""]))
        return 1 if reports else 0
    for name, text in stale.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


def committed(path: Path) -> str | None:
    """The text of a file; None where there is none."""
    return path.read_text("utf-8") if path.exists() else None


def report(path: Path, fresh: str) -> str:
    """Why the file is not what the code says, for a person."""
    before = committed(path)
    if before is None:
        return f"{path} is missing"
    difference = difflib.unified_diff(
        before.splitlines(), fresh.splitlines(), fromfile="committed", tofile="generated", lineterm="", n=1
    )
    head = f"{path} is out of date: it differs from what the code generates:"
    return "\n".join([head, *islice(difference, _SHOWN)])
