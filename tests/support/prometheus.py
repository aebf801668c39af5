"""The real Prometheus and Alertmanager on the shipped rules and routes, with the times that they have."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.programs import until
from tests.support.tools import need

ALERTS = Path(__file__).parents[2] / "alerts"


def free_port() -> int:
    """A port that nobody listens on: these two don't choose one for themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _process(argv: Sequence[str | os.PathLike[str]], *, log: Path, address: str) -> AsyncIterator[None]:
    """Runs a program until the block ends, from the moment at which its `/-/ready` says so."""
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=asyncio.subprocess.STDOUT
        )

    def check() -> None:
        assert process.returncode is None, log.read_text()

    async def ready() -> bool:
        check()
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(f"http://{address}/-/ready") as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False

    try:
        await until(ready, what=f"{argv[0]} to be ready", every=0.2)
        yield
        check()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


class Prometheus:
    """Questions to a running Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        found = await self._ask("alerts")
        return {each["labels"]["alertname"] for each in found["alerts"] if each["state"] == "firing"}

    async def value(self, query: str) -> float | None:
        """The value of a query that has one result, or none."""
        found = (await self._ask("query", query=query))["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    async def _ask(self, what: str, **query: str) -> Any:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session,
            session.get(f"http://{self._address}/api/v1/{what}", params=query) as response,
        ):
            answer = await response.json()
            assert answer["status"] == "success", answer
            return answer["data"]


@asynccontextmanager
async def alerting(*, exporter: str, webhook: str, token_file: Path, folder: Path) -> AsyncIterator[Prometheus]:
    """Both, scraping and notifying the two programs at these addresses (HOST:PORT)."""
    alertmanager = f"127.0.0.1:{free_port()}"
    prometheus = f"127.0.0.1:{free_port()}"
    routes, config = folder / "alertmanager.yml", folder / "prometheus.yml"
    routes.write_text(yaml.safe_dump(_routes(f"http://{webhook}/alerts", token_file)))
    config.write_text(yaml.safe_dump(_scrapes({"diego-exporter": exporter, "diego-webhook": webhook}, alertmanager)))
    alertmanager_argv = (
        need("alertmanager"),
        f"--config.file={routes}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={alertmanager}",
        "--cluster.listen-address=",
    )
    prometheus_argv = (
        need("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={prometheus}",
    )
    async with (
        _process(alertmanager_argv, log=folder / "alertmanager.log", address=alertmanager),
        _process(prometheus_argv, log=folder / "prometheus.log", address=prometheus),
    ):
        yield Prometheus(prometheus)


def _routes(url: str, token_file: Path) -> Any:
    """The shipped example; only what an operator must replace is replaced."""
    config = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())
    (receiver,) = (each for each in config["receivers"] if each["name"] == "diego-webhook")
    (target,) = receiver["webhook_configs"]
    target["url"] = url
    target["http_config"]["authorization"]["credentials_file"] = str(token_file)
    return config


def _scrapes(targets: dict[str, str], alertmanager: str) -> Any:
    return {
        "global": {"scrape_interval": "5s", "scrape_timeout": "5s"},
        "rule_files": [str(ALERTS / "diego-medic.rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [target]}]}
            for job, target in targets.items()
        ],
    }
