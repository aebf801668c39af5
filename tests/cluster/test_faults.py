"""Faults on a real Kubernetes: what deletes no pod, and says why; what goes on, and deletes each pod once.

The webhook is told as Alertmanager would tell it; its times are short, so that an incident takes seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from tests.cluster.conftest import PATIENCE, Cf
from tests.support import audit
from tests.support.incidents import alert, fire, notification, resolved
from tests.support.programs import Json, Webhook, runbook, running, until

pytestmark = pytest.mark.cluster

FAST: Json = {
    "confirm": {"attempts": 2, "interval": "1s"},
    "verify": {"attempts": 2, "interval": "1s", "timeout": "20s"},
    "await_ready": {"timeout": "150s"},
    "retry": "1s",
}
HANGS = 40.0
"""Seconds for which the API server hangs: longer than an exec and a look may take together."""
SLOW_CONFIRM: Json = {"confirm": {"attempts": 4, "interval": "3s"}}


@asynccontextmanager
async def webhook_of(cf: Cf, *, without: str = "", **remediation: Any) -> AsyncIterator[Webhook]:
    """A webhook with the least rights, running."""
    user = await cf.user("diego-webhook", without=without)
    webhook = cf.webhook(cf.config(user, **FAST | remediation))
    async with running(webhook):
        yield webhook


async def break_it(cf: Cf, *, mended: bool = True) -> None:
    """The lock's database goes away, and comes back where it is `mended`: no BBS listens, and none will."""
    await cf.fault("locket-db-down")
    await until(cf.wedged, what="both BBS to be wedged", every=0.2)
    if mended:
        await cf.fault("locket-db-up")


def nothing_was_deleted(cf: Cf) -> None:
    """Asserts that the webhook has written its journal, its lease and events, has asked by exec, and no more."""
    assert audit.requests(cf.asked_by("diego-webhook")) <= audit.COURTESIES


def each_was_deleted_once(cf: Cf) -> None:
    """Asserts that of all pods the webhook has deleted those that were there, by their UIDs, and each once."""
    only_originals_were_deleted(cf)
    assert len(cf.deletions()) == len(cf.originals)


def only_originals_were_deleted(cf: Cf) -> None:
    """Asserts that no pod was deleted twice, and none that was created in place of another."""
    asked = [(each.pod, each.uid) for each in cf.deletions()]
    assert len(set(asked)) == len(asked) > 0
    assert set(asked) <= set(cf.originals.items())


async def test_without_nc_nothing_is_proved(cf: Cf) -> None:
    """`nc` is the document's proof: where it is missing, bash can't prove that the BBS is down."""
    await cf.fault("no-nc")
    await break_it(cf)
    async with webhook_of(cf) as webhook:
        await fire(webhook)
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("unproven", "nc-missing")
    nothing_was_deleted(cf)


async def test_exec_that_is_forbidden_proves_nothing(cf: Cf) -> None:
    """A Role without pods/exec: the API server says 403, and that says nothing of the BBS."""
    await break_it(cf)
    async with webhook_of(cf, without="pods/exec") as webhook:
        await fire(webhook)
        run = await webhook.ended()
        nothing_was_deleted(cf)
        checked = await runbook(webhook.config, "check", "cf")
    assert (run["outcome"], run["reason"]) == ("unproven", "exec-failed")
    assert "403" in run["detail"]
    assert checked.code == 3, checked
    assert "pods/exec" in checked.output


async def test_an_api_server_that_hangs_proves_nothing(cf: Cf) -> None:
    """It stops answering in the middle of the proof, and comes back much later."""
    await break_it(cf)
    async with webhook_of(cf, **SLOW_CONFIRM) as webhook:
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        await cf.fault("api-hang")
        await asyncio.sleep(HANGS)
        await cf.fault("api-resume")
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("unproven", "api-unreachable")
    nothing_was_deleted(cf)


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
    await cf.label("false")
    await until(cf.unreachable, what="the Service to lead nowhere", every=0.2)
    async with webhook_of(cf) as webhook:
        await fire(webhook)
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("refused", "split-brain")
    nothing_was_deleted(cf)


async def test_stale_labels_without_a_listener_do_not_hinder(cf: Cf) -> None:
    """Both pods are labelled active and neither listens: listeners decide, labels hint."""
    await break_it(cf)
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


async def test_alerts_that_are_resolved_call_it_off(cf: Cf) -> None:
    """Resolved in the middle of the proof: nobody asks any more."""
    await break_it(cf)
    async with webhook_of(cf, **SLOW_CONFIRM) as webhook:
        fired = alert()
        await fire(webhook, fired)
        await webhook.reached("confirm-unreachable")
        status, _ = await webhook.notify(notification(resolved(fired)))
        assert status == 202
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("cancelled", "resolved")
    nothing_was_deleted(cf)


async def test_observe_decides_and_deletes_nothing(cf: Cf) -> None:
    """It says which pods it would have deleted."""
    await break_it(cf)
    async with webhook_of(cf, mode="observe") as webhook:
        await fire(webhook)
        run = await webhook.ended()
    assert run["outcome"] == "observed"
    assert {pod["name"]: pod["uid"] for pod in run["pods"]} == cf.originals
    assert not any(pod["deleted"] for pod in run["pods"])
    nothing_was_deleted(cf)


def _intends(run: Json) -> bool:
    """The first delete is on record as intent; it is about to be sent, or was sent a moment ago."""
    return any(pod["intended_at"] for pod in run["pods"])


def _awaits(run: Json) -> bool:
    return str(run["step"]) == "await-ready"


def _verifies(run: Json) -> bool:
    return str(run["step"]) == "verify-reachable"


@pytest.mark.parametrize("moment", [_intends, _awaits, _verifies])
async def test_a_run_survives_the_death_of_the_webhook(cf: Cf, moment: Callable[[Json], bool]) -> None:
    """Killed without a warning, and started again: the run ends well, and what was created anew is left alone."""
    await break_it(cf)
    async with webhook_of(cf) as webhook, aclosing(cf.runs()) as journal, asyncio.timeout(2 * PATIENCE):
        await fire(webhook)
        async for runs in journal:
            if any(moment(run) for run in runs):
                break
        await webhook.end(9)
        await webhook.start()
        run = await webhook.ended(deadline=PATIENCE)
    assert run["outcome"] == "recovered"
    assert {pod["name"]: pod["uid"] for pod in run["pods"]} == cf.originals
    assert "interrupted" in {step["result"] for step in run["steps"]}
    if any(pod["state"] == "spared" for pod in run["pods"]):
        assert moment is _intends  # killed between two deletes: the first new pod served before the second was proved
        only_originals_were_deleted(cf)
    else:
        each_was_deleted_once(cf)
    assert await cf.settled()


async def test_two_hundred_notifications_make_one_run(cf: Cf) -> None:
    """At once and with group keys of all kinds, as several Alertmanagers with changing routes would send them."""
    await break_it(cf)
    async with webhook_of(cf) as webhook:
        posts = (
            webhook.notify(notification(alert(replica=str(number % 7)), group=f"{{}}:{{group={number}}}"))
            for number in range(200)
        )
        answers = await asyncio.gather(*posts)
        assert {status for status, _ in answers} == {202}
        run = await webhook.ended(deadline=PATIENCE)
        runs = await webhook.runs()
    assert run["outcome"] == "recovered"
    assert len(runs) == 1
    each_was_deleted_once(cf)


async def test_the_breaker_stops_what_does_not_help(cf: Cf) -> None:
    """The lock database stays away: so many runs, then none, also after a restart, until a person has looked."""
    short: Json = {"await_ready": {"timeout": "12s"}, "cooldown": "1s", "breaker": {"runs": 2, "window": "1h"}}
    await break_it(cf, mended=False)
    async with webhook_of(cf, **short) as webhook:
        for number in (1, 2):  # the second may start by itself, since the alert still fires
            await _ask_until_it_runs(webhook, number)
            run = await webhook.ended(number, deadline=PATIENCE)
            assert run["outcome"] == "failed"
            await until(cf.ready, what="the new pods to be ready", deadline=PATIENCE, every=0.2)
        assert len(cf.deletions()) == 4
        assert "breaker" in await _refusal(webhook)
        await webhook.end()
        await webhook.start()
        assert "breaker" in await _refusal(webhook)
        await webhook.until_metrics({"diego_remediation_breaker_open{foundation=cf}": 1})
        assert len(await webhook.runs()) == 2
        assert len(cf.deletions()) == 4

        await cf.fault("locket-db-up")
        reset = await runbook(webhook.config, "reset", "cf")
        assert reset.code == 0, reset
        await _ask_until_it_runs(webhook, 3)
        run = await webhook.ended(3, deadline=PATIENCE)
    assert run["outcome"] in {"recovered", "not-needed"}


async def _ask_until_it_runs(webhook: Webhook, number: int) -> None:
    async def runs() -> bool:
        await webhook.notify(notification(alert()))
        return len(await webhook.runs()) == number

    await until(runs, what=f"run {number}", every=1)


async def _refusal(webhook: Webhook) -> str:
    """What the webhook says to one more notification."""
    _, said = await webhook.notify(notification(alert()))
    decision: str = said["decisions"]["cf"]
    assert decision.startswith("refuse"), decision
    return decision
