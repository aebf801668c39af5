"""Writes the dashboards' JSON files beside this one, or checks that they are what the code says.

python -m dashboards.build            write them
python -m dashboards.build --check    exit 1 where a committed file differs
"""

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import fleet, foundations, runs

DIRECTORY = Path(__file__).parent
DASHBOARDS = {
    "diego-fleet.json": fleet.build,
    "diego-foundations.json": foundations.build,
    "diego-remediation.json": runs.build,
}


def render(name: str) -> str:
    """The text of the file `name`: JSON, the same on every run."""
    return json.dumps(DASHBOARDS[name](), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def stale(name: str, directory: Path) -> str:
    """Why the file `name` in `directory` is not what the code says, as a readable report; empty where it is."""
    path = directory / name
    if not path.exists():
        return f"{path} is missing"
    committed, fresh = path.read_text("utf-8"), render(name)
    if committed == fresh:
        return ""
    diff = difflib.unified_diff(
        committed.splitlines(), fresh.splitlines(), fromfile="committed", tofile="generated", lineterm="", n=1
    )
    return "\n".join([f"{path} differs from what the code generates:", *islice(diff, 20)])


def main(arguments: Sequence[str] | None = None, *, directory: Path = DIRECTORY) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.build", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    options = parser.parse_args(arguments)
    if options.check:
        reports = [report for name in DASHBOARDS if (report := stale(name, directory))]
        if reports:
            sys.stderr.write("\n".join([*reports, "", "Run `python -m dashboards.build` and commit the result.", ""]))
        return 1 if reports else 0
    for name in DASHBOARDS:
        (directory / name).write_text(render(name), "utf-8")
        sys.stdout.write(f"wrote {directory / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
