"""A scrape of one foundation beside a TCP probe of blackbox_exporter: as Prometheus asks, on connections that are kept.

Three ways: one after the other; with a probe of each address before every scrape, so that no answer is the one before;
and one every 15 s with probes every 10 s, which is what Prometheus does, beside the floor of aiohttp as well.
"""

import os
import sys
import time

from bench.cluster import cluster
from bench.exposed import complete
from bench.floor import floor
from bench.http import PROMETHEUS, Client
from bench.measure import Row, Times, against, milliseconds, table
from bench.programs import blackbox, exporter, until
from bench.stock import address

BLOCK = 200
"""Requests of one side before the other has its turn."""


NAME = "scrape, one foundation"


def measure(*, blocks: int = 10, changed: int = 100, slow: int = 20) -> list[Row]:
    with cluster(1) as kubernetes, blackbox() as peer:
        path = f"/probe?module=tcp&target={address(0, 1)}:{kubernetes.bbs_port}"
        with exporter(kubernetes.config(interval="1s")) as program:
            until(lambda: complete(program.port, 1), what="the foundation is known")
            with Client(program.port) as ours, Client(peer.port) as theirs:
                scrape = ours.request("/metrics", headers=PROMETHEUS)
                probe = theirs.request(path, headers=PROMETHEUS)
                rows = _at_once(ours, scrape, theirs, probe, blocks)
                own, others = _paced([(ours, scrape), (theirs, probe)], changed, every=1.5)
                rows += _rows("all changed before", own, others)
        with exporter(kubernetes.config()) as program:
            until(lambda: complete(program.port, 1), what="the foundation is known")
            with (
                Client(program.port) as ours,
                Client(peer.port) as theirs,
                floor(ours.send(scrape).content) as aiohttp,
                Client(aiohttp.port) as least,
            ):
                sides = [(ours, scrape), (theirs, probe), (least, scrape)]
                own, others, constant = _paced(sides, slow, every=15.0)
        rows += _rows("every 15 s", own, others)
        how = "p50, every 15 s, beside aiohttp with a constant answer"
        rows.append(Row(NAME, how, milliseconds(own.p50), milliseconds(constant.p50), ratio=own.p50 / constant.p50))
    return rows


def _at_once(ours: Client, scrape: bytes, theirs: Client, probe: bytes, blocks: int) -> list[Row]:
    """One request after the other."""
    for client, request in ((ours, scrape), (theirs, probe)):
        for _ in range(BLOCK):  # both are warm then
            client.timed(request)
    own: list[float] = []
    others: list[float] = []
    for _ in range(blocks):
        own += [ours.timed(scrape) for _ in range(BLOCK)]
        others += [theirs.timed(probe) for _ in range(BLOCK)]
    throughput = _throughput(len(own) / sum(own), len(others) / sum(others))
    return [*_rows("one after the other", Times(own), Times(others)), throughput]


def _paced(sides: list[tuple[Client, bytes]], count: int, *, every: float) -> list[Times]:
    """Each of them once in `every` seconds, and no two at once; the first two do not count: they show the interval."""
    found: list[list[float]] = [[] for _ in sides]
    due = time.monotonic()
    for _ in range(2 + count):
        for (client, request), times in zip(sides, found, strict=True):
            due += every / len(sides)
            time.sleep(max(0.0, due - time.monotonic()))
            times.append(client.timed(request))
    return [Times(times[2:]) for times in found]


def _rows(how: str, ours: Times, theirs: Times) -> list[Row]:
    return [
        against(NAME, f"p50, {how}", ours.p50, theirs.p50, at_most=0.3),
        against(NAME, f"p99, {how}", ours.p99, theirs.p99, at_most=0.3),
    ]


def _throughput(ours: float, theirs: float) -> Row:
    ratio = ours / theirs
    return Row(NAME, "a second", f"{ours:,.0f}", f"{theirs:,.0f}", ratio, "≥ 3 ×", reached=ratio >= 3)


if __name__ == "__main__":
    sys.stdout.write(table(measure(slow=int(os.environ.get("SLOW", "20")))) + "\n")
