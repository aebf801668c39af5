"""Many foundations in one process, with a scrape every 15 s: cores, memory, scrapes, and what waits for the event loop.

`FOUNDATIONS` and `SECONDS` in the environment replace 1,000 and 180.
"""

import os
import sys
import time

from bench.cluster import cluster
from bench.exposed import complete
from bench.http import PROMETHEUS, Client
from bench.measure import Row, Times, below, milliseconds, table
from bench.programs import until
from bench.stop_watch import watched_exporter

INTERVAL = 15.0
SETTLE = 30.0
"""Seconds after the first complete scrape that are not counted: until all watches were opened a second time, and the
exporter knows the interval of its scrapes."""


def measure(foundations: int = 1000, seconds: float = 180.0) -> list[Row]:
    """Rows for that many foundations, observed for that many seconds."""
    name = f"{foundations:,} foundations"
    with cluster(foundations) as kubernetes:
        began = time.monotonic()
        with watched_exporter(kubernetes.config()) as (program, stop_watch):
            until(lambda: complete(program.port, foundations), what="all foundations are known", seconds=180)
            ready = time.monotonic() - began
            _scrape(program.port, SETTLE)
            stop_watch.read()
            kubernetes.control("reset")
            began, used = time.monotonic(), program.processor_time()
            scrapes, size = _scrape(program.port, seconds)
            share = (program.processor_time() - used) / (time.monotonic() - began)
            longest = stop_watch.read()
            resident = program.resident()
            late = kubernetes.control("report")["dials"]["longest"] - 10.0
    worst = ", ".join(f"{what} {milliseconds(took)}" for took, what in longest[:3]) or "none above 1 ms"
    return [
        Row(name, "until all is known", f"{ready:.0f} s"),
        below(name, "processor, with a scrape every 15 s", share, 0.3, unit="cores"),
        below(name, "resident memory after scrapes", resident, 200, unit="MiB"),
        Row(name, f"scrape ({size / 1e6:.1f} MB) p50", milliseconds(scrapes.p50)),
        below(name, f"scrape p99 of {len(scrapes.values)}", scrapes.p99 * 1000, 100, unit="ms"),
        below(name, "longest stretch on the event loop", longest[0][0] * 1000 if longest else 0.0, 10, unit="ms"),
        Row(name, "the longest three", worst),
        below(name, "a probe was late by", late, 1, unit="s"),
    ]


def _scrape(port: int, seconds: float) -> tuple[Times, int]:
    found, size = [], 0
    end = time.monotonic() + seconds
    with Client(port) as client:
        request = client.request("/metrics", headers=PROMETHEUS)
        while time.monotonic() < end:
            due = time.monotonic() + INTERVAL
            began = time.perf_counter()
            answer = client.send(request)
            found.append(time.perf_counter() - began)
            size = len(answer.body)
            time.sleep(max(0.0, due - time.monotonic()))
    return Times(found), size


if __name__ == "__main__":
    rows = measure(int(os.environ.get("FOUNDATIONS", "1000")), float(os.environ.get("SECONDS", "180")))
    sys.stdout.write(table(rows) + "\n")
