"""`python -m tests.mutations`: applies each mutation to a copy of the tree, and reports what catches it.

In this order: the first 200 random incidents of the simulation, all of them, to see in how many it is caught; the tests
that the patch names; more random incidents; every single fault of the reference incident.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.patches import Mutation, apply, copy_to, mutations

COUNTED = 200
"""Random incidents that are always played."""
TIMEOUT = 1800
"""Seconds for one command: a mutation may wait for ever."""


@dataclass(frozen=True, slots=True)
class Result:
    """What caught a mutation; `by` is empty where nothing did."""

    mutation: Mutation
    by: str = ""
    where: str = ""
    why: str = ""
    """The violation, or the test that failed."""

    def __str__(self) -> str:
        return f"| {self.mutation.name} | {self.by or 'NOT CAUGHT'} | {self.where} | {self.why} |"


def main() -> int:
    """Exit status: 0 where each mutation is caught, 1 where one is not. Raises PatchError."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NN", help="only these, by the start of their names")
    parser.add_argument("--seeds", type=int, default=2000, help="random incidents in the third step (default: 2000)")
    parser.add_argument("--processes", type=int, default=1, help="mutations at the same time (default: 1)")
    parser.add_argument("--quick", action="store_true", help="only the first two steps")
    flags = parser.parse_args()
    chosen = [each for each in mutations() if not flags.names or each.name.startswith(tuple(flags.names))]
    _print("| mutation | caught by | where | what it says |\n| --- | --- | --- | --- |")
    with ThreadPoolExecutor(flags.processes) as pool:
        missed = 0
        for result in pool.map(lambda each: examine(each, seeds=flags.seeds, quick=flags.quick), chosen):
            _print(str(result))
            missed += not result.by
    _print(f"\n{len(chosen)} mutations, not caught: {missed}")
    return 1 if missed else 0


def examine(mutation: Mutation, *, seeds: int, quick: bool) -> Result:
    """Finds out what catches one mutation. Raises PatchError."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        copy_to(folder)
        apply(mutation, folder)
        violations = _simulate(folder, f"--seeds=0-{COUNTED - 1}")
        if violations:
            first = next(iter(violations))
            where = f"seed {first}, {len(violations)} of {COUNTED} seeds"
            return Result(mutation, "simulation", where, _short(violations[first]))
        if mutation.tests and (test := _test(folder, mutation.tests)):
            file, _, function = test.partition("::")
            return Result(mutation, "unit test", file.removeprefix("tests/"), function.partition("[")[0])
        for part in () if quick else (f"--seeds={COUNTED}-{seeds - 1}", "--single"):
            violations = _simulate(folder, part, "--stop")
            if violations:
                first = next(iter(violations))
                return Result(mutation, "simulation", f"--seed {first}", _short(violations[first]))
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
    text = re.sub(r"^(replica|cli)\S* deleted \S+ \S+ at \S+?(?=:? )", "a pod was deleted", text.replace("|", "/"))
    return re.sub(r"cf-\d+t\d+z-\w+ ", "", text)[:110]


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
