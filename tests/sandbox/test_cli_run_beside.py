"""`diego-runbook run` beside other processes: a webhook, a run in progress, another person, one that was killed."""

import asyncio
import os
import signal

from tests.support.incidents import (
    ME,
    STEPS,
    assert_recovered,
    boxed,
    break_it,
    config,
    deletions,
    fire,
    journal,
    uids,
    whole,
)
from tests.support.programs import DEADLINE, Webhook, begun, ended, runbook, running, serving, until
from tests.support.traps import Trap, at_delete


async def test_run_beside_a_webhook() -> None:
    """The webhook holds the lease and executes; the command follows, with the webhook's config and mode."""
    async with boxed() as box:
        path = box.write_config(config(box))
        before = uids(box)
        await break_it(box)
        async with serving(path) as webhook:
            await webhook.until_metrics({"diego_webhook_leader{foundation=cf}": 1})
            ran = await runbook(path, "run", "cf")
            assert ran.code == 0, ran
            assert ran.lines[-1].startswith("recovered")
            assert [step for step in STEPS if any(step in line for line in ran.lines)] == STEPS
            assert_recovered(box, before)
            run = await webhook.ended()
            assert run["requested_by"] == ME
            counted = "diego_remediation_runs_total{foundation=cf,outcome=recovered,runbook=restart-diego-api}"
            assert (await webhook.metrics())[counted] == 1


async def test_run_while_a_run_is_in_progress() -> None:
    """It joins."""
    slow = {"confirm": {"attempts": 15, "interval": "300ms"}}
    async with boxed() as box:
        path = box.write_config(config(box, remediation=slow))
        before = uids(box)
        await break_it(box)
        async with serving(path) as webhook:
            await fire(webhook)
            begun_run = await webhook.reached("confirm-unreachable")
            ran = await runbook(path, "run", "cf")
            assert ran.code == 0, ran
            assert ran.lines[0] == f"join: run {begun_run['id']} is in progress"
            assert ran.lines[-1].startswith("recovered")
            assert len(await webhook.runs()) == 1
            assert_recovered(box, before)


async def test_observing_leaves_an_open_run_alone() -> None:
    """To continue it would end it without a restart; the next webhook continues it."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        webhook = Webhook(box.write_config(config(box)), fast=True)
        async with running(webhook):
            trap = Trap("get", "pods/exec", lambda: os.kill(webhook.pid, signal.SIGKILL))
            box.mishaps.failures.append(trap)
            await fire(webhook)
            assert await webhook.wait() == -signal.SIGKILL
        (run,) = journal(box)["runs"]
        observed = await runbook(webhook.config, "run", "cf", "--observe")
        assert observed.code == 3
        text = f"refuse: run {run['id']} is in progress in mode auto; --observe cannot join it"
        assert observed.lines == [text]
        assert journal(box)["runs"][-1]["outcome"] is None

        async with serving(webhook.config, fast=True) as successor:
            assert (await successor.ended())["outcome"] == "recovered"
            assert_recovered(box, before)


async def test_a_second_person_is_refused_while_a_request_is_pending() -> None:
    """The holder of the lease hangs, so the first request waits; it is executed when the lease is free."""
    async with boxed() as box:
        before = uids(box)
        path = box.write_config(config(box))
        async with serving(path, fast=True) as webhook:
            await webhook.until_metrics({"diego_webhook_leader{foundation=cf}": 1})
            await break_it(box)
            webhook.signal(signal.SIGSTOP)
            first = await begun("webhook.operator.cli", "run", "cf", "--config.file", str(path))

            async def pending() -> bool:
                request = journal(box)["request"]
                return request is not None and request["person"] is not None

            await until(pending, what="the first request")
            second = await runbook(path, "run", "cf")
            assert second.code == 3
            assert second.lines == [f"refuse: {ME} has just requested a run; wait for it, or see `history`"]
            webhook.signal(signal.SIGCONT)

            ran = await ended(first)
            assert ran.code == 0, ran
            assert ran.lines[-1].startswith("recovered")
            assert len(await webhook.runs()) == 1
            assert_recovered(box, before)


async def test_an_interrupted_run_is_taken_up_again() -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        before = uids(box)
        trap = at_delete(box, 2, lambda: box.fault("never-ready", "diego-api-1"))
        await break_it(box)
        process = await begun("webhook.operator.cli", "run", "cf", "--config.file", str(path))
        await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
        process.send_signal(signal.SIGINT)
        stopped = await ended(process)
        assert stopped.code == 130
        assert "is resumed" in stopped.errors
        assert journal(box)["runs"][-1]["outcome"] is None

        box.fault("may-be-ready", "diego-api-1")
        async with serving(path) as webhook:
            assert (await webhook.ended())["outcome"] == "recovered"
        assert {each.uid for each in deletions(box)} == set(before.values())
        assert len(deletions(box)) == 2
        assert whole(box)
