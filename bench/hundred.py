"""A scrape of 100 foundations beside the 100 probes of blackbox_exporter that it replaces, one of each every 15 s.

`ROUNDS` in the environment replaces 20.
"""

import os
import sys
import time

from bench.cluster import cluster
from bench.exposed import complete
from bench.http import PROMETHEUS, Client
from bench.measure import Row, Times, below, milliseconds, table
from bench.programs import blackbox, until
from bench.stock import address
from bench.stop_watch import watched_exporter

FOUNDATIONS = 100


def measure(*, rounds: int = 20, every: float = 15.0) -> list[Row]:
    """The rows; one round takes `every` seconds."""
    name = "scrape, 100 foundations"
    own, others = [], []
    with cluster(FOUNDATIONS) as kubernetes, blackbox() as peer, watched_exporter(kubernetes.config()) as watched:
        program, stop_watch = watched
        until(lambda: complete(program.port, FOUNDATIONS), what="all foundations are known")
        with Client(program.port) as ours, Client(peer.port) as theirs:
            scrape = ours.request("/metrics", headers=PROMETHEUS)
            targets = [f"{address(number, 1)}:{kubernetes.bbs_port}" for number in range(FOUNDATIONS)]
            probes = [theirs.request(f"/probe?module=tcp&target={each}", headers=PROMETHEUS) for each in targets]
            for client, request in ((ours, scrape), (theirs, probes[0])):
                client.timed(request)  # a connection without a request is closed
            time.sleep(every)
            stop_watch.read()
            used = program.processor_time(), peer.processor_time()
            for _ in range(rounds):
                time.sleep(every / 2)
                own.append(ours.timed(scrape))
                time.sleep(every / 2)
                others.append(sum(theirs.timed(probe) for probe in probes))
            spent = program.processor_time() - used[0], peer.processor_time() - used[1]
            longest = stop_watch.read()
    ratio = Times(others).p50 / Times(own).p50
    mine, its = milliseconds(Times(own).p50), milliseconds(Times(others).p50)
    seconds = rounds * every
    return [
        Row(name, "p50, every 15 s", mine, its, 1 / ratio, "≤ 0.05", reached=ratio >= 20),
        Row(
            name,
            "processor, all watches and probes included",
            f"{spent[0] / seconds:.4f} cores",
            f"{spent[1] / seconds:.4f} cores",
        ),
        below(name, "longest stretch on the event loop", longest[0][0] * 1000 if longest else 0.0, 10, unit="ms"),
    ]


if __name__ == "__main__":
    sys.stdout.write(table(measure(rounds=int(os.environ.get("ROUNDS", "20")))) + "\n")
