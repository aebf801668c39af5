"""The exporter as its users run it: a process, its flags, its signals and its HTTP."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

DEADLINE = 150.0
"""Seconds after which a test gives up waiting; nothing is expected to take that long."""
_STARTED = re.compile(r"msg=started .*address=127\.0\.0\.1:(\d+)")


def a_foundation(kubeconfig: Path, port: int, *, name: str = "cf", **more: Any) -> dict[str, Any]:
    """A foundation of a config whose BBS is here."""
    bbs = {"host": "127.0.0.1", "port": port, "interval": "200ms", "timeout": "100ms"}
    return {"name": name, "namespace": name, "kubeconfig": str(kubeconfig), "bbs": bbs, **more}


def write(path: Path, content: Any) -> Any:
    """Writes another config, and returns the one before."""
    before = yaml.safe_load(path.read_text()) if path.exists() else None
    path.write_text(yaml.safe_dump(content))
    return before


class Exporter:
    """A running exporter."""

    def __init__(self, process: asyncio.subprocess.Process, config: Path) -> None:
        self.process = process
        self.config = config
        self.log: list[str] = []
        self.port = 0
        self._session = aiohttp.ClientSession(headers={"Accept-Encoding": "identity"})

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode().rstrip("\n"))
            if found := _STARTED.search(self.log[-1]):
                self.port = int(found[1])

    async def get(self, path: str, *, method: str = "GET") -> tuple[int, str]:
        async with self._session.request(method, f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.text()

    async def metrics(self) -> dict[str, float]:
        """Each sample by `name` or `name{key=value,…}`; the keys in alphabetical order."""
        _, text = await self.get("/metrics")
        return samples(text)

    async def until(self, expected: Mapping[str, float | None], *, deadline: float = DEADLINE) -> dict[str, float]:
        """Waits until the metrics have these values; None means that there is no such series."""
        seen: dict[str, float] = {}

        async def fits() -> bool:
            seen.clear()
            seen.update(await self.metrics())
            return all(seen.get(name) == value for name, value in expected.items())

        try:
            await eventually(fits, deadline=deadline)
        except TimeoutError:
            found = {name: seen.get(name) for name in expected}
            raise AssertionError(f"wanted {dict(expected)}, found {found}; the log:\n" + "\n".join(self.log)) from None
        return seen

    async def said(self, *words: str) -> list[str]:
        """The lines of the log with all these words, once there is one: what comes through a pipe may be late."""
        found: list[str] = []

        async def there() -> bool:
            found[:] = [line for line in self.log if all(word in line for word in words)]
            return bool(found)

        await eventually(there)
        return found

    async def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), DEADLINE)

    async def close(self) -> None:
        await self._session.close()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(each.labels.items()))
            found[each.name + (f"{{{labels}}}" if labels else "")] = each.value
    return found


async def eventually(condition: Callable[[], Awaitable[bool]], *, deadline: float = DEADLINE) -> None:
    async with asyncio.timeout(deadline):
        while not await condition():  # noqa: ASYNC110 - what it waits for is in another process
            await asyncio.sleep(0.05)


def command(*flags: str, program: str = "exporter.main") -> list[str]:
    return [sys.executable, "-W", "error", "-m", program, *flags]


@asynccontextmanager
async def exporting(config: Path, *flags: str) -> AsyncIterator[Exporter]:
    """A started exporter; it must still run at the end, unless the test has ended it."""
    process = await asyncio.create_subprocess_exec(
        *command("--config.file", str(config), "--web.listen-address", "127.0.0.1:0", *flags),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    exporter = Exporter(process, config)
    reading = asyncio.create_task(exporter.read_log())

    async def started() -> bool:
        return exporter.port != 0 or process.returncode is not None

    try:
        await eventually(started)
        assert exporter.port, "\n".join(exporter.log)
        yield exporter
        assert await exporter.end() == 0, "\n".join(exporter.log)
        assert not any("Traceback" in line for line in exporter.log), "\n".join(exporter.log)
    finally:
        await exporter.close()
        await reading


async def ran(*flags: str, program: str = "exporter.main", **options: Any) -> tuple[int, str, str]:
    """The exit code, the output and the errors of a run that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *command(*flags, program=program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        **options,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(), errors.decode()
