"""Faults on a real Kubernetes: what is left to a person, and what is repaired in spite of it, each pod deleted once.

The webhook is told as Alertmanager would tell it; its times are short, so that an incident takes seconds.
"""

import signal
from functools import partial

import pytest

from tests.cluster.conftest import Cf
from tests.cluster.scenes import each_was_deleted_once, nothing_was_deleted, only_originals_were_deleted, webhook_of
from tests.support.cluster import PATIENCE
from tests.support.incidents import alert, fire, notification
from tests.support.programs import Json, Webhook, runbook, running, until
from tests.support.stopping_webhook import is_stopped

pytestmark = pytest.mark.cluster


async def test_api_pods_that_disagree_prove_nothing(cf: Cf) -> None:
    """One reaches the BBS, another is refused: the trouble is somewhere else."""
    lie = "printf '#!/bin/sh\\necho nc: connect failed: Connection refused >&2\\nexit 1\\n' >/usr/local/bin/nc"
    await cf.kubectl("-n", "cf", "exec", "api-1", "-c", "api", "--", "sh", "-c", f"{lie}; chmod +x /usr/local/bin/nc")
    try:
        async with webhook_of(cf) as webhook:
            await fire(webhook)
            run = await webhook.ended()
    finally:
        await cf.kubectl("-n", "cf", "exec", "api-1", "-c", "api", "--", "rm", "/usr/local/bin/nc")
    assert (run["outcome"], run["reason"]) == ("unproven", "pods-disagree")
    nothing_was_deleted(cf)


async def test_a_bbs_that_serves_without_its_label_is_left_alone(cf: Cf) -> None:
    """The Service leads nowhere, yet a BBS listens on its own address: a restart would not mend the label."""
    await cf.fault("freeze-label")
    await cf.label("false")
    await until(cf.unreachable, what="the Service to lead nowhere", every=0.2)
    async with webhook_of(cf) as webhook:
        await fire(webhook)
        run = await webhook.ended()
        nothing_was_deleted(cf)
        checked = await runbook(webhook.config, "check", "cf")
    assert (run["outcome"], run["reason"]) == ("refused", "bbs-serving")
    assert checked.code == 1, checked


async def test_split_brain_is_left_to_a_person(cf: Cf) -> None:
    """Both listen, and the Service leads to neither: which one is right, a restart would only guess."""
    await cf.fault("freeze-label")
    await cf.fault("split-brain")
    await until(cf.all_listen, what="both BBS to listen", every=0.2)
    await cf.label("false")
    await until(cf.unreachable, what="the Service to lead nowhere", every=0.2)
    async with webhook_of(cf) as webhook:
        await fire(webhook)
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("refused", "split-brain")
    nothing_was_deleted(cf)


async def test_stale_labels_without_a_listener_do_not_hinder(cf: Cf) -> None:
    """Both pods are labelled active and neither listens: listeners decide, labels hint."""
    await cf.break_it()
    await cf.fault("label-all")
    async with webhook_of(cf) as webhook:
        await fire(webhook)
        await webhook.reached("await-ready")
        await cf.fault("thaw-label")  # the new pods could not be labelled else
        run = await webhook.ended(deadline=PATIENCE)
    assert (run["outcome"], run["reason"]) == ("recovered", "")
    each_was_deleted_once(cf)
    assert await cf.settled()


async def test_a_bbs_that_is_reachable_is_left_alone(cf: Cf) -> None:
    """A false alarm costs one check."""
    async with webhook_of(cf) as webhook:
        await fire(webhook)
        run = await webhook.ended()
    assert run["outcome"] == "not-needed"
    nothing_was_deleted(cf)


async def test_a_run_survives_the_death_of_the_webhook(cf: Cf) -> None:
    """Killed after the first DELETE, of which nothing is on record: the next one goes on, and restarts no new pod."""
    await cf.break_it()
    async with webhook_of(cf, stops_after="delete") as webhook:
        await fire(webhook)
        await until(partial(is_stopped, webhook.pid), what="the first DELETE")
        assert await webhook.end(signal.SIGKILL) < 0
        successor = cf.webhook(webhook.config)
        async with running(successor):
            run = await successor.ended(deadline=2 * PATIENCE)
    assert run["outcome"] == "recovered"
    assert {pod["name"]: pod["uid"] for pod in run["pods"]} == cf.originals
    assert "interrupted" in {step["result"] for step in run["steps"]}
    only_originals_were_deleted(cf)
    assert await cf.settled()


async def test_the_breaker_stops_what_does_not_help(cf: Cf) -> None:
    """The lock database stays away: so many runs, then none, also after a restart, until a person has looked."""
    short: Json = {"await_ready": {"timeout": "12s"}, "cooldown": "1s", "breaker": {"runs": 2, "window": "1h"}}
    await cf.break_it(mended=False)
    async with webhook_of(cf, **short) as webhook:

        async def stopped() -> bool:
            await webhook.notify(notification(alert()))
            return (await webhook.metrics()).get("diego_remediation_breaker_open{foundation=cf}") == 1

        await until(stopped, what="the breaker to open", deadline=2 * PATIENCE, every=1)
        await webhook.until_metrics({"diego_remediation_run_in_progress{foundation=cf}": 0})
        runs, deletions = await webhook.runs(), cf.deletions()
        disruptive = [run for run in runs if any(pod["intended_at"] for pod in run["pods"])]
        assert [run["outcome"] for run in disruptive] == ["failed", "failed"]
        assert "breaker" in await _refusal(webhook)
        await webhook.end()
        await webhook.start()
        assert "breaker" in await _refusal(webhook)
        await webhook.until_metrics({"diego_remediation_breaker_open{foundation=cf}": 1})
        assert await webhook.runs() == runs
        assert cf.deletions() == deletions

        await cf.fault("locket-db-up")
        await until(cf.settled, what="the new pods to be whole", deadline=PATIENCE, every=0.2)
        reset = await runbook(webhook.config, "reset", "cf")
        assert reset.code == 0, reset
        await fire(webhook)
        run = await webhook.ended(len(runs) + 1, deadline=PATIENCE)
    assert run["outcome"] == "not-needed"


async def _refusal(webhook: Webhook) -> str:
    """What the webhook says to one more notification."""
    _, said = await webhook.notify(notification(alert()))
    decision: str = said["decisions"]["cf"]
    assert decision.startswith("refuse"), decision
    return decision
