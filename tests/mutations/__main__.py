"""`python -m tests.mutations`: applies each mutation to a copy of the tree, and reports what catches it.

In this order, until one does: the first 200 random incidents of the simulation (all of them, to see in how many it is
caught); the tests that the patch names; every single fault of the reference incident.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutations.patches import Mutation, apply, copy_to, mutations
from tests.mutations.table import COUNTED, Result, write

TIMEOUT = 1800
"""Seconds for one command: a mutation may wait for ever."""


def main() -> int:
    """Exit status: 0 where each mutation is caught, 1 where one is not. Raises PatchError."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NN", help="only these, by the start of their names")
    parser.add_argument("--processes", type=int, default=1, help="worker processes (default: 1)")
    parser.add_argument("--quick", action="store_true", help="without the single faults")
    parser.add_argument("--table", action="store_true", help="write the table of docs/safety.md")
    flags = parser.parse_args()
    if flags.table and flags.names:
        parser.error("--table needs the results of all mutations")
    chosen = [each for each in mutations() if not flags.names or each.name.startswith(tuple(flags.names))]
    # One process a mutation keeps each core busy; a few mutations share the cores seed by seed.
    each_has = max(1, flags.processes // max(1, len(chosen)))
    results = []
    with ThreadPoolExecutor(flags.processes) as pool:
        for result in pool.map(lambda each: examine(each, processes=each_has, quick=flags.quick), chosen):
            results.append(result)
            sys.stdout.write(f"{result}\n")
            sys.stdout.flush()
    if flags.table:
        write(results)
    missed = sum(not result.by for result in results)
    sys.stdout.write(f"\n{len(chosen)} mutations, not caught: {missed}\n")
    return 1 if missed else 0


def examine(mutation: Mutation, *, processes: int, quick: bool) -> Result:
    """Finds out what catches one mutation. Raises PatchError."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        copy_to(folder)
        apply(mutation, folder)
        violations = _simulate(folder, f"--seeds=0-{COUNTED - 1}", f"--processes={processes}")
        if violations:
            first = next(iter(violations))
            why = f"--seed {first}: {_short(violations[first])}"
            return Result(mutation, "simulation", seeds=len(violations), why=why)
        if mutation.tests and (test := _test(folder, mutation.tests)):
            function = test.rpartition("::")[2].partition("[")[0]
            return Result(mutation, f"`{function}`", why=test)
        violations = {} if quick else _simulate(folder, "--single", "--stop", f"--processes={processes}")
        for fault, text in violations.items():
            return Result(mutation, "single faults", why=f"--seed {fault}: {_short(text)}")
    return Result(mutation)


def _simulate(folder: Path, *arguments: str) -> dict[str, str]:
    """The violations by what replays them, the lowest seed first."""
    done = _run(folder, "sandbox.simulation", *arguments)
    found = re.findall(r"^VIOLATION: (.*)\n  replay: .* --seed (.*)$", done.stdout, re.MULTILINE)
    if done.returncode and not found:
        raise RuntimeError(f"the simulation failed: {done.stderr[-2000:]}")
    return {seed: text for text, seed in sorted(found, key=lambda item: int(item[1].split()[0]))}


def _test(folder: Path, tests: tuple[str, ...]) -> str:
    """The first test that fails; empty where none does."""
    done = _run(folder, "pytest", "--exitfirst", "--quiet", "-p", "no:cacheprovider", *tests)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode not in {0, 1} or (done.returncode == 1 and found is None):
        raise RuntimeError(f"the tests {tests} could not be run: {done.stdout[-2000:]}")
    return found[1] if found else ""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
    )


def _short(text: str) -> str:
    """A violation without the names and times of this incident."""
    text = re.sub(r"^(replica|cli)\S* deleted \S+ \S+ at \S+?(?=:? )", "a pod was deleted", text)
    return re.sub(r"cf-\d+t\d+z-\w+ ", "", text)[:110]


if __name__ == "__main__":
    sys.exit(main())
