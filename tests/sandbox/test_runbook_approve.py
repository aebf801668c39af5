"""Mode `approve`: after the proof the run waits for a person, and deletes nothing before."""

import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.support.incidents import (
    ME,
    STEPS,
    Incident,
    alert,
    assert_nothing_deleted,
    assert_recovered,
    boxed,
    break_it,
    config,
    fire,
    incident,
    notification,
    resolved,
    settled,
    told,
    uids,
    writes,
)
from tests.support.programs import Webhook, begun, ended, runbook, running, serving

APPROVE = {"mode": "approve", "retry": "100ms"}
WAITS = "diego_remediation_awaiting_approval{foundation=cf}"
APPROVED_STEPS = [*STEPS[:3], "await-approval", "confirm-unreachable", *STEPS[3:]]
"""The proof is made again after the approval: hours may have passed."""


async def waiting(webhook: Webhook) -> str:
    """The id of the run, once it waits for a person."""
    run = await webhook.reached("await-approval")
    await webhook.until_metrics({WAITS: 1})
    return str(run["id"])


async def test_a_person_approves() -> None:
    async with incident(remediation=APPROVE, fast=True) as (box, webhook, before):
        await fire(webhook)
        run_id = await waiting(webhook)
        ((kind, _, text),) = await told(box, "AwaitingApproval")
        assert kind == "Warning"
        assert f"diego-runbook approve {run_id}" in text
        assert_nothing_deleted(box, before)

        approved = await runbook(webhook.config, "approve", run_id)
        assert (approved.code, approved.lines) == (0, [f"cf: run {run_id} approved by {ME}"])

        run = await webhook.ended()
        assert (run["id"], run["outcome"], run["approval"]["by"]) == (run_id, "recovered", ME)
        assert [(step["name"], step["result"]) for step in run["steps"]] == [(name, "ok") for name in APPROVED_STEPS]
        assert_recovered(box, before)
        await webhook.until_metrics({WAITS: 0})


async def test_a_person_who_asks_has_not_approved() -> None:
    """Whoever requests it: `run` prints that it waits, and another command approves it."""
    async with boxed() as box:
        path = box.write_config(config(box, remediation=APPROVE))
        before = uids(box)
        await break_it(box)
        process = await begun("webhook.operator.cli", "run", "cf", "--config.file", str(path))
        assert process.stdout is not None
        lines: list[str] = []
        async for line in process.stdout:
            lines.append(line.decode())
            if "await-approval" in lines[-1]:
                break
        assert_nothing_deleted(box, before)

        (_, _, text) = (await told(box, "AwaitingApproval"))[0]
        run_id = text.partition("approve with: diego-runbook approve ")[2].split()[0]
        assert (await runbook(path, "approve", run_id)).code == 0

        ran = await ended(process)
        assert ran.code == 0, ran
        assert ran.lines[-1] == "recovered: restarted, and every check passed"
        assert_recovered(box, before)


async def test_nobody_approves() -> None:
    """The run ends, and does not ask again by itself."""
    async with incident(remediation=APPROVE | {"approval_timeout": "1s"}, fast=True) as (box, webhook, before):
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("cancelled", "not-approved")
        assert run["steps"][-1]["name"] == "await-approval"
        await webhook.until_metrics({WAITS: 0, "diego_remediation_wanted{foundation=cf}": 0})
        assert_nothing_deleted(box, before)

        too_late = await runbook(webhook.config, "approve", run["id"])
        assert too_late.code == 3
        assert "is not in progress" in too_late.errors


async def paused(at: Incident) -> None:
    assert (await runbook(at.webhook.config, "pause", "cf", "--reason", "we look ourselves")).code == 0


async def over(at: Incident) -> None:
    assert (await at.webhook.notify(notification(resolved(alert()))))[0] == 202


STOPS = {"paused": (paused, ("refused", "paused")), "resolved": (over, ("cancelled", "resolved"))}


@pytest.mark.parametrize(("stop", "expected"), STOPS.values(), ids=STOPS.keys())
async def test_stopped_while_it_waits(stop: Callable[[Incident], Awaitable[None]], expected: tuple[str, str]) -> None:
    async with incident(remediation=APPROVE, fast=True) as at:
        box, webhook, before = at
        await fire(webhook)
        run_id = await waiting(webhook)
        await stop(at)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == expected
        assert (await runbook(webhook.config, "approve", run_id)).code == 3
        assert writes(box) & {"delete pods diego-api-0", "delete pods diego-api-1"} == set()
        assert uids(box) == before


async def test_the_bbs_came_back_while_it_waited() -> None:
    """An approval is no proof: it is made again, and nothing is deleted."""
    async with incident(remediation=APPROVE, fast=True) as (box, webhook, before):
        await fire(webhook)
        run_id = await waiting(webhook)
        for pod in before:
            box.fault("crash", pod)
        await settled(box, lambda pods: "true" in [pod["active"] for pod in pods])
        await settled(box, lambda pods: [pod["ready"] for pod in pods] == ["2/2", "2/2"])
        assert (await runbook(webhook.config, "approve", run_id)).code == 0

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("not-needed", "reachable")
        assert_nothing_deleted(box, before)


@pytest.mark.parametrize("approved", ["before", "after"])
async def test_killed_while_it_waits(approved: str) -> None:
    """The next process proves again and waits again; an approval on record from before it started counts."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        webhook = Webhook(box.write_config(config(box, remediation=APPROVE)), fast=True)
        async with running(webhook):
            await fire(webhook)
            run_id = await waiting(webhook)
            os.kill(webhook.pid, signal.SIGKILL)
            assert await webhook.wait() == -signal.SIGKILL
        if approved == "before":
            assert (await runbook(webhook.config, "approve", run_id)).code == 0
        async with serving(webhook.config, fast=True) as successor:
            if approved == "after":
                await successor.until_metrics({"diego_webhook_leader{foundation=cf}": 1})
                assert await waiting(successor) == run_id
                assert_nothing_deleted(box, before)
                assert (await runbook(webhook.config, "approve", run_id)).code == 0

            run = await successor.ended()
            assert (run["id"], run["outcome"]) == (run_id, "recovered")
            assert_recovered(box, before)


async def test_a_run_that_does_not_wait_cannot_be_approved() -> None:
    """Mode `auto`, in mid-proof: there is nothing to approve, and the run needs no person."""
    slow = {"confirm": {"attempts": 20, "interval": "300ms"}}
    async with incident(remediation=slow) as (box, webhook, before):
        await fire(webhook)
        run = await webhook.reached("confirm-unreachable")
        refused = await runbook(webhook.config, "approve", run["id"])
        assert refused.code == 3
        assert "does not wait for approval" in refused.errors
        unknown = await runbook(webhook.config, "approve", "cf-none")
        assert (unknown.code, unknown.output) == (2, "")

        assert (await webhook.ended())["outcome"] == "recovered"
        assert (await webhook.metrics())[WAITS] == 0
        assert_recovered(box, before)
