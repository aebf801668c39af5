"""1,000 foundations in one process, with a scrape every 15 s: cores, memory, scrapes, and what waits for the event loop.

`FOUNDATIONS` and `SECONDS` in the environment shorten it.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.cluster import cluster
from bench.exposed import complete
from bench.http import PROMETHEUS, Client
from bench.measure import Row, Times, below, milliseconds, table
from bench.programs import exporter, until

INTERVAL = 15.0


def measure(foundations: int = 1000, seconds: float = 180.0) -> list[Row]:
    name = f"{foundations:,} foundations"
    with tempfile.TemporaryDirectory(prefix="diego-bench-") as directory, cluster(foundations) as kubernetes:
        stretches = Path(directory) / "stretches.json"
        watched = {"DIEGO_BENCH_STRETCHES": str(stretches)}
        began = time.monotonic()
        with exporter(kubernetes.config(), module="bench.watched_exporter", environment=watched) as program:
            until(lambda: complete(program.port, foundations), what="all foundations are known", seconds=180)
            ready = time.monotonic() - began
            time.sleep(INTERVAL)  # the first rounds are not the steady state
            stretches.unlink(missing_ok=True)
            kubernetes.control("reset")
            began, used = time.monotonic(), program.processor_time()
            scrapes, size = _scrape(program.port, seconds)
            share = (program.processor_time() - used) / (time.monotonic() - began)
            resident = program.resident()
            dials = kubernetes.control("report")["dials"]
        stretch = json.loads(stretches.read_text())
    late = dials["longest"] - 10.0
    return [
        Row(name, "until all is known", f"{ready:.0f} s"),
        below(name, "processor, with a scrape every 15 s", share, 0.3, unit="cores"),
        below(name, "resident memory after scrapes", resident, 200, unit="MiB"),
        below(name, f"scrape ({size / 1e6:.1f} MB) p50", scrapes.p50 * 1000, 100, unit="ms"),
        below(name, f"scrape p99 of {len(scrapes.values)}", scrapes.p99 * 1000, 100, unit="ms"),
        below(name, "longest stretch on the event loop", stretch["longest"] * 1000, 10, unit="ms"),
        Row(name, "where", ", ".join(f"{what} {milliseconds(took)}" for took, what in stretch["worst"][:4])),
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
