"""Recovery on a real Kubernetes: a run, from its first step to `recovered`, beside the documented commands in a script.

Needs bash, kubectl and a cluster with the stand-in foundation: the folder of `DIEGO_MEDIC_CLUSTER` with `up`, `down`
and `fault` as for `make test-cluster`, or one that runs (KUBECONFIG and KUBE_RUN). There is one attempt to confirm and
one to verify, so that no configured wait is in the figure. `ROUNDS` in the environment replaces 5.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench.measure import MissingToolError, Row, Times, table
from bench.programs import until

HOST, PORT = "10.96.0.89", 8889
SCRIPT = Path(__file__).with_name("recovery.sh")
RUNBOOK = (sys.executable, "-m", "webhook.operator.cli")
RECORD = ("configmap/diego-medic-diego-api", "lease/diego-medic-diego-api")
PATIENCE = 180.0


def measure(*, rounds: int = 5) -> list[Row]:
    """The rows. Raises MissingToolError."""
    folder = Path(os.environ.get("DIEGO_MEDIC_CLUSTER", Path(__file__).parents[2] / "shared" / "cluster"))
    missing = [name for name in ("bash", "kubectl") if shutil.which(name) is None]
    if missing or not (folder / "fault").exists():
        raise MissingToolError(
            f"{' and '.join(missing)} and a cluster are needed: set DIEGO_MEDIC_CLUSTER to the folder with its scripts"
            if missing
            else "a cluster is needed: set DIEGO_MEDIC_CLUSTER to the folder with its scripts up, down and fault"
        )
    own, script = [], []
    with _cluster(folder) as environment, tempfile.TemporaryDirectory(prefix="diego-bench-") as directory:
        cluster = Cluster(folder, environment)
        config = _config(Path(directory), environment["KUBECONFIG"])
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


@contextmanager
def _cluster(folder: Path) -> Iterator[dict[str, str]]:
    given = {key: os.environ.get(key, "") for key in ("KUBECONFIG", "KUBE_RUN")}
    if all(given.values()):
        yield given
        return
    try:
        started = subprocess.run([folder / "up"], check=True, capture_output=True, text=True, timeout=1800)
        yield dict(word.split("=", 1) for word in shlex.split(started.stdout) if "=" in word)
    finally:
        subprocess.run([folder / "down"], check=False, capture_output=True, timeout=120)


class Cluster:
    """The stand-in foundation, to be broken."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = os.environ | environment

    def wedge(self) -> None:
        """Waits until the foundation is whole, and breaks it as the documentation tells: both BBS hang for good."""
        until(self._settled, what="the foundation is whole", seconds=PATIENCE)
        self.forget()
        self.do(self._folder / "fault", "locket-db-down")
        until(lambda: not _accepts(), what="the BBS does not accept", seconds=PATIENCE)
        until(self._wedged, what="both BBS are wedged", seconds=PATIENCE)
        self.do(self._folder / "fault", "locket-db-up")

    def forget(self) -> None:
        """Removes the journal, so that no cooldown is in the way."""
        self.kubectl("delete", "-n", "cf", "--ignore-not-found", *RECORD)

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says."""
        return self.do("kubectl", *arguments)

    def do(self, *command: str | Path) -> str:
        """What a command says that must succeed."""
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def _settled(self) -> bool:
        pods = json.loads(self.kubectl("get", "pods", "-n", "cf", "-o", "json"))["items"]
        active = [pod for pod in pods if pod["metadata"]["labels"].get("skiff-role-active") == "true"]
        return len(pods) == 4 and all(map(_is_ready, pods)) and len(active) == 1 and _accepts()

    def _wedged(self) -> bool:
        logs = [self.kubectl("logs", "-n", "cf", f"diego-api-{each}", "-c", "diego-api") for each in range(2)]
        return all("lost the lock database" in log for log in logs)


def _is_ready(pod: dict[str, Any]) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    return len(statuses) == 2 and all(each["ready"] for each in statuses) and "deletionTimestamp" not in pod["metadata"]


def _accepts() -> bool:
    try:
        socket.create_connection((HOST, PORT), 1).close()
    except OSError:
        return False
    return True


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
