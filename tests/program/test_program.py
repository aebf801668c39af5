"""The life of a daemon: its start, its reloads, its end."""

import asyncio
import resource
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from exporter.clock import SystemClock
from exporter.config.errors import ConfigError, Problem
from exporter.config.load import load
from exporter.config.model import Config
from exporter.serving import program
from exporter.serving.address import Address, parse_address
from exporter.serving.exposition import Exposition
from exporter.serving.process_metrics import CommonMetrics
from exporter.serving.server import Daemon
from tests.support.daemons import FakeDaemon
from webhook.main import Webhook

LONG = 30.0
"""Seconds that a test waits before it fails."""
TOKEN = "webhook: {bearer_token_file: token}\n"
CONFIG = "foundations: [{name: cf}]\nremediation: {mode: observe}\n"


def options(file: Path) -> program.Options:
    return program.Options(
        config_file=str(file),
        config_check=False,
        listen=Address("127.0.0.1", 0),
        web_config_file=None,
        log_level="info",
        log_format="logfmt",
    )


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


class Reloads:
    """The reload of a daemon, and what its metric says."""

    def __init__(self, daemon: Daemon, file: Path, metrics: CommonMetrics) -> None:
        self.reload = program.reloader(daemon, load=lambda: load(str(file), program="webhook"), metrics=metrics)
        self._exposition = Exposition(metrics.collectors)

    async def successful(self) -> bool:
        text = (await self._exposition.respond()).body.decode()
        return "diego_test_config_last_reload_successful 1.0" in text


def metrics() -> CommonMetrics:
    return CommonMetrics("diego-test", version="1", clock=SystemClock())


class Working(FakeDaemon):
    """Answers `/slow` only when its work has stopped."""

    def __init__(self) -> None:
        super().__init__(routes=[web.get("/slow", self.slow)])
        self.asked = asyncio.Event()
        self.stopped = asyncio.Event()
        self.life: list[str] = []
        self.applied: list[Config] = []
        self.refuses: ConfigError | None = None

    async def slow(self, _request: web.Request) -> web.Response:
        self.asked.set()
        await self.stopped.wait()
        await asyncio.sleep(0.1)
        self.life.append("request answered")
        return web.Response(text="done")

    def apply(self, config: Config) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.applied.append(config)

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.life.append("work stopped")
            self.stopped.set()

    async def close(self) -> None:
        self.life.append("closed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "diego.yaml"
    path.write_text(CONFIG)
    return path


async def test_work_is_stopped_at_once_and_requests_under_way_are_answered(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the work holds, such as a lease, is free for others before the last request is answered."""
    caplog.set_level("INFO")
    daemon = Working()
    serving = asyncio.create_task(
        program._serve(
            options(file),
            load(str(file), program="exporter"),
            name="diego-test",
            kind="exporter",
            build=lambda _start: daemon,
        )
    )
    async with asyncio.timeout(LONG):
        while "started" not in caplog.messages:  # noqa: ASYNC110 - said by a program that has nothing to wait for
            await asyncio.sleep(0.01)
        address = parse_address(next(vars(each)["address"] for each in caplog.records if each.msg == "started"))
        async with aiohttp.ClientSession() as session:
            asking = asyncio.create_task(session.get(f"http://{address}/slow"))
            await daemon.asked.wait()
            signal.raise_signal(signal.SIGTERM)
            async with await asking as response:
                assert (response.status, await response.text()) == (200, "done")
        await serving
    assert daemon.life == ["work stopped", "request answered", "closed"]


async def test_a_reload_hands_the_new_config_over(file: Path) -> None:
    daemon = Working()
    reloads = Reloads(daemon, file, metrics())
    rewrite(file, CONFIG.replace("cf", "renamed"))

    assert await reloads.reload() is None
    assert await reloads.successful()
    assert [each.foundations[0].name for each in daemon.applied] == ["renamed"]


async def test_a_reload_that_the_daemon_refuses_is_reported_and_counted(file: Path) -> None:
    daemon = Working()
    reloads = Reloads(daemon, file, metrics())
    daemon.refuses = ConfigError([Problem("diego.yaml", None, "webhook", "no")])

    assert await reloads.reload() == "diego.yaml: webhook: no"
    assert not await reloads.successful()
    daemon.refuses = None
    assert await reloads.reload() is None
    assert await reloads.successful()


@pytest.mark.parametrize(("address", "refused"), [("0.0.0.0:10890", True), ("127.0.0.1:10890", False)])
async def test_a_reload_without_the_token_is_refused_where_others_reach_the_webhook(
    file: Path, address: str, refused: bool
) -> None:
    """It would serve nobody any more; on loopback it serves who is there."""
    rewrite(file.with_name("token"), "secret")
    rewrite(file, CONFIG + TOKEN)
    common = metrics()
    config = load(str(file), program="webhook")
    webhook = Webhook(program.Start(config, options(file), SystemClock(), common.collectors))
    webhook.access.listen(parse_address(address))
    reloads = Reloads(webhook, file, common)
    rewrite(file, CONFIG.replace("cf", "renamed"))

    problem = await reloads.reload()
    names = [each.name for each in webhook._medics.foundations()]
    await webhook.close()

    assert await reloads.successful() is not refused
    if refused:
        assert f"{file}: webhook.bearer_token_file: without webhook.bearer_token_file" in str(problem)
    assert names == ["cf" if refused else "renamed"], "all or nothing"


async def test_the_soft_limit_of_files_is_raised_to_the_hard_one() -> None:
    script = (
        "import resource; from exporter.serving.program import raise_file_limit\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "raise_file_limit(); print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert output.decode().split() == [str(hard), str(hard)]
    assert hard > 256
