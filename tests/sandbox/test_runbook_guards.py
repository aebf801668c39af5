"""What refuses a restart although the BBS is unreachable; and the control: without it, the foundation recovers."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sandbox.cluster.endpoints import ready_addresses
from sandbox.cluster.foundation import Foundation
from sandbox.cluster.objects import thaw
from sandbox.cluster.resources import CONFIGMAPS, ENDPOINTS, PODS
from sandbox.sandbox import Sandbox
from tests.support import audit
from tests.support.incidents import (
    alert,
    assert_nothing_deleted,
    assert_recovered,
    boxed,
    break_it,
    call_off,
    config,
    deleted,
    diego_api,
    fire,
    fully_ready,
    incident,
    journal,
    notification,
    patch,
    settled,
    uids,
)
from tests.support.programs import Json, runbook, serving, until
from tests.support.traps import at_delete

SOON = {"retry": "100ms"}


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What refuses a restart, how it goes away, and what the run reports. `wedged`: on top of the incident."""

    fault: Callable[[Sandbox], object]
    repair: Callable[[Sandbox], object]
    reason: str
    detail: str
    wedged: bool = True


def faults(*names: str) -> Callable[[Sandbox], None]:
    def apply(box: Sandbox) -> None:
        for name in names:
            box.fault(*name.split())

    return apply


def annotate(value: str | None) -> Callable[[Sandbox], None]:
    return lambda box: patch(box, "diego-api", {"metadata": {"annotations": {"diego-medic/exclude": value}}})


def template(annotations: Json | None) -> Callable[[Sandbox], None]:
    body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    return lambda box: patch(box, "diego-api", body)


def scale(replicas: int) -> Callable[[Sandbox], None]:
    return lambda box: patch(box, "diego-api", {"spec": {"replicas": replicas}})


def somebody_restarts(box: Sandbox) -> None:
    for pod in uids(box):
        box.fault("stuck", pod)
        box.cluster.registry.delete(PODS, box.namespace, pod)


GUARDS = {
    "a BBS serves without its label": Guard(
        fault=faults("label-none"),
        repair=faults("thaw-label"),
        reason="bbs-serving",
        detail="accepts connections on its own address",
        wedged=False,
    ),
    "two serve without their labels": Guard(
        fault=faults("split-brain", "label-none"),
        repair=faults("heal-brain", "thaw-label"),
        reason="split-brain",
        detail="diego-api-0, diego-api-1 accept connections",
        wedged=False,
    ),
    "scaled down": Guard(fault=scale(0), repair=scale(2), reason="scaled-down", detail="scaled to 0"),
    "a rollout waits": Guard(
        fault=template({"note": "new"}),
        repair=template(None),
        reason="rollout",
        detail="a restart deploys",
    ),
    "excluded": Guard(
        fault=annotate("until Monday"), repair=annotate(None), reason="excluded", detail="diego-medic/exclude"
    ),
    "somebody restarts it": Guard(
        fault=somebody_restarts,
        repair=faults("unstuck diego-api-0", "unstuck diego-api-1"),
        reason="already-terminating",
        detail="every pod of diego-api is terminating already",
    ),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS.keys())
async def test_a_guard_refuses_before_the_first_delete(guard: Guard) -> None:
    foundation = Foundation(update_strategy="OnDelete")
    async with incident(foundation, remediation=SOON, broken=False) as (box, webhook, _):
        if guard.wedged:
            await break_it(box)
        guard.fault(box)
        await until(lambda: nowhere(box), what="the Service to lead nowhere")
        fired = alert()
        await fire(webhook, fired)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("refused", guard.reason)
        assert guard.detail in run["detail"]
        assert run["steps"][-1]["name"] == "restart"
        assert run["steps"][-1]["result"] == "stopped"
        assert_nothing_deleted(box, uids(box))

        await call_off(webhook, fired)  # some guards stop applying by themselves: then the alert is queued again
        guard.repair(box)
        await settled(box, fully_ready)
        await break_it(box)
        before = uids(box)
        await fire(webhook, alert(ago=0))
        await webhook.ended_as("recovered")
        assert_recovered(box, before)


async def nowhere(box: Sandbox) -> bool:
    """Whether the Service leads to no BBS that serves: the label is removed first, then the endpoint."""
    serving = {pod["name"] for pod in diego_api(box) if pod["serving"]}
    ready = ready_addresses(box.cluster.store.get(ENDPOINTS, box.namespace, "diego-api"))
    addresses = {pod["metadata"]["name"]: pod["status"].get("podIP") for pod in box.cluster.store.all(PODS, "cf")}
    return not any(addresses[name] in ready for name in serving)


async def test_a_guard_that_stops_applying_is_not_asked_about_again() -> None:
    """A rollout is completed, or undone: the alert still fires, and the next run needs nobody's request."""
    foundation = Foundation(update_strategy="OnDelete")
    async with incident(foundation, remediation=SOON) as (box, webhook, before):
        GUARDS["a rollout waits"].fault(box)
        await fire(webhook)
        assert (await webhook.ended())["reason"] == "rollout"

        GUARDS["a rollout waits"].repair(box)
        await webhook.ended_as("recovered")
        assert_recovered(box, before)


async def test_a_split_brain_that_is_reachable_is_left_alone() -> None:
    async with incident(broken=False) as (box, webhook, before):
        box.fault("split-brain")
        await settled(box, lambda pods: [pod["active"] for pod in pods] == ["true", "true"])
        await fire(webhook)

        assert (await webhook.ended())["outcome"] == "not-needed"
        assert_nothing_deleted(box, before)


async def test_more_pods_than_a_restart_may_take() -> None:
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        async with serving(box.write_config(config(box, remediation=SOON | {"max_pods": 1}))) as webhook:
            await fire(webhook)
            run = await webhook.ended()
            assert (run["outcome"], run["reason"]) == ("refused", "max-pods")
            assert_nothing_deleted(box, before)

        async with serving(box.write_config(config(box, remediation=SOON | {"max_pods": 2}))) as webhook:
            await fire(webhook)
            assert (await webhook.ended(2))["outcome"] == "recovered"
            assert_recovered(box, before)


async def test_a_target_that_is_not_there() -> None:
    async with incident(restart=["diego-api", "diego-gone"]) as (box, webhook, before):
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("refused", "no-target")
        assert "diego-gone" in run["detail"]
        assert_nothing_deleted(box, before)


async def test_paused() -> None:
    """A pause refuses, without a run; `resume` replays nothing; what is asked after it is done."""
    async with incident(remediation=SOON, broken=False) as (box, webhook, before):
        assert (await runbook(webhook.config, "pause", "cf", "--reason", "we look ourselves")).code == 0
        await break_it(box)
        status, said = await webhook.notify(notification(alert()))
        assert status == 202
        assert "we look ourselves" in said["decisions"]["cf"]
        await webhook.until_metrics(
            {
                "diego_remediation_paused{foundation=cf}": 1,
                "diego_remediation_wanted{foundation=cf}": 0,
                "diego_remediation_decisions_total{decision=refuse,foundation=cf,reason=paused}": 1,
            }
        )
        assert (await runbook(webhook.config, "resume", "cf")).code == 0
        await webhook.until_metrics({"diego_remediation_paused{foundation=cf}": 0})
        assert await webhook.runs() == []
        assert_nothing_deleted(box, before)

        await fire(webhook)
        assert (await webhook.ended())["outcome"] == "recovered"
        assert_recovered(box, before)


def pause(box: Sandbox) -> None:
    """As `diego-runbook pause` leaves the journal."""
    kept = thaw(box.cluster.registry.get(CONFIGMAPS, box.namespace, audit.JOURNAL))
    said = json.loads(kept["data"]["journal.json"])
    said["paused"] = {"by": "ann", "at": "2026-01-31T03:04:05Z", "reason": "stop"}
    kept["data"]["journal.json"] = json.dumps(said)
    box.cluster.registry.update(CONFIGMAPS, box.namespace, audit.JOURNAL, kept)


async def test_paused_before_the_first_delete() -> None:
    endless = SOON | {"confirm": {"attempts": 100, "interval": "300ms"}}
    async with incident(remediation=endless) as (box, webhook, before):
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        pause(box)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("refused", "paused")
        assert_nothing_deleted(box, before)


async def test_paused_after_the_first_of_two() -> None:
    """No further pod is deleted, neither then nor by whoever takes over, until somebody asks after `resume`."""
    quick = SOON | {"cooldown": "0s"}
    async with boxed() as box:
        path = box.write_config(config(box, remediation=quick))
        before = uids(box)
        async with serving(path) as webhook:
            at_delete(box, 1, lambda: pause(box))
            await break_it(box)
            await fire(webhook)

            run = await webhook.ended()
            assert (run["outcome"], run["reason"]) == ("failed", "paused after 1 of 2")
            assert [pod["deleted"] for pod in run["pods"]] == [True, False]
        async with serving(path) as webhook:
            status, _ = await webhook.notify(notification(alert()))
            assert status == 202
            assert deleted(box) == [before["diego-api-0"]]
            assert uids(box)["diego-api-1"] == before["diego-api-1"]
            assert len(await webhook.runs()) == 1
            assert journal(box)["paused"]["by"] == "ann"
