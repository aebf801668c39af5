"""Detection on a real Kubernetes: from the break until the gauges show it, beside a bare connect and `kubectl --watch`.

Needs what `bench.real` needs. The exporter has its default times, so a connect that fails is shown after at most
`bbs.interval` (10 s), on average half of it; the label goes when the pod's own readiness probe takes it away.
`ROUNDS` in the environment replaces 5.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

import yaml

from bench.exposed import value
from bench.http import PROMETHEUS, Client
from bench.measure import Row, Times, table
from bench.programs import exporter, until
from bench.real import HOST, Cluster, accepts, real_cluster, told

GAUGES = {
    "connect": 'diego_bbs_tcp_reachable{foundation="cf",vantage="exporter"}',
    "label": 'diego_bbs_active_leaders{foundation="cf"}',
}
_COLUMN = "-o=jsonpath={.metadata.labels.skiff-role-active}{'\\n'}"
_LABELS = ("get", "pods", "-n", "cf", "-l", "skiff-role-name=diego-api", "--watch-only", _COLUMN)
PATIENCE = 120.0


def measure(*, rounds: int = 5) -> list[Row]:
    """The rows. Raises MissingToolError."""
    shown: dict[str, list[float]] = {name: [] for name in GAUGES}
    floor: dict[str, list[float]] = {name: [] for name in GAUGES}
    with real_cluster() as cluster, tempfile.TemporaryDirectory(prefix="diego-bench-") as directory:
        config = Path(directory) / "diego.yaml"
        foundation = {"name": "cf", "kubeconfig": cluster.environment["KUBECONFIG"], "bbs": {"host": HOST}}
        config.write_text(yaml.safe_dump({"foundations": [foundation]}))
        with exporter(config) as program:
            for _ in range(rounds):
                ours, theirs = _round(cluster, program.port)
                for name in GAUGES:
                    shown[name].append(ours[name])
                    floor[name].append(theirs[name])
    what = {"connect": "the BBS is broken → diego_bbs_tcp_reachable 0", "label": "… → diego_bbs_active_leaders 0"}
    beside = {"connect": "a connect every 50 ms", "label": "kubectl --watch"}
    return [
        Row(
            "detection on a real cluster",
            f"{what[name]}, median of {rounds}",
            f"{Times(shown[name]).p50:.2f} s",
            f"{Times(floor[name]).p50:.2f} s ({beside[name]})",
        )
        for name in GAUGES
    ]


def _round(cluster: Cluster, port: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds from the break until it is shown, and until it could be known at the earliest, by gauge."""
    cluster.until_whole()
    with Client(port) as client:
        scrape = client.request("/metrics", headers=PROMETHEUS)

        def gauge(name: str) -> float | None:
            return value(client.send(scrape).body.decode(), GAUGES[name])

        until(
            lambda: all(gauge(name) == 1 for name in GAUGES),
            what="the exporter shows that all is well",
            seconds=PATIENCE,
        )
        theirs: dict[str, float] = {}
        ours: dict[str, float] = {}
        began = 0.0

        def tell(label: str) -> None:
            if label.strip() == "false" and began:
                theirs.setdefault("label", time.monotonic() - began)

        with told(cluster, *_LABELS, tell=tell):
            began = time.monotonic()
            cluster.fault("locket-db-down")
            connecting = Thread(target=_connects, args=(began, theirs))
            connecting.start()

            def all_shown() -> bool:
                for name in GAUGES.keys() - ours.keys():
                    if gauge(name) == 0:
                        ours[name] = time.monotonic() - began
                return ours.keys() == GAUGES.keys() == theirs.keys()

            until(all_shown, what="both gauges show it", seconds=PATIENCE, every=0.02)
            connecting.join()
    cluster.fault("locket-db-up")
    cluster.kubectl("delete", "pods", "-n", "cf", "--wait=false", "diego-api-0", "diego-api-1")
    return ours, theirs


def _connects(began: float, found: dict[str, float]) -> None:
    while accepts() and time.monotonic() - began < PATIENCE:
        time.sleep(0.05)
    found["connect"] = time.monotonic() - began


if __name__ == "__main__":
    sys.stdout.write(table(measure(rounds=int(os.environ.get("ROUNDS", "5")))) + "\n")
