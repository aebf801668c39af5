"""A scrape of one foundation beside a TCP probe of blackbox_exporter: as Prometheus asks, on connections that are kept.

Three ways: one after the other; with a probe of each address before every scrape, so that no answer is the one before;
and one every 15 s with probes every 10 s, which is what Prometheus does.
"""

import os
import sys
import time

from bench.cluster import cluster
from bench.exposed import complete
from bench.http import PROMETHEUS, Client
from bench.measure import Row, Times, against, table
from bench.programs import blackbox, exporter, until
from bench.stock import address

BLOCK = 200
"""Requests of one side before the other has its turn."""


def measure(*, blocks: int = 10, changed: int = 100, slow: int = 20) -> list[Row]:
    name = "scrape, one foundation"
    with cluster(1) as kubernetes, blackbox() as peer:
        target = f"/probe?module=tcp&target={address(0, 1)}:{kubernetes.bbs_port}"
        rows = []
        with exporter(kubernetes.config(interval="1s")) as program:
            until(lambda: complete(program.port, 1), what="the foundation is known")
            with Client(program.port) as ours, Client(peer.port) as theirs:
                scrape = ours.request("/metrics", headers=PROMETHEUS)
                probe = theirs.request(target, headers=PROMETHEUS)
                for client, request in ((ours, scrape), (theirs, probe)):
                    for _ in range(BLOCK):  # both are warm then
                        client.timed(request)
                own: list[float] = []
                others: list[float] = []
                for _ in range(blocks):
                    own += [ours.timed(scrape) for _ in range(BLOCK)]
                    others += [theirs.timed(probe) for _ in range(BLOCK)]
                rows += _rows(name, "one after the other", Times(own), Times(others))
                per_second = len(own) / sum(own), len(others) / sum(others)
                rows.append(_throughput(name, *per_second))
                rows += _rows(name, "all changed before", *_paced(ours, scrape, theirs, probe, changed, every=1.5))
        with exporter(kubernetes.config()) as program:
            until(lambda: complete(program.port, 1), what="the foundation is known")
            with Client(program.port) as ours, Client(peer.port) as theirs:
                rows += _rows(name, "every 15 s", *_paced(ours, scrape, theirs, probe, slow, every=15.0))
    return rows


def _paced(
    ours: Client, scrape: bytes, theirs: Client, probe: bytes, count: int, *, every: float
) -> tuple[Times, Times]:
    """Both once in a while, each first in every other round."""
    own: list[float] = []
    others: list[float] = []
    sides = [(ours, scrape, own), (theirs, probe, others)]
    for _ in range(count):
        for client, request, times in sides:
            time.sleep(every / 2)
            times.append(client.timed(request))
        sides.reverse()
    return Times(own), Times(others)


def _rows(name: str, how: str, ours: Times, theirs: Times) -> list[Row]:
    return [
        against(name, f"p50, {how}", ours.p50, theirs.p50, at_most=0.3),
        against(name, f"p99, {how}", ours.p99, theirs.p99, at_most=0.3),
    ]


def _throughput(name: str, ours: float, theirs: float) -> Row:
    ratio = ours / theirs
    return Row(name, "a second", f"{ours:,.0f}", f"{theirs:,.0f}", ratio, "≥ 3 ×", reached=ratio >= 3)


if __name__ == "__main__":
    sys.stdout.write(table(measure(slow=int(os.environ.get("SLOW", "20")))) + "\n")
