"""Recovery on a real Kubernetes: a run, from its first step to `recovered`, beside the documented commands in a script.

Needs what `bench.real` needs. There is one attempt to confirm and one to verify, so that no configured wait is in the
figure. `ROUNDS` in the environment replaces 5.
"""

import json
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench.measure import Row, Times, table
from bench.real import HOST, PORT, Cluster, real_cluster

SCRIPT = Path(__file__).with_name("recovery.sh")
RUNBOOK = (sys.executable, "-m", "webhook.operator.cli")


def measure(*, rounds: int = 5) -> list[Row]:
    """The rows. Raises MissingToolError."""
    own, script = [], []
    with real_cluster() as cluster, tempfile.TemporaryDirectory(prefix="diego-bench-") as directory:
        config = _config(Path(directory), cluster.environment["KUBECONFIG"])
        for _ in range(rounds):
            cluster.wedge()
            own.append(_run(cluster, config))
            cluster.wedge()
            script.append(_scripted(cluster))
        cluster.forget()
    return _rows([total for total, _ in own], [wait for _, wait in own], *zip(*script, strict=True))


def _rows(own: list[float], awaiting: list[float], script: Any, restart: Any) -> list[Row]:
    name = "recovery on a real cluster"
    ours, theirs, pods = Times(own).p50, Times(script).p50, Times(restart).p50
    return [
        Row(
            name,
            f"first step → recovered, median of {len(own)}",
            f"{ours:.1f} s",
            f"{theirs:.1f} s (script)",
            ours / theirs,
            "ahead of the script",
            reached=ours < theirs,
        ),
        Row(
            name,
            "above the restart of the pods",
            f"{ours - pods:+.1f} s",
            f"{pods:.1f} s (restart in the script)",
            None,
            "≤ +1 s",
            reached=ours - pods <= 1.0,
        ),
        Row(name, "of which await-ready", f"{Times(awaiting).p50:.1f} s"),
    ]


def _config(directory: Path, kubeconfig: str) -> Path:
    once = {"attempts": 1, "interval": "1s"}
    document = {
        "foundations": [{"name": "cf", "kubeconfig": kubeconfig, "bbs": {"host": HOST}}],
        "remediation": {"mode": "auto", "confirm": once, "verify": once},
    }
    path = directory / "diego.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def _run(cluster: Cluster, config: Path) -> tuple[float, float]:
    """Seconds of a run, and of its step await-ready, by the journal."""
    cluster.do(*RUNBOOK, "run", "cf", "--config.file", config)
    history = cluster.do(*RUNBOOK, "history", "cf", "-o", "json", "--config.file", config)
    found: Any = json.loads(history)
    (run,) = found["runs"] if isinstance(found, dict) else found
    awaiting = next(step for step in run["steps"] if step["name"] == "await-ready")
    return _between(run["steps"][0]["started"], run["ended"]), _between(awaiting["started"], awaiting["ended"])


def _between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _scripted(cluster: Cluster) -> tuple[float, float]:
    """Seconds of the script, and of the restart within it."""
    began, restart, restarted, ended = map(float, cluster.do("bash", SCRIPT, HOST, str(PORT)).split())
    return ended - began, restarted - restart


if __name__ == "__main__":
    sys.stdout.write(table(measure(rounds=int(os.environ.get("ROUNDS", "5")))) + "\n")
