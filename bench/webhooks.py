"""Three webhooks over 300 foundations, which they share by their Leases.

Who holds how many, what that costs, and how long a foundation is without a holder after one has ended, or was killed.

`FOUNDATIONS` and `SECONDS` in the environment replace 300 and 60.
"""

import os
import re
import signal
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from bench.cluster import Cluster, cluster
from bench.http import get
from bench.measure import Row, table
from bench.programs import Program, free_port, running, until

WEBHOOKS = 3
_LEADER = re.compile(r"^diego_webhook_leader\{.*\} 1(?:\.0)?$", re.MULTILINE)


def measure(foundations: int = 300, seconds: float = 60.0) -> list[Row]:
    """The rows, with a steady part of so many seconds."""
    name = f"{WEBHOOKS} webhooks, {foundations} foundations"
    with ExitStack() as stack:
        kubernetes = stack.enter_context(cluster(foundations))
        began = time.monotonic()
        webhooks = [stack.enter_context(_webhook(kubernetes.config())) for _ in range(WEBHOOKS)]
        held = _until_held(webhooks, foundations)
        rows = [
            Row(name, "until each foundation has a holder", f"{time.monotonic() - began:.1f} s"),
            Row(name, "held by each", " / ".join(map(str, held))),
        ]
        rows += _at_rest(name, webhooks, kubernetes, seconds)
        for number, what in ((signal.SIGTERM, "was ended"), (signal.SIGKILL, "was killed")):
            held = [_held(each) for each in webhooks]
            gone = webhooks.pop(held.index(max(held)))
            began = time.monotonic()
            gone.process.send_signal(number)
            _until_held(webhooks, foundations)
            took = time.monotonic() - began
            rows.append(Row(name, f"until all are held again, after the holder of {max(held)} {what}", f"{took:.1f} s"))
    return rows


def _webhook(config: Path) -> AbstractContextManager[Program]:
    port = free_port()  # all are started before the first listens
    flags = ["--config.file", str(config), "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warn"]
    return running([sys.executable, "-m", "webhook.main", *flags], port=port)


def _held(webhook: Program) -> int:
    return len(_LEADER.findall(get(webhook.port, "/metrics").body.decode()))


def _until_held(webhooks: list[Program], foundations: int) -> list[int]:
    """How many each holds, once all are held."""
    found: list[int] = []

    def all_held() -> bool:
        found[:] = map(_held, webhooks)
        return sum(found) == foundations

    until(all_held, what="each foundation has a holder", seconds=180)
    return found


def _at_rest(name: str, webhooks: list[Program], kubernetes: Cluster, seconds: float) -> list[Row]:
    time.sleep(15)
    used, asked = [each.processor_time() for each in webhooks], _requests(kubernetes)
    time.sleep(seconds)
    cores = [(each.processor_time() - before) / seconds for each, before in zip(webhooks, used, strict=True)]
    rate = (_requests(kubernetes) - asked) / seconds
    return [
        Row(name, "processor of each, at rest", " / ".join(f"{each:.3f}" for each in cores) + " cores"),
        Row(name, "resident memory of each", " / ".join(f"{each.resident():.0f}" for each in webhooks) + " MiB"),
        Row(name, "requests for Leases and journals, at rest", f"{rate:.0f} a second"),
    ]


def _requests(kubernetes: Cluster) -> int:
    return int(kubernetes.control("report")["records"])


if __name__ == "__main__":
    rows = measure(int(os.environ.get("FOUNDATIONS", "300")), float(os.environ.get("SECONDS", "60")))
    sys.stdout.write(table(rows) + "\n")
