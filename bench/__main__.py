"""All measures, one after the other: prints the table, and writes it into docs/performance.md.

`python -m bench NAME …` takes only those that are named, and writes nothing.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import commands, detection, hundred, label, many, memory, notifications, recovery, scrape, webhooks
from bench.measure import MissingToolError, Row, table
from bench.programs import BLACKBOX

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_TABLE = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)
MEASURES: dict[str, Callable[[], list[Row]]] = {
    "scrape": scrape.measure,
    "hundred": hundred.measure,
    "label": label.measure,
    "memory": memory.measure,
    "many": many.measure,
    "detection": detection.measure,
    "recovery": recovery.measure,
    "commands": commands.measure,
    "notifications": notifications.measure,
    "webhooks": webhooks.measure,
}


def main() -> int:
    """0, or 1 where a measure could not be taken."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("measures", nargs="*", choices=[[], *MEASURES], metavar="NAME", help=", ".join(MEASURES))
    chosen = parser.parse_args().measures or list(MEASURES)
    rows: list[Row] = []
    skipped: list[str] = []
    for name in chosen:
        began = time.monotonic()
        try:
            rows += MEASURES[name]()
        except MissingToolError as error:
            skipped.append(f"Not measured: {name}; {error}.")
        except Exception as error:  # noqa: BLE001 - what was measured in half an hour must not be lost for it
            traceback.print_exc()
            skipped.append(f"Not measured: {name}, which failed: {type(error).__name__}.")
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    text = f"{machine()}\n\n{table(rows)}\n" + "".join(f"\n{line}\n" for line in skipped)
    sys.stdout.write(text)
    if chosen == list(MEASURES):
        PAGE.write_text(_TABLE.sub(lambda _: f"\n{text}\n", PAGE.read_text()))
    return 1 if skipped else 0


def machine() -> str:
    """The date, the machine and the versions, as a sentence each."""
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    model = models[0] if models else platform.machine()
    blackbox = next(filter(None, map(shutil.which, BLACKBOX)), None)
    programs = [
        f"diego-medic {version('diego-medic')} on Python {platform.python_version()}",
        f"aiohttp {version('aiohttp')}",
        f"prometheus-client {version('prometheus-client')}",
    ]
    if blackbox:
        programs.append(f"blackbox_exporter {_said(r'version ([0-9.]+)', blackbox, '--version')}")
    if kubectl := shutil.which("kubectl"):
        programs.append(f"kubectl {_said(r'v([0-9.]+)', kubectl, 'version', '--client')}")
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), Linux {platform.release()}, "
        f"load {load:.1f}. {', '.join(programs)}."
    )


def _said(pattern: str, *command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"


if __name__ == "__main__":
    sys.exit(main())
