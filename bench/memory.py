"""Resident memory with 1 and 100 foundations and with 5,000 other pods in the namespace, beside blackbox_exporter."""

import sys
import time

from bench.cluster import cluster
from bench.exposed import complete
from bench.http import PROMETHEUS, Client
from bench.measure import Row, below, table
from bench.programs import blackbox, exporter, until
from bench.stock import address

SCRAPES = 200


def measure() -> list[Row]:
    """The rows. Each figure is taken after 200 scrapes."""
    name = "resident memory"
    with cluster(1) as kubernetes, blackbox() as peer:
        target = f"/probe?module=tcp&target={address(0, 1)}:{kubernetes.bbs_port}"
        _ask(peer.port, target)
        theirs = f"{peer.resident():.1f} MiB"
    one = _exporter(1)
    crowded = _exporter(1, others=5000)
    return [
        below(name, "one foundation", one, 50, unit="MiB", peer=theirs),
        below(name, "100 foundations", _exporter(100), 75, unit="MiB", peer=theirs),
        below(name, "what 5,000 other pods add, 100 changes/s", crowded - one, 2, unit="MiB"),
    ]


def _exporter(foundations: int, *, others: int = 0) -> float:
    with cluster(foundations, others=others) as kubernetes, exporter(kubernetes.config()) as program:
        until(lambda: complete(program.port, foundations), what="all foundations are known")
        if others:
            kubernetes.control("churn?rate=100")
        _ask(program.port, "/metrics")
        time.sleep(20)
        return program.resident()


def _ask(port: int, path: str) -> None:
    with Client(port) as client:
        request = client.request(path, headers=PROMETHEUS)
        for _ in range(SCRAPES):
            client.timed(request)


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
