"""From a changed label to the gauge that shows it, beside a bare watch on the same pods, which is the floor.

Once with nothing else in the namespace, and once with 5,000 other pods and 100 changes of them a second.
"""

import sys
import time
from functools import partial

from bench.cluster import Cluster, cluster
from bench.exposed import complete, value
from bench.http import PROMETHEUS, Client
from bench.measure import Row, Times, milliseconds, table
from bench.programs import exporter, until
from bench.stock import name_of

SERIES = f'diego_api_pod_active{{foundation="{name_of(0)}",pod="diego-api-1"}}'


def measure(*, changes: int = 200) -> list[Row]:
    """The rows."""
    rows = []
    for others, rate in ((0, 0), (5000, 100)):
        with cluster(1, others=others) as kubernetes, exporter(kubernetes.config()) as program:
            until(partial(complete, program.port, 1), what="the foundation is known")
            if rate:
                kubernetes.control(f"churn?rate={rate}")
            shown, floor = _changes(kubernetes, program.port, changes)
        how = f", {others:,} other pods, {rate} changes/s" if others else ""
        rows += [
            Row("label changed → visible", f"p50{how}", milliseconds(shown.p50), milliseconds(floor.p50)),
            _p99(f"p99{how}", shown.p99, floor.p99),
        ]
    return rows


def _p99(figure: str, shown: float, floor: float) -> Row:
    reached = shown <= floor + 0.005
    ours, theirs = milliseconds(shown), milliseconds(floor)
    return Row("label changed → visible", figure, ours, theirs, None, "≤ the watch + 5 ms", reached=reached)


def _changes(kubernetes: Cluster, port: int, count: int) -> tuple[Times, Times]:
    """Seconds until each second change is shown, and until each other one is told by a watch."""
    shown, floor = [], []
    path = f"/api/v1/namespaces/{name_of(0)}/pods?watch=true&timeoutSeconds=3600&labelSelector=app%3Ddiego-api"
    with Client(kubernetes.program.port) as watch, Client(port) as scrapes, Client(kubernetes.program.port) as control:
        watch.open(path)
        scrape = scrapes.request("/metrics", headers=PROMETHEUS)
        for number in range(2 * count):
            wanted = ("true", "false")[number // 2 % 2] if number % 2 == 0 else "other"
            change = control.request(f"/bench/label?foundation=0&value={wanted}")
            time.sleep(0.02)
            began = time.perf_counter()
            control.send(change)
            if number % 2:
                watch.wait_for(b"MODIFIED")
                floor.append(time.perf_counter() - began)
                continue
            while value(scrapes.send(scrape).body.decode(), SERIES) != float(wanted == "true"):
                pass
            shown.append(time.perf_counter() - began)
            watch.wait_for(b"MODIFIED")
    return Times(shown), Times(floor)


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
