"""`diego-webhook` that stops itself by SIGSTOP, once, at a moment that nobody hits from outside.

    python -m tests.support.stopping_webhook --config.file … --stop-after=intent

`intent`: the first intent to delete a pod is on record, its DELETE is not sent. `delete`: the first DELETE was
accepted, and nothing of that is on record. The time-outs are the product's, but what an earlier holder of the lease may
have sent is waited for 10 s instead of 60.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from exporter.kubernetes.transport import Response
from tests.support.audit import JOURNAL
from webhook import main
from webhook.timings import DEFAULT
from webhook.transport import HttpWriteTransport, Method

TIMINGS = replace(DEFAULT, outstanding=10)


def _intends(method: Method, path: str, body: Any) -> bool:
    if method != "PUT" or not path.endswith(f"/configmaps/{JOURNAL}"):
        return False
    runs = msgspec.json.decode(body["data"]["journal.json"])["runs"]
    return any(pod.get("intended_at") for run in runs for pod in run.get("pods", ()))


def _deletes(method: Method, path: str, _body: Any) -> bool:
    return method == "DELETE" and "/pods/" in path


MOMENTS: dict[str, Callable[[Method, str, Any], bool]] = {
    "intent": _intends,
    "delete": _deletes,
    "never": lambda *_: False,
}


def stop_after(moment: Callable[[Method, str, Any], bool]) -> None:
    """The process stops once, when such a request was accepted, before it learns of it."""
    send = HttpWriteTransport.send
    stopped = False

    async def stopping(self: HttpWriteTransport, method: Method, path: str, body: object, **options: bool) -> Response:
        nonlocal stopped
        answer = await send(self, method, path, body, **options)
        if not stopped and answer.status < 300 and moment(method, path, body):
            stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return answer

    HttpWriteTransport.send = stopping  # type: ignore[method-assign]


async def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP has stopped this process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"  # noqa: ASYNC240 - not a disk


if __name__ == "__main__":
    (chosen,) = (each for each in sys.argv if each.startswith("--stop-after="))
    sys.argv.remove(chosen)
    stop_after(MOMENTS[chosen.partition("=")[2]])
    sys.exit(main.main(timings=TIMINGS))
