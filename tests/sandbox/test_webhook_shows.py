"""What the webhook shows: its runs as JSON and as a page, and its metrics."""

import asyncio
import json

from tests.support.incidents import STEPS, boxed, break_it, config, fire, incident
from tests.support.programs import serving
from tests.support.tools import need

RUN = {"id", "foundation", "outcome", "reason", "step", "started", "ended", "steps", "pods"}
STEP = {"name", "result", "started", "ended", "detail"}


async def test_runs_as_json() -> None:
    slow = {"confirm": {"attempts": 8, "interval": "300ms"}, "retry": "100ms"}
    async with boxed() as box:
        path = box.write_config(config(box, remediation=slow))
        async with serving(path) as webhook:
            assert await webhook.runs() == []
            await fire(webhook)
            first = await webhook.ended()
            await break_it(box)
            await fire(webhook)
            under_way = await webhook.reached("confirm-unreachable")
            assert (under_way["outcome"], under_way["ended"], under_way["reason"]) == (None, None, "")
            assert under_way["id"] != first["id"]
            await webhook.ended(2)
            runs = await webhook.runs()
            assert [run["id"] for run in runs] == [under_way["id"], first["id"]]
            for run in runs:
                assert run.keys() >= RUN
                assert all(step.keys() >= STEP for step in run["steps"])
            status, text = await webhook.get(f"/api/v1/runs/{first['id']}")
            assert (status, json.loads(text)["outcome"]) == (200, "not-needed")
            assert (await webhook.get("/api/v1/runs/none"))[0] == 404
            for foundation, count in (("cf", 2), ("other", 0)):
                _, text = await webhook.get(f"/api/v1/runs?foundation={foundation}")
                assert len(json.loads(text)["runs"]) == count
            page = (await webhook.get("/"))[1]
            assert first["id"] in page
            assert "not-needed" in page


OUTCOMES = ("recovered", "not-needed", "observed", "unproven", "refused", "cancelled", "failed")
MODES = {"observe": 0, "approve": 0, "auto": 1}
CODES = (200, 202, 400, 401, 405, 413, 415, 503)
PROBES = ("success", "dns", "refused", "timeout", "unreachable", "reset", "tls", "error")


async def test_every_counter_exists_from_the_start() -> None:
    """So that the first of a kind is an increase, and a sum over no run is 0."""
    async with incident(broken=False) as (_, webhook, _):
        await webhook.until_metrics({"diego_webhook_leader{foundation=cf}": 1})
        before = await webhook.metrics()
        expected = {
            f"diego_remediation_runs_total{{foundation=cf,outcome={each},runbook=restart-diego-api}}"
            for each in OUTCOMES
        }
        expected |= {
            f"diego_remediation_steps_total{{foundation=cf,result={result},step={step}}}"
            for step in (*STEPS, "await-approval")
            for result in ("ok", "stopped", "failed", "interrupted")
        }
        expected |= {f"diego_remediation_step_duration_seconds_count{{foundation=cf,step={step}}}" for step in STEPS}
        expected |= {
            f"diego_bbs_probes_total{{foundation=cf,result={each},vantage=cloud_controller}}" for each in PROBES
        }
        expected.add("diego_bbs_probe_duration_seconds_count{foundation=cf,vantage=cloud_controller}")
        expected |= {f"diego_webhook_notifications_total{{code={code}}}" for code in CODES}
        closed = ("diego_webhook_alerts_total", "diego_remediation_decisions_total")
        reasons = {name for name in before if name.startswith(closed)}
        assert len(reasons) > 15
        assert {name: before.get(name) for name in expected | reasons} == dict.fromkeys(expected | reasons, 0)
        state = ("run_in_progress", "breaker_open", "paused", "awaiting_approval", "wanted")
        for name in state:
            assert before[f"diego_remediation_{name}{{foundation=cf}}"] == 0
        for mode, value in MODES.items():
            assert before[f"diego_remediation_mode{{foundation=cf,mode={mode}}}"] == value
        assert before["diego_webhook_config_last_reload_successful"] == 1
        assert [name for name in before if name.startswith("diego_webhook_build_info")]

        await fire(webhook)
        await webhook.ended()
        after = await webhook.metrics()
        born = {name for name in after.keys() - before.keys() if "_total" in name or name.endswith("_count")}
        assert born == set()


async def test_promtool_finds_nothing() -> None:
    promtool = need("promtool")
    async with incident(broken=False) as (_, webhook, _):
        await fire(webhook)
        await webhook.ended()
        _, text = await webhook.get("/metrics")
        process = await asyncio.create_subprocess_exec(
            promtool,
            *("check", "metrics"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(text.encode()), 30)
        assert (process.returncode, said.decode()) == (0, "")
