"""Recovery on a real Kubernetes: a run, from its first step to `recovered`, beside the documented commands in a script.

How long a kubelet takes to end and to start pods differs by half a minute from one time to the next, so of each the
restart of its own pods is taken away: from the first delete until a watch tells that all are ready and one is active.
There is one attempt to confirm and one to verify, so that no configured wait is in the figure.

Needs what `bench.real` needs. `ROUNDS` in the environment replaces 5.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import yaml

from bench.measure import Row, Times, table
from bench.programs import until
from bench.real import HOST, PORT, Cluster, real_cluster, told

_COLUMNS = "N:.metadata.name,U:.metadata.uid,A:.metadata.labels.skiff-role-active,R:.status.containerStatuses[*].ready"
_PODS = ("get", "pods", "-n", "cf", "-l", "skiff-role-name=diego-api", "--no-headers", f"-o=custom-columns={_COLUMNS}")
SCRIPT = Path(__file__).with_name("recovery.sh")
RUNBOOK = (sys.executable, "-m", "webhook.operator.cli")


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one recovery, and of the restart of the pods within it."""

    whole: float
    pods: float

    @property
    def above(self) -> float:
        return self.whole - self.pods


def measure(*, rounds: int = 5) -> list[Row]:
    """The rows. Raises MissingToolError."""
    own: list[Took] = []
    script: list[Took] = []
    with real_cluster() as cluster, tempfile.TemporaryDirectory(prefix="diego-bench-") as directory:
        config = _config(Path(directory), cluster.environment["KUBECONFIG"])
        for _ in range(rounds):
            for took, recover in ((own, partial(_run, cluster, config)), (script, partial(_scripted, cluster))):
                cluster.wedge()
                with _watched(cluster) as whole_at:
                    began, first_delete, ended = recover()
                took.append(Took(ended - began, whole_at() - first_delete))
        cluster.forget()
    return _rows(own, script)


def _rows(own: list[Took], script: list[Took]) -> list[Row]:
    name = "recovery on a real cluster"
    ours, theirs = (Times([each.above for each in took]).p50 for took in (own, script))
    pods = Times([each.pods for each in (*own, *script)])
    return [
        Row(
            name,
            f"first step → recovered, less the restart of the pods, median of {len(own)}",
            f"{ours:.2f} s",
            f"{theirs:.2f} s (script)",
            ours / theirs,
            "ahead of the script",
            reached=ours < theirs,
        ),
        Row(name, "the same", f"{ours:+.2f} s", goal="≤ +1 s", reached=ours <= 1.0),
        Row(name, "the restart of the pods itself", f"{min(pods.values):.1f} to {max(pods.values):.1f} s"),
    ]


@contextmanager
def _watched(cluster: Cluster) -> Iterator[Callable[[], float]]:
    """A watch on the pods. What is yielded returns the Unix time at which all were new and ready, and one active."""
    before = {uid for _, uid, *_ in map(str.split, cluster.kubectl(*_PODS).splitlines())}
    found: list[float] = []
    pods: dict[str, tuple[str, str, str]] = {}

    def tell(line: str) -> None:
        pod, uid, active, ready = line.split()
        pods[pod] = uid, active, ready
        uids, labels, containers = zip(*pods.values(), strict=True)
        new = len(pods) == 2 and not before.intersection(uids)
        if new and set(containers) == {"true,true"} and labels.count("true") == 1:
            found.append(time.time())

    def whole_at() -> float:
        until(lambda: bool(found), what="the watch tells that all pods are ready")
        return found[0]

    with told(cluster, *_PODS, "--watch", tell=tell):
        yield whole_at


def _config(directory: Path, kubeconfig: str) -> Path:
    once = {"attempts": 1, "interval": "1s"}
    document = {
        "foundations": [{"name": "cf", "kubeconfig": kubeconfig, "bbs": {"host": HOST}}],
        "remediation": {"mode": "auto", "confirm": once, "verify": once},
    }
    path = directory / "diego.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def _run(cluster: Cluster, config: Path) -> tuple[float, float, float]:
    """Unix times of a run's first step, of its restart and of its end, by the journal."""
    cluster.do(*RUNBOOK, "run", "cf", "--config.file", config)
    history = cluster.do(*RUNBOOK, "history", "cf", "-o", "json", "--config.file", config)
    (run,) = json.loads(history)["runs"]
    restart = next(step for step in run["steps"] if step["name"] == "restart")
    return _unix(run["steps"][0]["started"]), _unix(restart["started"]), _unix(run["ended"])


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _scripted(cluster: Cluster) -> tuple[float, float, float]:
    """Unix times of the script's begin, of its restart and of its end."""
    began, restart, _, ended = map(float, cluster.do("bash", SCRIPT, HOST, str(PORT)).split())
    return began, restart, ended


if __name__ == "__main__":
    sys.stdout.write(table(measure(rounds=int(os.environ.get("ROUNDS", "5")))) + "\n")
