"""The documented incident on a real Kubernetes, with the real Prometheus and Alertmanager, and nobody touches anything.

The programs are pods, applied with `kubectl apply -k deploy/base`, with the times that they have; those of the shipped
rules and routes are shortened, as in the sandbox: what they are is tested in `tests/rules`.
"""

import asyncio
import json
from typing import Any

import pytest

from tests.cluster.conftest import Cf
from tests.support import audit
from tests.support.cluster import PATIENCE
from tests.support.incidents import STEPS
from tests.support.inside import inside
from tests.support.programs import runbook, until
from tests.support.prometheus import alerting

pytestmark = pytest.mark.cluster

BEGINS = 25.0
"""Seconds after a fault by which a run has begun: a probe (10 s), a scrape (1 s), `for` (3 s, looked at every second),
the route's group_wait (1 s), and a margin."""
ASKING = {"DiegoBBSUnreachable", "DiegoNoActiveLeader"}


def _check_run(run: dict[str, Any], originals: dict[str, str]) -> None:
    """Asserts that the run tells the whole story, in order."""
    assert {"foundation": "cf", "outcome": "recovered", "reason": "", "step": "verify-reachable"}.items() <= run.items()
    assert [step["name"] for step in run["steps"]] == STEPS
    assert all(step["result"] == "ok" and step["detail"] for step in run["steps"])
    times = [run["started"], *(step[key] for step in run["steps"] for key in ("started", "ended")), run["ended"]]
    assert sorted(times) == times
    assert originals == {pod["name"]: pod["uid"] for pod in run["pods"]}
    assert all(pod["deleted"] for pod in run["pods"])
    assert "lost the lock database" in run["evidence"]


async def test_the_incident_is_healed_and_nobody_touches_anything(cf: Cf) -> None:
    """The lock database goes and comes back; the shipped alerts lead to a restart of the wedged pods, and resolve."""
    checking = cf.config(await cf.user("diego-webhook"))
    async with (
        inside(cf.kubectl, cf.folder, token=cf.bearer) as (exporter, webhook),
        alerting(
            exporter=f"{exporter.host}:{exporter.port}",
            webhook=f"{webhook.host}:{webhook.port}",
            token_file=cf.token_file,
            folder=cf.folder,
        ) as prometheus,
    ):

        async def reachable() -> bool:
            return await prometheus.value('diego_bbs_tcp_reachable{vantage="exporter"}') == 1

        async def begun() -> bool:
            return await prometheus.value("diego_remediation_run_in_progress") == 1

        async def quiet() -> bool:
            return await prometheus.firing() == {"DiegoRemediationRecovered"}  # people read it in the morning

        async def called_off() -> bool:
            counted = await webhook.metrics()
            return counted["diego_webhook_alerts_total{reason=resolved,status=resolved}"] >= 1

        # The control case: as long as it takes to act on a fault, without one.
        await until(reachable, what="the first probe")
        await asyncio.sleep(BEGINS)
        assert set() == await prometheus.firing()
        assert await webhook.runs() == []
        assert cf.deletions() == []
        assert cf.originals == await cf.uids()

        await cf.break_it()
        await until(begun, what="a run", every=0.5)
        assert ASKING & await prometheus.firing()
        run = await webhook.ended(deadline=2 * PATIENCE)
        await cf.until_settled()
        await until(quiet, what="the alerts to be over", deadline=PATIENCE, every=0.5)
        await until(called_off, what="Alertmanager to say so", deadline=PATIENCE, every=0.5)

        status, text = await webhook.get(f"/api/v1/runs/{run['id']}")
        assert status == 200, text
        _check_run(json.loads(text), cf.originals)
        assert len(await webhook.runs()) == 1

        assert {audit.Deletion(name, uid, 200) for name, uid in cf.originals.items()} == set(cf.deletions())
        assert len(cf.deletions()) == 2
        replaced = await cf.uids()
        assert cf.originals.keys() == replaced.keys()
        assert not set(cf.originals.values()) & set(replaced.values())
        deleted = {f"delete pods {name}" for name in cf.originals}
        assert audit.COURTESIES | deleted >= audit.requests(cf.asked_by("diego-webhook")) >= deleted
        assert cf.asked_by("diego-exporter") == []

        assert await prometheus.value('diego_remediation_runs_total{outcome="recovered"}') == 1
        assert await prometheus.value('diego_remediation_last_run_timestamp_seconds{outcome="recovered"}')
        assert await prometheus.value("diego_remediation_breaker_open") == 0
        assert await reachable()
        checked = await runbook(checking, "check", "cf")
        assert checked.code == 0, checked
