"""The incident of the documentation on a real Kubernetes, with the real Prometheus and Alertmanager: nobody touches anything.

The shipped rules and routes with the times that they have: this is what an operator gets.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Cf, rules
from tests.support import audit
from tests.support.programs import Exporter, HttpProgram, Webhook, command_line, free_port, until
from tests.support.tools import need

pytestmark = pytest.mark.cluster

ALERTS = Path(__file__).parents[2] / "alerts"
RUN_BEGINS = 110.0
"""Seconds after a fault by which a run has begun: a probe (10 s), a scrape (5 s), `for: 1m` (evaluated every 15 s), the
route's group_wait (10 s), and a margin."""
STEPS = [
    "check-cloud-controller",
    "confirm-unreachable",
    "preserve-evidence",
    "restart",
    "await-ready",
    "verify-reachable",
]


class Prometheus(HttpProgram):
    def __init__(self, *, folder: Path, alertmanager: str, exporter: str, webhook: str) -> None:
        self.port = free_port()
        config = {
            "global": {"scrape_interval": "5s", "scrape_timeout": "5s"},
            "rule_files": [str(ALERTS / "diego-medic.rules.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]}
                for job, target in (("diego-exporter", exporter), ("diego-webhook", webhook))
            ],
        }
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        flags = (
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={self.address}",
        )
        super().__init__("prometheus", (need("prometheus"), *flags), folder=folder)

    async def alerts(self) -> set[str]:
        """The names of the alerts that fire."""
        _, answer = await self.ask("/api/v1/alerts")
        return {each["labels"]["alertname"] for each in answer["data"]["alerts"] if each["state"] == "firing"}

    async def value(self, query: str) -> float | None:
        """The value of a query with one result; None where there is none."""
        _, answer = await self.ask("/api/v1/query", params={"query": query})
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None


class Alertmanager(HttpProgram):
    def __init__(self, *, folder: Path, webhook: str, token_file: Path) -> None:
        self.port = free_port()
        config = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())
        receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
        (target,) = receivers["diego-webhook"]["webhook_configs"]
        target["url"] = f"http://{webhook}/alerts"
        target["http_config"]["authorization"]["credentials_file"] = str(token_file)
        path = folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(config))
        flags = (
            f"--config.file={path}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        )
        super().__init__("alertmanager", (need("alertmanager"), *flags), folder=folder)


def _check_run(run: dict[str, Any], originals: dict[str, str]) -> None:
    assert {"foundation": "cf", "outcome": "recovered", "reason": "", "step": "verify-reachable"}.items() <= run.items()
    assert STEPS == [step["name"] for step in run["steps"]]
    assert all(step["result"] == "ok" and step["detail"] for step in run["steps"])
    times = [run["started"], *(step[key] for step in run["steps"] for key in ("started", "ended")), run["ended"]]
    assert sorted(times) == times
    assert originals == {pod["name"]: pod["uid"] for pod in run["pods"]}
    assert all(pod["deleted"] for pod in run["pods"])


async def test_the_incident_is_healed_and_nobody_touches_anything(cf: Cf) -> None:
    """The lock database goes and comes back; the shipped alerts and routes lead to a restart of the wedged pods."""
    rights = rules()
    config = cf.config(await cf.account("diego-webhook", rights["diego-webhook"]))
    exporter_config = cf.config(await cf.account("diego-exporter", rights["diego-exporter"]))
    async with (
        Exporter(exporter_config, cf.folder) as exporter,
        Webhook(config, cf.folder) as webhook,
        Alertmanager(
            folder=cf.folder, webhook=webhook.address, token_file=cf.folder / "token"
        ) as alertmanager,
        Prometheus(
            folder=cf.folder,
            alertmanager=alertmanager.address,
            exporter=exporter.address,
            webhook=webhook.address,
        ) as prometheus,
    ):

        async def reachable() -> bool:
            return await prometheus.value('diego_bbs_tcp_reachable{vantage="exporter"}') == 1

        async def began() -> bool:
            return await prometheus.value("diego_remediation_run_in_progress") == 1

        async def quiet() -> bool:
            return not await prometheus.alerts()

        async def called_off() -> bool:
            counted = await webhook.metrics()
            return counted["diego_webhook_alerts_total{reason=resolved,status=resolved}"] >= 1

        # The control case: as long as it takes to act on a fault, without one.
        await until(reachable)
        await asyncio.sleep(RUN_BEGINS)
        assert await prometheus.alerts() == set()
        assert await webhook.runs() == []
        assert cf.asked_by("diego-webhook") == [] or audit.requests(cf.asked_by("diego-webhook")) <= audit.COURTESIES
        assert cf.deletions() == []
        assert await cf.uids() == cf.originals

        broke = time.monotonic()
        await cf.fault("locket-db-down")
        await asyncio.sleep(5)
        await cf.fault("locket-db-up")
        await until(began, within=RUN_BEGINS + 10, every=1)
        print(f"run begins {time.monotonic() - broke:.0f} s after the break")
        assert "DiegoBBSUnreachable" in await prometheus.alerts()
        run = await webhook.ended_run(within=240)
        print(f"ended {time.monotonic() - broke:.0f} s after the break")

        _check_run(await webhook.run(run["id"]), cf.originals)
        await until(cf.settled)
        await until(quiet, within=300, every=2)
        await until(called_off, within=120, every=1)
        print(f"quiet {time.monotonic() - broke:.0f} s after the break")
        assert len(await webhook.runs()) == 1
        assert set(cf.originals.items()) == {(each.pod, each.uid) for each in cf.deletions()}
        assert [each.code for each in cf.deletions()] == [200, 200]
        deleted = {f"delete pods {name}" for name in cf.originals}
        assert audit.requests(cf.asked_by("diego-webhook")) == audit.COURTESIES - _CREATES_EXEC | deleted
        assert cf.asked_by("diego-exporter") == []
        replaced = await cf.uids()
        assert replaced.keys() == cf.originals.keys()
        assert not set(replaced.values()) & set(cf.originals.values())

        assert await prometheus.value('diego_remediation_runs_total{outcome="recovered"}') == 1
        assert await prometheus.value('diego_remediation_last_run_timestamp_seconds{outcome="recovered"}') is not None
        assert await prometheus.value('diego_bbs_probes_total{vantage="cloud_controller",result="refused"}') == 10
        assert await prometheus.value("diego_remediation_breaker_open") == 0
        assert await reachable()
        code, said = await command_line("check", "cf", config=config)
        assert code == 0, said
        print(said)


_CREATES_EXEC = {"create pods/exec api-0", "create pods/exec api-1"}
"""What Kubernetes before 1.35 does not ask for."""
