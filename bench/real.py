"""A real Kubernetes with the stand-in foundation, for the measures that need one.

It needs bash, kubectl and a cluster of the stand-in foundation: the folder of `DIEGO_MEDIC_CLUSTER` with `up`, `down`
and `fault`, as for `make test-cluster`, or one that runs (KUBECONFIG and KUBE_RUN).
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from bench.measure import MissingToolError
from bench.programs import until

HOST, PORT = "10.96.0.89", 8889
RECORD = ("configmap/diego-medic-diego-api", "lease/diego-medic-diego-api")
_OPEN = 2.0
"""Seconds until a watch of kubectl is open."""
PATIENCE = 600.0
"""Seconds: a kubelet has taken three minutes to end a pod."""


@contextmanager
def real_cluster() -> Iterator["Cluster"]:
    """Starts a cluster, or takes the one that runs. Raises MissingToolError."""
    folder = Path(os.environ.get("DIEGO_MEDIC_CLUSTER", Path(__file__).parents[2] / "shared" / "cluster"))
    missing = [name for name in ("bash", "kubectl") if shutil.which(name) is None]
    if missing or not (folder / "fault").exists():
        raise MissingToolError(
            f"{' and '.join(missing)} and a cluster are needed: set DIEGO_MEDIC_CLUSTER to the folder with its scripts"
            if missing
            else "a cluster is needed: set DIEGO_MEDIC_CLUSTER to the folder with its scripts up, down and fault"
        )
    given = {key: os.environ.get(key, "") for key in ("KUBECONFIG", "KUBE_RUN")}
    if all(given.values()):
        yield Cluster(folder, given)
        return
    try:
        started = subprocess.run([folder / "up"], check=True, capture_output=True, text=True, timeout=1800)
        yield Cluster(folder, dict(word.split("=", 1) for word in shlex.split(started.stdout) if "=" in word))
    finally:
        subprocess.run([folder / "down"], check=False, capture_output=True, timeout=120)


class Cluster:
    """The stand-in foundation, to be broken."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self.environment = os.environ | environment

    def wedge(self) -> None:
        """Waits until the foundation is whole, and breaks it as the documentation tells: both BBS hang for good."""
        self.until_whole()
        self.forget()
        self.fault("locket-db-down")
        until(lambda: not accepts(), what="the BBS does not accept", seconds=PATIENCE)
        until(self.is_wedged, what="both BBS are wedged", seconds=PATIENCE)
        self.fault("locket-db-up")

    def until_whole(self) -> None:
        """Waits until all pods are ready, and one BBS is active and accepts."""
        until(self._is_whole, what="the foundation is whole", seconds=PATIENCE)

    def fault(self, name: str) -> None:
        self.do(self._folder / "fault", name)

    def forget(self) -> None:
        """Removes the journal, so that no cooldown is in the way."""
        self.kubectl("delete", "-n", "cf", "--ignore-not-found", *RECORD)

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says."""
        return self.do("kubectl", *arguments)

    def do(self, *command: str | Path) -> str:
        """What a command says that must succeed."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def _is_whole(self) -> bool:
        pods = json.loads(self.kubectl("get", "pods", "-n", "cf", "-o", "json"))["items"]
        active = [pod for pod in pods if pod["metadata"]["labels"].get("skiff-role-active") == "true"]
        return len(pods) == 4 and all(map(_is_ready, pods)) and len(active) == 1 and accepts()

    def is_wedged(self) -> bool:
        logs = [self.kubectl("logs", "-n", "cf", f"diego-api-{each}", "-c", "diego-api") for each in range(2)]
        return all("lost the lock database" in log for log in logs)


@contextmanager
def told(cluster: Cluster, *query: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Runs `kubectl` with this query as a watch, and gives each line to `tell`, in a thread."""
    command = ["kubectl", *query]
    with subprocess.Popen(command, env=cluster.environment, stdout=subprocess.PIPE, text=True) as watching:

        def read() -> None:
            for line in watching.stdout or ():
                tell(line)

        reading = Thread(target=read)
        reading.start()
        try:
            time.sleep(_OPEN)
            yield
        finally:
            watching.terminate()
            reading.join()


def _is_ready(pod: dict[str, Any]) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    return len(statuses) == 2 and all(each["ready"] for each in statuses) and "deletionTimestamp" not in pod["metadata"]


def accepts() -> bool:
    try:
        socket.create_connection((HOST, PORT), 1).close()
    except OSError:
        return False
    return True
