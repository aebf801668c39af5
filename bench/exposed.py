"""What the measures read of an exposition."""

import re

from bench.http import PROMETHEUS, get


def value(text: str, series: str) -> float | None:
    """The value of the series that is written exactly so; None where it is absent."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def count(text: str, metric: str, wanted: float) -> int:
    """How many series of a metric have this value."""
    return sum(float(each) == wanted for each in re.findall(rf"^{metric}\{{.*\}} (\S+)$", text, re.MULTILINE))


def complete(port: int, foundations: int) -> bool:
    """Whether every foundation is in sync, its BBS is probed, and it is known which of its pods serves."""
    text = get(port, "/metrics", headers=PROMETHEUS).body.decode()
    known = ("diego_kubernetes_synced", "diego_bbs_tcp_reachable", "diego_bbs_serving_pods")
    return all(count(text, metric, 1) == foundations for metric in known)
