"""The programs as their users run them: real processes, their flags and signals, their HTTP and their log."""

import asyncio
import json
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.support.exporting import samples

DEADLINE = 150.0
"""Seconds after which a test gives up waiting; nothing is expected to take that long."""
_STARTED = re.compile(r"msg=started .*address=(\S*):(\d+)$")

Json = dict[str, Any]


async def until(
    condition: Callable[[], Awaitable[Any]], *, what: str, deadline: float = DEADLINE, every: float = 0.05
) -> Any:
    """What `condition` returns once that is true of something; AssertionError when it never is."""
    try:
        async with asyncio.timeout(deadline):
            while True:
                found = await condition()
                if found:
                    return found
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


class Server:
    """One `diego-webhook` or `diego-exporter`: started, ended, and started again on the same config."""

    def __init__(self, module: str, config: Path, *flags: str, address: str = "127.0.0.1:0") -> None:
        self.config = config
        self.log: list[str] = []
        self.host, self.port = "", 0
        self.headers: dict[str, str] = {}  # sent with each request
        self.tls: ssl.SSLContext | None = None
        self._argv = ["-m", module, "--config.file", str(config), "--web.listen-address", address, *flags]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, *, ready: bool = True) -> Self:
        """Starts it; with `ready` it also waits for `/-/ready`."""
        assert self._process is None or self._process.returncode is not None
        self.port = 0
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            *self._argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
        )
        self._reading = asyncio.create_task(self._read_log(self._process))
        await until(self._listens, what="the program to listen")
        assert self.alive, f"it ended at once:\n{self.text}"
        if ready:
            await until(self._ready, what="the program to be ready")
        return self

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit code: negative where the signal itself ended it."""
        assert self._process is not None
        assert self._reading is not None
        if self.alive:
            self._process.send_signal(number)
        code = await asyncio.wait_for(self._process.wait(), DEADLINE)
        await self._reading
        return code

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self) -> int:
        """The exit code of a process that ends, or was killed, without our doing."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), DEADLINE)

    async def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], str]:
        """One request, redirects not followed: the status, the headers and the text."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE)) as session,
            session.request(
                method,
                self.url + path,
                data=BytesIO(body) if body is not None else None,
                headers={**self.headers, **(headers or {})},
                allow_redirects=False,
                ssl=self.tls if self.tls is not None else True,
            ) as response,
        ):
            return response.status, response.headers, await response.text()

    async def get(self, path: str) -> tuple[int, str]:
        status, _, text = await self.request("GET", path)
        return status, text

    async def metrics(self) -> dict[str, float]:
        """Each sample by `name` or `name{key=value,…}`; the keys in alphabetical order."""
        status, text = await self.get("/metrics")
        assert status == 200, text
        return samples(text)

    async def until_metrics(self, expected: Mapping[str, float | None]) -> dict[str, float]:
        """Waits until the metrics have these values; None means that there is no such series."""
        seen: dict[str, float] = {}

        async def fits() -> bool:
            seen.clear()
            seen.update(await self.metrics())
            return all(seen.get(name) == value for name, value in expected.items())

        try:
            await until(fits, what="metrics")
        except AssertionError:
            found = {name: seen.get(name) for name in expected}
            raise AssertionError(f"wanted {dict(expected)}, found {found}") from None
        return seen

    @property
    def text(self) -> str:
        return "\n".join(self.log)

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.log.append(line.decode().rstrip("\n"))
            if found := _STARTED.search(self.log[-1]):
                self.host, self.port = "127.0.0.1" if found[1] in {"", "0.0.0.0"} else found[1], int(found[2])

    async def _listens(self) -> bool:
        return bool(self.port) or not self.alive

    async def _ready(self) -> bool:
        return (await self.get("/-/ready"))[0] == 200


class Webhook(Server):
    """`diego-webhook`, with what Alertmanager and an operator ask of it."""

    def __init__(
        self, config: Path, *flags: str, address: str = "127.0.0.1:0", fast: bool = False, module: str = "webhook.main"
    ) -> None:
        super().__init__("tests.support.fast_webhook" if fast else module, config, *flags, address=address)

    async def notify(self, notification: Json) -> tuple[int, Json]:
        """Posts a notification; the status and what was said."""
        status, _, text = await self.request(
            "POST", "/alerts", body=json.dumps(notification).encode(), headers={"Content-Type": "application/json"}
        )
        return status, json.loads(text) if status in {200, 202, 503} else {"text": text}

    async def runs(self) -> list[Json]:
        """All runs on record, newest first."""
        status, text = await self.get("/api/v1/runs")
        assert status == 200, text
        found: list[Json] = json.loads(text)["runs"]
        return found

    async def ended(self, count: int = 1, *, deadline: float = DEADLINE, every: float = 0.1) -> Json:
        """Waits for the end of the run with this number, counted from 1, and returns it."""

        async def look() -> Json | None:
            runs = await self.runs()
            run = runs[-count] if len(runs) >= count else None
            return run if run and run["outcome"] else None

        found: Json = await until(look, what=f"the end of run {count}", deadline=deadline, every=every)
        return found

    async def ended_as(self, outcome: str) -> Json:
        """Waits until the newest run has ended with this outcome, whichever run that is, and returns it."""

        async def look() -> Json | None:
            return next((run for run in (await self.runs())[:1] if run["outcome"] == outcome), None)

        found: Json = await until(look, what=f"a run that ends as {outcome}")
        return found

    async def reached(self, step: str) -> Json:
        """Waits until the newest run is at this step."""

        async def look() -> Json | None:
            runs = await self.runs()
            return runs[0] if runs and runs[0]["step"] == step and runs[0]["outcome"] is None else None

        found: Json = await until(look, what=f"step {step}")
        return found


@asynccontextmanager
async def running(server: Server, *, ready: bool = True) -> AsyncIterator[None]:
    """Runs a program for the length of a block. SIGTERM ends it, with 0; its log goes with whatever went wrong."""
    try:
        await server.start(ready=ready)
        yield
        if server.alive:
            assert await server.end() == 0
        assert "Traceback" not in server.text
    except BaseException as error:
        error.add_note(f"the program's log:\n{server.text}")
        raise
    finally:
        if server.alive:
            await server.end(signal.SIGKILL)


@asynccontextmanager
async def serving(
    config: Path, *flags: str, address: str = "127.0.0.1:0", fast: bool = False
) -> AsyncIterator[Webhook]:
    """A webhook that is ready; `fast` shortens its time-outs (`tests.support.fast_webhook`)."""
    webhook = Webhook(config, *flags, address=address, fast=fast)
    async with running(webhook):
        yield webhook


class Ended:
    """How a command ended, and what it said."""

    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code = code
        self.output = output
        self.errors = errors

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.output}\n{self.errors}"


async def runbook(config: Path, *arguments: str) -> Ended:
    """One command of `diego-runbook`, to its end."""
    return await ended(await begun("webhook.operator.cli", *arguments, "--config.file", str(config)))


async def command(module: str, *arguments: str) -> Ended:
    """A program that ends by itself."""
    return await ended(await begun(module, *arguments))


async def begun(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """A program that is running."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A shell starts a background job with SIGINT ignored, and its children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """How it ended, and what it said."""
    try:
        output, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    found = Ended(process.returncode or 0, output.decode(), errors.decode())
    assert "Traceback" not in found.errors, found
    return found
