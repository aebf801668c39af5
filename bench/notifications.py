"""Many notifications at once: 200, each recorded before it is answered, and 10,000 as fast as one Alertmanager sends.

A webhook and a sandbox, each a process. The floor is the write of a ConfigMap in the same API server.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from bench.box import box
from bench.http import get
from bench.measure import Row, Times, milliseconds, table
from bench.programs import Program, running, until

AT_ONCE = 200
MANY = 10_000
SENDERS = 50
"""Connections over which the many come: a group of alerts waits for its answer before it sends again."""

Send = Callable[[bytes], Awaitable[tuple[int, float]]]
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def measure() -> list[Row]:
    """The rows."""
    with box(mode="observe") as config:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "webhook.main",
            "--config.file",
            config,
            "--web.listen-address",
            "127.0.0.1:0",
        ]
        with running(command) as program:
            until(lambda: get(program.port, "/-/ready").status == 200, what="the webhook is ready")
            return asyncio.run(_measure(program, config))


async def _measure(program: Program, config: Path) -> list[Row]:
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        floor = Times([await _write(session, config, number) for number in range(50)])
        senders = [await stack.enter_async_context(_sender(program.port)) for _ in range(AT_ONCE)]
        posts = [_post(number) for number in range(AT_ONCE)]
        answers = await asyncio.gather(*(send(post) for send, post in zip(senders, posts, strict=True)))
        at_once = Times([took for _, took in answers])
        codes = {code for code, _ in answers}
        many, took = await _many(senders[:SENDERS])
        runs = await _runs(session, program.port)
    goal = f"≤ the write + {milliseconds(0.1)}"
    late = at_once.p99 - floor.p50
    return [
        Row(
            f"{AT_ONCE} notifications at once",
            "p99",
            milliseconds(at_once.p99),
            f"{milliseconds(floor.p50)} (one ConfigMap write)",
            None,
            goal,
            reached=late <= 0.1 and codes <= {200, 202},
        ),
        Row(
            f"{MANY:,} notifications",
            f"p99, {len(many) / took:,.0f} a second",
            milliseconds(Times([took for _, took in many]).p99),
            goal="all answered, one run",
            reached={code for code, _ in many} <= {200, 202} and runs == 1,
        ),
    ]


async def _many(senders: Sequence[Send]) -> tuple[list[tuple[int, float]], float]:
    posts = [_post(number) for number in range(AT_ONCE, AT_ONCE + MANY)]
    left, found = iter(posts), list[tuple[int, float]]()

    async def work(send: Send) -> None:
        for post in left:
            found.append(await send(post))

    began = time.perf_counter()
    await asyncio.gather(*map(work, senders))
    return found, time.perf_counter() - began


@asynccontextmanager
async def _sender(port: int) -> AsyncIterator[Send]:
    """A connection that is open. What it sends returns the status, and the seconds until the whole answer is there.

    With as little work of its own as possible: it has the same cores as the webhook.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send(request: bytes) -> tuple[int, float]:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(_LENGTH.findall(head)[0]))
        return int(head.split(b" ", 2)[1]), time.perf_counter() - began

    try:
        yield send
    finally:
        writer.close()


def _post(number: int) -> bytes:
    """The bytes of a request."""
    body = json.dumps(_notification(number)).encode()
    head = "POST /alerts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _notification(number: int) -> dict[str, Any]:
    labels = {
        "alertname": "DiegoBBSUnreachable",
        "foundation": "cf",
        "severity": "critical",
        "remediation": "restart-diego-api",
        "instance": f"exporter-{number}",
    }
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": f"{number:016x}",
    }
    group = {"alertname": "DiegoBBSUnreachable", "foundation": "cf"}
    return {
        "version": "4",
        "groupKey": f"{{}}:{json.dumps(group)}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "diego-medic",
        "groupLabels": group,
        "commonLabels": group,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": [alert],
    }


async def _write(session: aiohttp.ClientSession, config: Path, number: int) -> float:
    """Seconds of one write of a ConfigMap, the first of which creates it."""
    kubeconfig = yaml.safe_load(config.with_name("kubeconfig").read_text())
    server, token = kubeconfig["clusters"][0]["cluster"]["server"], kubeconfig["users"][0]["user"]["token"]
    url = f"{server}/api/v1/namespaces/cf/configmaps"
    body = {"metadata": {"name": "bench"}, "data": {"text": f"{number}" * 1000}}
    method, url = ("POST", url) if number == 0 else ("PUT", f"{url}/bench")
    began = time.perf_counter()
    async with session.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}) as response:
        text = await response.text()
        took = time.perf_counter() - began
        if response.status not in (200, 201):
            raise RuntimeError(f"{method} {url}: {response.status} {text}")
        return took


async def _runs(session: aiohttp.ClientSession, port: int) -> int:
    async with session.get(f"http://127.0.0.1:{port}/api/v1/runs") as response:
        found: list[Any] = (await response.json())["runs"]
        return len(found)


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
