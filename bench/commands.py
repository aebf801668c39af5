"""How long `diego-runbook --help` and `check` take, beside `kubectl --help`; `check` looks at a healthy sandbox.

Its own probes take next to nothing there, so that what is measured is the program.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.box import box
from bench.measure import MissingToolError, Row, Times, milliseconds, table

RUNBOOK = (sys.executable, "-m", "webhook.operator.cli")


def measure(*, times: int = 20) -> list[Row]:
    """The rows. Raises MissingToolError."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise MissingToolError("kubectl is needed (Debian: kubernetes-client)")
    taken: dict[str, list[float]] = {"--help": [], "check": [], "kubectl": []}
    with box() as config:
        for _ in range(times):  # by turns, so that what the machine does meanwhile is the same for all
            taken["--help"].append(_seconds(*RUNBOOK, "--help"))
            taken["check"].append(_seconds(*RUNBOOK, "check", "cf", "--config.file", config))
            taken["kubectl"].append(_seconds(kubectl, "--help"))
    return [_row(name, taken[name], taken["kubectl"], limit) for name, limit in (("--help", 0.15), ("check", 0.5))]


def _row(command: str, ours: list[float], theirs: list[float], limit: float) -> Row:
    mine, its = Times(ours).p50, Times(theirs).p50
    return Row(
        "diego-runbook",
        f"{command}, p50",
        milliseconds(mine),
        f"{milliseconds(its)} (kubectl --help)",
        mine / its,
        f"≤ {milliseconds(limit)}",
        reached=mine <= limit,
    )


def _seconds(*command: str | Path) -> float:
    began = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout.decode()}{done.stderr.decode()}")
    return took


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
