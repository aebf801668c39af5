"""Every query of the dashboards, asked of a real Prometheus that watched a foundation break and heal."""

import asyncio
from dataclasses import asdict, dataclass
from time import time
from typing import Any
from urllib.parse import urlencode

import pytest

from sandbox.demo.stage import Stage
from tests.support import dashboard as reading
from tests.support.once import once
from tests.support.tools import need

QUERIES = {
    query.where: query
    for dashboard in reading.load().values()
    for query in reading.panel_queries(dashboard) + reading.annotation_queries(dashboard)
}

# What a healed incident of this foundation cannot show, and why.
SILENT = {
    "Diego foundations: Reachable B": "no database is configured",
    "Diego foundations: Reachable C": "nor is Locket",
    "Diego remediation: Runs refused by a guard A": "no run was refused",
}


@dataclass(frozen=True)
class Incident:
    """What Prometheus has of the incident: the series of each query, and the type of each metric."""

    series: dict[str, list[dict[str, Any]]]
    metrics: dict[str, str]

    def values(self, where: str, **labels: str) -> set[float]:
        """Every value that the query's series with these labels had in the course of the incident."""
        return {
            float(value)
            for each in self.series[where]
            if labels.items() <= each["metric"].items()
            for _, value in each["values"]
        }


async def _incident() -> Incident:
    async with Stage(real=True) as stage:
        prometheus = stage.sender.addresses["Prometheus"].removesuffix("/alerts")

        async def ask(path: str, **query: str) -> Any:
            answer = await stage.client.json(f"{prometheus}/api/v1/{path}?{urlencode(query)}")
            assert answer is not None, f"Prometheus refuses {query}"
            return answer["data"]

        async def broken() -> bool:
            return bool(await stage.runs())

        async def healed() -> bool:
            runs = await stage.runs()
            return runs[0]["outcome"] == "recovered" and await stage.gauge() == 1

        async def scraped() -> bool:
            return bool((await ask("query", query="diego_remediation_last_run_timestamp_seconds > 0"))["result"])

        began = time()
        stage.box.fault("locket-db-down")
        await stage.until(broken, name="a run")
        stage.box.fault("locket-db-up")
        await stage.until(healed, name="a healed foundation")
        await stage.until(scraped, name="a scrape of the end")
        await asyncio.sleep(3)  # so that rates have seen the end as well

        window = {"start": str(began), "end": str(time()), "step": "1"}
        series = {}
        for where, query in QUERIES.items():
            expr = reading.substitute(query.expr, foundation=".+", interval="5s")
            series[where] = (await ask("query_range", query=expr, **window))["result"]
        metadata = await ask("metadata")
        return Incident(series, {name: told[0]["type"] for name, told in metadata.items()})


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Incident:
    need("prometheus")
    need("alertmanager")
    need("openssl")  # without it the BBS of the box is not called
    return Incident(**once(tmp_path_factory, "dashboard-queries", lambda: asdict(asyncio.run(_incident()))))


def test_every_query_shows_something_of_a_healed_incident(incident: Incident) -> None:
    silent = {where for where in QUERIES if not incident.series[where]}
    assert silent == set(SILENT)


def test_the_time_lines_show_it_break_and_recover(incident: Incident) -> None:
    assert incident.values("Diego foundations: Reachable A", vantage="exporter") == {0, 1}
    assert incident.values("Diego foundations: Reachable A", vantage="cloud_controller") == {0, 1}
    assert 2 in incident.values("Diego foundations: Alerts A", alertname="DiegoBBSUnreachable")  # fired
    for panel in ("Leader by label A", "Serving A", "Fully ready A"):
        assert incident.values(f"Diego foundations: {panel}") == {0, 1}
    assert incident.values("Diego foundations: Remediation over time A") == {0, 1}


def test_the_fleet_shows_it_in_trouble_and_then_fine(incident: Incident) -> None:
    assert {0, 7} <= incident.values("Diego fleet: Trouble over time A", foundation="cf")
    assert incident.values("Diego fleet: Broken A") == {0, 1}
    assert incident.values("Diego fleet: Foundations A") == {1}


def test_the_recovery_is_in_the_histogram(incident: Incident) -> None:
    assert max(incident.values("Diego remediation: Time to recovery A", le="+Inf")) > 0
    assert max(incident.values("Diego remediation: Duration of runs A", outcome="recovered")) > 0


def test_the_run_is_marked(incident: Incident) -> None:
    assert incident.values("Diego foundations: annotation Run") == {0, 1}
    (ended,) = incident.values("Diego foundations: annotation Run ended", outcome="recovered")
    assert abs(ended / 1000 - time()) < 3600, "not in milliseconds since the epoch"


def test_whatever_the_programs_publish_is_shown(incident: Incident) -> None:
    shown = {selector.metric for query in QUERIES.values() for selector in reading.selectors(query.expr)}
    published = {name for name in incident.metrics if name.startswith("diego_")}
    assert len(published) > 30
    # OpenMetrics names a family without the suffix of its series.
    hidden = {name for name in published if not {name + suffix for suffix in ("", "_total", "_bucket", "_sum")} & shown}
    assert not hidden
