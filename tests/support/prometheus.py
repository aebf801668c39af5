"""The real Prometheus and Alertmanager on the shipped rules and routes, with shortened times."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from sandbox.demo import shorten
from tests.support.programs import until
from tests.support.tools import need

ROUTES = 25
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

    async def firing_for(self) -> dict[str, set[str]]:
        """The same for each foundation."""
        found: dict[str, set[str]] = {}
        for each in (await self._ask("alerts"))["alerts"]:
            if each["state"] == "firing":
                found.setdefault(each["labels"].get("foundation", ""), set()).add(each["labels"]["alertname"])
        return found

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
    rules, routes, config = (folder / name for name in ("rules.yml", "alertmanager.yml", "prometheus.yml"))
    rules.write_text(shorten.rules((ALERTS / "diego-medic.rules.yml").read_text()))
    shipped = (ALERTS / "alertmanager.yml").read_text()
    routes.write_text(shorten.routes(shipped, url=f"http://{webhook}/alerts", token_file=token_file))
    targets = {"diego-exporter": exporter, "diego-webhook": webhook}
    config.write_text(yaml.safe_dump(_scrapes(targets, rules=rules, alertmanager=alertmanager)))
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


def _scrapes(targets: dict[str, str], *, rules: Path, alertmanager: str) -> Any:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [target]}]}
            for job, target in targets.items()
        ],
    }


@asynccontextmanager
async def clustered(*, webhooks: Sequence[int], token_file: Path, folder: Path) -> AsyncIterator[list[str]]:
    """Two Alertmanagers that are a cluster, and notify each webhook of every group; yields their addresses.

    An alert with a label `replica` is in as many groups as there are ROUTES. Neither waits for the other before it
    notifies.
    """
    config = folder / "clustered.yml"
    config.write_text(
        yaml.safe_dump(_many_groups([f"http://127.0.0.1:{port}/alerts" for port in webhooks], token_file))
    )
    addresses, peers = [[f"127.0.0.1:{free_port()}" for _ in range(2)] for _ in range(2)]

    def start(number: int) -> AbstractAsyncContextManager[None]:
        argv = (
            need("alertmanager"),
            f"--config.file={config}",
            f"--storage.path={folder / f'alertmanager-{number}'}",
            f"--web.listen-address={addresses[number]}",
            f"--cluster.listen-address={peers[number]}",
            f"--cluster.advertise-address={peers[number]}",
            f"--cluster.peer={peers[1 - number]}",
            "--cluster.peer-timeout=0s",
        )
        return _process(argv, log=folder / f"alertmanager-{number}.log", address=addresses[number])

    async with start(0), start(1):
        yield addresses


def _many_groups(urls: Sequence[str], token_file: Path) -> Any:
    """Routes that all match, with group keys of their own."""
    authorization = {"type": "Bearer", "credentials_file": str(token_file)}
    targets = [{"url": url, "http_config": {"authorization": authorization}} for url in urls]
    routes = [{"matchers": [f'replica=~"[0-9]{{1,{number}}}"'], "continue": True} for number in range(1, ROUTES + 1)]
    times = {"group_wait": "1s", "group_interval": "2m", "repeat_interval": "1h"}
    return {
        "route": {"receiver": "webhooks", "group_by": ["replica"], "routes": routes} | times,
        "receivers": [{"name": "webhooks", "webhook_configs": targets}],
    }
