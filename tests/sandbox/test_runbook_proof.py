"""An inconclusive check deletes nothing; and the control: without the fault, the same foundation recovers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.sandbox import Sandbox
from tests.support.incidents import (
    alert,
    assert_nothing_deleted,
    assert_recovered,
    boxed,
    break_it,
    config,
    fire,
    incident,
    notification,
    patch,
    resolved,
    uids,
)
from tests.support.programs import DEADLINE, serving, until
from tests.support.traps import at_delete

SOON = {"retry": "100ms"}
SLOW = SOON | {"confirm": {"attempts": 10, "interval": "300ms"}}
ENDLESS = SOON | {"confirm": {"attempts": 100, "interval": "300ms"}}
"""A proof that something else ends."""
OTHER = "DiegoNoActiveLeader"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault on top of the incident, how it is repaired, and what the run reports meanwhile."""

    fault: Callable[[Sandbox], object]
    repair: Callable[[Sandbox], object]
    reason: str
    detail: str
    foundation: tuple[tuple[str, Any], ...] = ()


def forbid_exec(box: Sandbox) -> None:
    box.deny("get", "pods/exec")
    box.deny("create", "pods/exec")


def scale_api(replicas: int) -> Callable[[Sandbox], None]:
    return lambda box: patch(box, "api", {"spec": {"replicas": replicas}})


CASES = {
    "nc is missing": Case(
        fault=lambda box: box.fault("no-nc"),
        repair=lambda box: box.fault("yes-nc"),
        reason="nc-missing",
        detail="nc is missing, and bash did not connect",
    ),
    "nc and bash are missing": Case(
        fault=lambda box: box.fault("no-tools"),
        repair=lambda box: box.fault("yes-nc"),
        reason="nc-missing",
        detail="No such file or directory",
    ),
    "exec is forbidden": Case(
        fault=forbid_exec, repair=lambda box: box.fault("allow-all"), reason="exec-failed", detail="403"
    ),
    "exec breaks": Case(
        fault=lambda box: box.fail("get", "pods/exec", code=502),
        repair=lambda box: box.mishaps.clear(),
        reason="exec-failed",
        detail="502",
    ),
    "the name cannot be looked up": Case(
        fault=lambda box: box.fault("dns-down"),
        repair=lambda box: box.fault("dns-up"),
        reason="exec-failed",
        detail="Temporary failure in name resolution",
        foundation=(("by_name", True),),
    ),
    "no Cloud Controller": Case(
        fault=scale_api(0), repair=scale_api(2), reason="cloud-controller-down", detail="none of 0 pods of api"
    ),
    "pods may not be read": Case(
        fault=lambda box: box.deny("list", "pods"),
        repair=lambda box: box.fault("allow-all"),
        reason="forbidden",
        detail="403",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_an_inconclusive_check_deletes_nothing(case: Case) -> None:
    async with boxed() as box:
        document = config(box, remediation=SOON, **dict(case.foundation))
        async with serving(box.write_config(document)) as webhook:
            before = uids(box)
            await break_it(box)
            case.fault(box)
            await api_pods(box, present=case.reason != "cloud-controller-down")
            await fire(webhook)

            run = await webhook.ended()
            assert (run["outcome"], run["reason"]) == ("unproven", case.reason)
            assert case.detail in run["detail"]
            assert [step["result"] for step in run["steps"]][-1] == "failed"
            assert_nothing_deleted(box, before)

            case.repair(box)
            await api_pods(box, present=True)
            await webhook.ended_as("recovered")  # the alert still fires: nobody has to send it again
            assert_recovered(box, before)


async def api_pods(box: Sandbox, *, present: bool) -> None:
    """Waits until the Cloud Controller's pods are there and ready, or gone."""
    expected = ["2/2", "2/2"] if present else []

    async def so() -> bool:
        return [pod["ready"] for pod in box.state()["pods"] if pod["name"].startswith("api-")] == expected

    await until(so, what="the api pods")


async def test_pods_that_disagree_are_inconclusive() -> None:
    """One api pod reaches the BBS and the other does not; when both do, no restart is needed."""
    async with incident(remediation=SOON, broken=False, fast=True) as (box, webhook, before):
        box.fault("blind", "api-0")
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("unproven", "pods-disagree")
        assert "timed out" in run["detail"]
        assert "succeeded" in run["detail"]
        assert_nothing_deleted(box, before)

        box.fault("unblind", "api-0")
        await webhook.ended_as("not-needed")
        assert_nothing_deleted(box, before)


async def test_reachable_after_all() -> None:
    async with incident(remediation=SOON, broken=False) as (box, webhook, before):
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("not-needed", "reachable")
        assert [(step["name"], step["result"]) for step in run["steps"]] == [
            ("check-cloud-controller", "ok"),
            ("confirm-unreachable", "stopped"),
        ]
        assert_nothing_deleted(box, before)

        await break_it(box)
        await fire(webhook)
        assert (await webhook.ended(2))["outcome"] == "recovered"
        assert_recovered(box, before)


async def test_reachable_without_nc() -> None:
    """bash is enough to see that nothing is wrong."""
    async with incident(broken=False) as (box, webhook, _):
        box.fault("no-nc")
        await fire(webhook)

        run = await webhook.ended()
        assert run["outcome"] == "not-needed"
        assert "bash connected" in run["detail"]


async def test_the_bbs_comes_back_while_it_is_being_checked() -> None:
    """One attempt fails, the next succeeds: a failover, and no reason for a restart."""
    async with incident(remediation=ENDLESS) as (box, webhook, before):
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        for pod in before:
            box.fault("crash", pod)

        run = await webhook.ended()
        assert run["outcome"] in {"not-needed", "unproven"}  # asked at the very moment, two pods may disagree
        assert_nothing_deleted(box, before)


@pytest.mark.parametrize(("fault", "repair"), [("api-hang", "api-resume"), ("api-kill", "api-start")])
async def test_without_an_api_server_nothing_is_deleted(fault: str, repair: str) -> None:
    """The run ends when the API server is back, without a delete; the next one recovers the foundation."""
    async with incident(remediation=SLOW, fast=True) as (box, webhook, before):
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        box.fault(fault)
        assert (await webhook.notify(notification(alert(OTHER))))[0] == 503
        gave_up = "diego_remediation_steps_total{foundation=cf,result=failed,step=confirm-unreachable}"
        await webhook.until_metrics({gave_up: 1})
        box.fault(repair)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("unproven", "api-unreachable")
        assert_nothing_deleted(box, before)

        await webhook.ended_as("recovered")
        assert_recovered(box, before)


async def test_observing_deletes_nothing() -> None:
    """It writes the journal, the lease and events, and says what it would have done."""
    async with boxed() as box:
        observing = box.write_config(config(box, remediation=SOON | {"mode": "observe"}))
        before = uids(box)
        await break_it(box)
        async with serving(observing) as webhook:
            await fire(webhook)
            run = await webhook.ended()
            assert (run["outcome"], run["reason"]) == ("observed", "observe")
            assert run["detail"] == "mode observe: it would have deleted diego-api-0, diego-api-1"
            assert {pod["name"]: pod["uid"] for pod in run["pods"]} == before
            assert {pod["state"] for pod in run["pods"]} == {"listed"}
            assert (await webhook.metrics())["diego_remediation_mode{foundation=cf,mode=observe}"] == 1
        assert_nothing_deleted(box, before)

        async with serving(box.write_config(config(box, remediation=SOON))) as webhook:
            await fire(webhook)
            assert (await webhook.ended(2))["outcome"] == "recovered"
            assert_recovered(box, before)


async def test_resolved_before_the_restart() -> None:
    async with incident(remediation=ENDLESS) as (box, webhook, before):
        first, second = alert(), alert(OTHER)
        await fire(webhook, first, second)
        await webhook.reached("confirm-unreachable")
        for each in (first, second):
            assert (await webhook.notify(notification(resolved(each))))[0] == 202

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("cancelled", "resolved")
        assert_nothing_deleted(box, before)


async def test_one_of_two_resolved_is_not_enough() -> None:
    async with incident(remediation=SLOW) as (box, webhook, before):
        first, second = alert(), alert(OTHER)
        await fire(webhook, first, second)
        await webhook.reached("confirm-unreachable")
        assert (await webhook.notify(notification(resolved(first), second)))[0] == 202

        run = await webhook.ended()
        assert run["outcome"] == "recovered"
        firing = {key: each["firing"] for key, each in run["alerts"].items()}
        assert firing == {first["fingerprint"]: False, second["fingerprint"]: True}
        assert_recovered(box, before)


async def test_resolved_in_the_middle_of_the_restart() -> None:
    """That is what a restart does to an alert: the run continues."""
    async with incident() as (box, webhook, before):
        fired = alert()
        trap = at_delete(box, 1, lambda: box.fault("api-slow", "0.2"))
        await fire(webhook, fired)
        await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
        assert (await webhook.notify(notification(resolved(fired))))[0] == 202
        box.fault("api-fast")

        assert (await webhook.ended())["outcome"] == "recovered"
        assert_recovered(box, before)
