"""`python -m tests.matrix`: plays the cells that are not in the results yet, and writes the page.

Broken off, it continues where it was. Cells that failed are played again. Exit status: 0 where every chosen cell holds,
1 where one does not.
"""

import argparse
import asyncio
import fcntl
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import msgspec

from tests.matrix.cell import Cell, Result, play
from tests.matrix.page import render
from tests.matrix.table import CELLS, chosen
from tests.matrix.tail import Tail
from tests.support.cluster import SCRIPTS
from tests.support.rawkube import RawKube

ROOT = Path(__file__).parents[2]
ATTEMPTS = 3
"""Times that an incident is staged, each but the first on a fresh cluster, before it counts as failed."""
FULL = 50 * 2**20
"""Bytes of the audit log after which the cluster is renewed: the API server begins a new file at twice as much."""


SLICE, PAUSE = 300, 2
"""Seconds after which others who wait for the lock surely get it, and for which it is left to them."""


class Cluster:
    """The cluster of the scripts: started where it does not answer."""

    def __init__(self) -> None:
        given = {key: os.environ.get(key, "") for key in ("KUBECONFIG", "KUBE_RUN")}
        self._environment = given if all(given.values()) else {}
        self._started = False

    def ready(self) -> Tail:
        if self._is_there() and asyncio.run(self._answers()):
            return Tail(self._environment)
        return self.renew()

    def renew(self) -> Tail:
        started = subprocess.run([SCRIPTS / "up"], check=True, stdout=subprocess.PIPE, text=True, timeout=1800)
        words = shlex.split(started.stdout)
        self._environment = dict(word.split("=", 1) for word in words if "=" in word)
        self._started = True
        return Tail(self._environment)

    def end(self) -> None:
        if self._started:
            subprocess.run([SCRIPTS / "down"], check=False, timeout=120)

    def _is_there(self) -> bool:
        if not self._environment:
            return False
        log = Path(self._environment["KUBE_RUN"]) / "audit.log"
        return Path(self._environment["KUBECONFIG"]).exists() and log.exists() and log.stat().st_size < FULL

    async def _answers(self) -> bool:
        try:
            async with RawKube(Path(self._environment["KUBECONFIG"])) as kube:
                return (await kube.get("/readyz")).code == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("cells", nargs="*", metavar="FAULT/POINT", help="only these; patterns, e.g. 'stopped/*'")
    parser.add_argument("--list", action="store_true", help="print the cells, and play none")
    parser.add_argument("--results", type=Path, default=ROOT / ".fault-matrix.jsonl", help="a line for each cell")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "fault-matrix.md")
    parser.add_argument("--kubernetes", default="", metavar="VERSION", help="for an API server built without its own")
    parser.add_argument("--logs", type=Path, default=None, help="a folder for the logs of the webhooks")
    parser.add_argument("--lock", type=Path, default=None, help="a file that is locked for each cell: a shared cluster")
    flags = parser.parse_args()
    cells = chosen(flags.cells)
    if flags.list:
        _print("\n".join(cell.key for cell in cells))
        return 0
    logs = flags.logs or Path(tempfile.mkdtemp(prefix="fault-matrix-"))
    cluster = Cluster()
    results = _read(flags.results)
    paused = time.monotonic()
    for number, cell in enumerate(cells, 1):
        found = results.get(cell.key)
        if found is None or found.violations:
            with _locked(flags.lock):
                found = _staged(cell, cluster, logs)
            if flags.lock and time.monotonic() - paused > SLICE:
                time.sleep(PAUSE)
                paused = time.monotonic()
            if found is None:
                continue
            results[cell.key] = found
            with flags.results.open("ab") as file:
                file.write(msgspec.json.encode(found) + b"\n")
            _print(f"{number}/{len(cells)} {_line(found)}")
    with _locked(flags.lock):
        cluster.end()
    flags.page.write_text(render(results, kubernetes=flags.kubernetes))
    failed = [cell.key for cell in cells if cell.key not in results or results[cell.key].violations]
    _print(f"{len(cells)} cells, failed: {' '.join(failed) or 'none'}; logs in {logs}")
    return 1 if failed else 0


def _staged(cell: Cell, cluster: Cluster, logs: Path) -> Result | None:
    """The result of a cell; None where it could not be staged."""
    for attempt in range(ATTEMPTS):
        folder = logs / f"{cell.key.replace('/', '-')}-{attempt}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            tail = cluster.renew() if attempt else cluster.ready()
            tail.here()
            return asyncio.run(play(cell, tail, folder))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, the cluster may be why
            notes = "\n".join(getattr(error, "__notes__", ()))
            _print(f"{cell.key} could not be staged: {type(error).__name__}: {error}\n{notes}")
    return None


def _read(path: Path) -> dict[str, Result]:
    """The last result of each cell that still exists."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    known = {cell.key for cell in CELLS}
    found = (msgspec.json.decode(line, type=Result) for line in lines)
    return {result.cell: result for result in found if result.cell in known}


@contextmanager
def _locked(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    with path.open("w") as file:  # not inherited by the cluster's processes, which would keep it
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _line(result: Result) -> str:
    pods = ", ".join(f"{pod} by the {by}" for pod, by in sorted(result.deleted.items())) or "nothing deleted"
    said = f"{result.cell}: {' -> '.join(result.outcomes)}; {pods}; {result.seconds} s of {result.whole} s"
    return "\n  ".join([said, *(f"FAILED: {violation}" for violation in result.violations)])


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
