"""Who turns gauges into notifications: the real Prometheus and Alertmanager, or a stand-in where they are missing."""

import asyncio
import contextlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import yaml

from sandbox.demo import shorten
from sandbox.demo.children import Children
from sandbox.demo.http import Client, sample
from sandbox.loopback import free_port

PROMETHEUS_PORT, ALERTMANAGER_PORT = 9090, 9093
ALERT = "DiegoBBSUnreachable"


class Sender(Protocol):
    """Watches the exporter and notifies the webhook."""

    @property
    def name(self) -> str:
        """In words, for whoever watches."""

    @property
    def addresses(self) -> dict[str, str]:
        """What there is to look at: URLs by name."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def ready(self) -> bool:
        """Whether it has seen the exporter's gauges."""

    async def firing(self) -> set[str]:
        """The names of the alerts that fire."""


@dataclass(frozen=True, slots=True)
class Programs:
    prometheus: str
    alertmanager: str


def find_programs() -> Programs | None:
    """The real ones, where both are on the PATH; Debian has a name of its own for one of them."""
    prometheus = shutil.which("prometheus")
    alertmanager = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    return Programs(prometheus, alertmanager) if prometheus and alertmanager else None


class RealSender:
    """Prometheus and Alertmanager on the shipped rules and routes, with shortened times."""

    name = "the real Prometheus and Alertmanager, on the shipped rules and routes with shortened times"

    def __init__(
        self,
        programs: Programs,
        *,
        client: Client,
        children: Children,
        directory: Path,
        host: str,
        exporter: str,
        webhook: str,
        token_file: Path,
        user: str,
        password: str,
    ) -> None:
        self._programs = programs
        self._client = client
        self._children = children
        self._directory = directory
        self._prometheus = f"{host}:{free_port(host, PROMETHEUS_PORT)}"
        self._alertmanager = f"{host}:{free_port(host, ALERTMANAGER_PORT)}"
        self._exporter = exporter
        self._webhook = webhook
        self._token_file = token_file
        self._login = {"basic_auth": {"username": user, "password": password}}

    @property
    def addresses(self) -> dict[str, str]:
        return {"Prometheus": f"http://{self._prometheus}/alerts", "Alertmanager": f"http://{self._alertmanager}"}

    async def start(self) -> None:
        shipped = shorten.alerts_directory()
        rules = self._write("rules.yml", shorten.rules((shipped / "diego-medic.rules.yml").read_text()))
        text = (shipped / "alertmanager.yml").read_text()
        routes = shorten.routes(text, url=f"{self._webhook}/alerts", token_file=self._token_file)
        config = self._write("prometheus.yml", yaml.safe_dump(self._prometheus_config(rules)))
        await self._children.start(
            "alertmanager",
            (
                self._programs.alertmanager,
                f"--config.file={self._write('alertmanager.yml', routes)}",
                f"--storage.path={self._directory / 'alertmanager'}",
                f"--web.listen-address={self._alertmanager}",
                "--cluster.listen-address=",
            ),
        )
        await self._children.start(
            "prometheus",
            (
                self._programs.prometheus,
                f"--config.file={config}",
                f"--storage.tsdb.path={self._directory / 'prometheus'}",
                f"--web.listen-address={self._prometheus}",
            ),
        )

    async def stop(self) -> None:
        """Its processes end with the other children."""

    async def ready(self) -> bool:
        if not await self._client.ok(f"http://{self._alertmanager}/-/ready"):
            return False
        query = "query?query=diego_bbs_tcp_reachable"
        answer = await self._client.json(f"http://{self._prometheus}/api/v1/{query}")
        return bool(answer and answer["data"]["result"])

    async def firing(self) -> set[str]:
        answer = await self._client.json(f"http://{self._prometheus}/api/v1/alerts")
        alerts = answer["data"]["alerts"] if answer else []
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _prometheus_config(self, rules: Path) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [self._alertmanager]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]} | login
                for job, url, login in (
                    ("diego-exporter", self._exporter, {}),
                    ("diego-webhook", self._webhook, self._login),
                )
            ],
        }

    def _write(self, name: str, text: str) -> Path:
        path = self._directory / name
        path.write_text(text)
        return path


class StandInSender:
    """Reads one gauge and posts what Alertmanager would post. It evaluates nothing clever.

    Unreachable for `HOLD` seconds: firing, and again every `REPEAT` seconds; reachable for `HOLD` seconds: resolved.
    """

    HOLD, REPEAT = 3.0, 15.0
    name = "a stand-in for Prometheus and Alertmanager: it reads one gauge and posts notifications"

    def __init__(self, client: Client, *, exporter: str, webhook: str) -> None:
        self._client = client
        self._exporter = exporter
        self._webhook = webhook
        self._task: asyncio.Task[None] | None = None
        self._started_at: datetime | None = None
        self._seen = False

    @property
    def addresses(self) -> dict[str, str]:
        return {}

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def ready(self) -> bool:
        return self._seen

    async def firing(self) -> set[str]:
        return set() if self._started_at is None else {ALERT}

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        since: float | None = None
        told = 0.0
        while True:
            metrics = await self._client.text(f"{self._exporter}/metrics")
            value = sample(metrics, "diego_bbs_tcp_reachable", vantage="exporter") if metrics else None
            self._seen |= value is not None
            firing = self._started_at is not None
            differs = value is not None and (value == 0) != firing
            since = (since or now()) if differs else None
            if since is not None and now() - since >= self.HOLD:
                since, told = None, now()
                await self._turn(firing=not firing)
            elif firing and now() - told >= self.REPEAT:
                told = now()
                await self._notify(firing=True)
            await asyncio.sleep(1)

    async def _turn(self, *, firing: bool) -> None:
        if firing:
            self._started_at = datetime.now(UTC)
        await self._notify(firing=firing)
        if not firing:
            self._started_at = None

    async def _notify(self, *, firing: bool) -> None:
        status = "firing" if firing else "resolved"
        labels = {"alertname": ALERT, "foundation": "cf", "remediation": "restart-diego-api", "severity": "critical"}
        ends = "0001-01-01T00:00:00Z" if firing else datetime.now(UTC).isoformat()
        started = self._started_at or datetime.now(UTC)
        alert = {"status": status, "labels": labels, "annotations": {}, "startsAt": started.isoformat()}
        alert |= {"endsAt": ends, "generatorURL": "", "fingerprint": "5a7dbbecab5e0000"}
        group = {"alertname": ALERT, "foundation": "cf"}
        body = {
            "version": "4",
            "groupKey": f'{{}}/{{remediation="restart-diego-api"}}:{{alertname="{ALERT}", foundation="cf"}}',
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "diego-webhook",
            "groupLabels": group,
            "commonLabels": labels,
            "commonAnnotations": {},
            "externalURL": "http://stand-in.invalid",
            "alerts": [alert],
        }
        await self._client.post(f"{self._webhook}/alerts", body)
