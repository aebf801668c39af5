"""A minute in real time: the programs over real sockets, beside the sandbox, with one fault after the other.

What each of them holds open (files, threads, memory) is counted once at rest before and once after.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from sandbox.demo.stage import Stage

REST = 20.0
"""Seconds until idle connections are closed: aiohttp keeps one for 15 s."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds: `files` are file descriptors, `rss` is in bytes."""

    program: str
    files: int
    threads: int
    rss: int

    @classmethod
    def by(cls, program: str, pid: int) -> "Held":
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - not a folder
        return cls(program, files, int(status["Threads"]), int(status["VmRSS"].split()[0]) * 1024)

    def grown_since(self, before: "Held") -> list[str]:
        limits = {"files": before.files + 4, "threads": before.threads + 64, "rss": before.rss + 32 * 2**20}
        return [
            f"{self.program}: {name} from {getattr(before, name)} to {getattr(self, name)}"
            for name, limit in limits.items()
            if getattr(self, name) > limit
        ]


async def minute(seconds: float = 60.0) -> tuple[list[Held], list[Held]]:
    """What the exporter and the webhook hold before and after so many seconds of trouble."""
    async with Stage(real=False) as stage:
        await asyncio.sleep(REST)
        before = held(stage)
        until = asyncio.get_running_loop().time() + seconds
        async with scraping(stage):
            while asyncio.get_running_loop().time() < until:
                await round_of_faults(stage)
        await asyncio.sleep(REST)
        stage.children.check()
        return before, held(stage)


def held(stage: Stage) -> list[Held]:
    return [Held.by(name, pid) for name, pid in stage.children.pids.items() if name.startswith("diego-")]


async def round_of_faults(stage: Stage) -> None:
    """About 15 s."""
    box = stage.box
    box.fault("locket-db-down")
    await asyncio.sleep(1)
    box.fault("locket-db-up")
    for pid in stage.children.pids.values():
        os.kill(pid, signal.SIGHUP)
    box.fault("drop-watch")
    await asyncio.sleep(4)
    for begins, ends in (("api-hang", "api-resume"), ("api-kill", "api-start")):
        box.fault(begins)
        await asyncio.sleep(2)
        box.fault(ends)
        await asyncio.sleep(3)
    box.fault("watch-410")


@asynccontextmanager
async def scraping(stage: Stage) -> AsyncIterator[None]:
    """Scrapes, in haste and never to the end, and clients that connect and say nothing."""

    async def scrape() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.5)) as session:
            while True:
                for url in (stage.exporter, stage.webhook):
                    with suppress(aiohttp.ClientError, TimeoutError):
                        async with session.get(f"{url}/metrics", headers={"Connection": "close"}) as answer:
                            await answer.content.read(100)
                    host, _, port = url.removeprefix("http://").rpartition(":")
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.write(b"GET /metr")
                    await asyncio.sleep(0.05)
                    writer.close()

    task = asyncio.create_task(scrape())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])
