"""What proves nothing deletes nothing; and the same foundation, without the fault, is healed right after."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.sandbox import Sandbox
from tests.support.incidents import (
    alert,
    at_delete,
    boxed,
    break_it,
    config,
    fire,
    healed,
    nothing_deleted,
    notification,
    patch,
    resolved,
    side_by_side,
    uids,
)
from tests.support.programs import DEADLINE, serving, until

SOON = {"retry": "100ms"}
SLOW = SOON | {"confirm": {"attempts": 10, "interval": "300ms"}}
OTHER = "DiegoNoActiveLeader"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault on top of the incident, how it is mended, and what the run says meanwhile."""

    fault: Callable[[Sandbox], object]
    mend: Callable[[Sandbox], object]
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
        mend=lambda box: box.fault("yes-nc"),
        reason="nc-missing",
        detail="nc is missing, and bash did not connect",
    ),
    "nc and bash are missing": Case(
        fault=lambda box: box.fault("no-tools"),
        mend=lambda box: box.fault("yes-nc"),
        reason="nc-missing",
        detail="No such file or directory",
    ),
    "exec is forbidden": Case(
        fault=forbid_exec, mend=lambda box: box.fault("allow-all"), reason="exec-failed", detail="403"
    ),
    "exec breaks": Case(
        fault=lambda box: box.fail("get", "pods/exec", code=502),
        mend=lambda box: box.mishaps.clear(),
        reason="exec-failed",
        detail="502",
    ),
    "the name can't be looked up": Case(
        fault=lambda box: box.fault("dns-down"),
        mend=lambda box: box.fault("dns-up"),
        reason="exec-failed",
        detail="Temporary failure in name resolution",
        foundation=(("by_name", True),),
    ),
    "no Cloud Controller": Case(
        fault=scale_api(0), mend=scale_api(2), reason="cloud-controller-down", detail="none of 0 pods of api"
    ),
    "pods may not be read": Case(
        fault=lambda box: box.deny("list", "pods"),
        mend=lambda box: box.fault("allow-all"),
        reason="forbidden",
        detail="403",
    ),
}


async def test_what_proves_nothing() -> None:
    await side_by_side({name: _proves_nothing(case) for name, case in CASES.items()})


async def test_what_proves_nothing_and_takes_its_time() -> None:
    """A connection that times out, and an API server that hangs or dies while it is being proved."""
    await side_by_side(
        {
            "pods disagree": _pods_that_disagree(),
            "the API server hangs": _without_an_api_server("api-hang", "api-resume"),
            "the API server dies": _without_an_api_server("api-kill", "api-start"),
        }
    )


async def _proves_nothing(case: Case) -> None:
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
            nothing_deleted(box, before)

            case.mend(box)
            await api_pods(box, present=True)
            await fire(webhook)
            assert (await webhook.ended(2))["outcome"] == "recovered"
            healed(box, before)


async def api_pods(box: Sandbox, *, present: bool) -> None:
    """Waits until the Cloud Controller's pods are there and ready, or gone."""
    expected = ["2/2", "2/2"] if present else []

    async def so() -> bool:
        return [pod["ready"] for pod in box.state()["pods"] if pod["name"].startswith("api-")] == expected

    await until(so, what="the api pods")


async def _pods_that_disagree() -> None:
    """One api pod reaches the BBS and the other does not; when both do, no restart is needed."""
    async with boxed() as box, serving(box.write_config(config(box, remediation=SOON))) as webhook:
        before = uids(box)
        box.fault("blind", "api-0")
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("unproven", "pods-disagree")
        assert "timed out" in run["detail"]
        assert "succeeded" in run["detail"]
        nothing_deleted(box, before)

        box.fault("unblind", "api-0")
        await fire(webhook)
        assert (await webhook.ended(2))["outcome"] == "not-needed"
        nothing_deleted(box, before)


async def test_reachable_after_all() -> None:
    async with boxed() as box, serving(box.write_config(config(box, remediation=SOON))) as webhook:
        before = uids(box)
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("not-needed", "reachable")
        assert [(step["name"], step["result"]) for step in run["steps"]] == [
            ("check-cloud-controller", "ok"),
            ("confirm-unreachable", "stopped"),
        ]
        nothing_deleted(box, before)

        await break_it(box)
        await fire(webhook)
        assert (await webhook.ended(2))["outcome"] == "recovered"
        healed(box, before)


async def test_reachable_without_nc() -> None:
    """bash is enough to see that nothing is wrong."""
    async with boxed() as box, serving(box.write_config(config(box))) as webhook:
        box.fault("no-nc")
        await fire(webhook)

        run = await webhook.ended()
        assert run["outcome"] == "not-needed"
        assert "bash connected" in run["detail"]


async def test_it_comes_back_while_it_is_being_proved() -> None:
    """One attempt fails, the next succeeds: a failover, and no reason for a restart."""
    slow = {"confirm": {"attempts": 20, "interval": "200ms"}}
    async with boxed() as box, serving(box.write_config(config(box, remediation=slow))) as webhook:
        before = uids(box)
        await break_it(box)
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        for pod in before:
            box.fault("crash", pod)

        run = await webhook.ended()
        assert run["outcome"] in {"not-needed", "unproven"}  # asked at the very moment, two pods may disagree
        nothing_deleted(box, before)


async def _without_an_api_server(fault: str, mend: str) -> None:
    """The run ends when the API server is back, without a delete; the next one heals."""
    remediation = SOON | {"confirm": {"attempts": 5, "interval": "300ms"}}
    async with boxed() as box, serving(box.write_config(config(box, remediation=remediation))) as webhook:
        before = uids(box)
        await break_it(box)
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        box.fault(fault)
        away = asyncio.create_task(asyncio.sleep(14))  # longer than the lease is trusted without a renewal
        assert (await webhook.notify(notification(alert(OTHER))))[0] == 503
        await away
        box.fault(mend)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("unproven", "api-unreachable")
        nothing_deleted(box, before)

        await fire(webhook)
        assert (await webhook.ended(2))["outcome"] == "recovered"
        healed(box, before)


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
            assert not any(pod["intent"] or pod["deleted"] for pod in run["pods"])
            assert (await webhook.metrics())["diego_remediation_mode{foundation=cf,mode=observe}"] == 1
        nothing_deleted(box, before)

        async with serving(box.write_config(config(box, remediation=SOON))) as webhook:
            await fire(webhook)
            assert (await webhook.ended(2))["outcome"] == "recovered"
            healed(box, before)


async def test_resolved_before_the_restart() -> None:
    async with boxed() as box, serving(box.write_config(config(box, remediation=SLOW))) as webhook:
        before = uids(box)
        first, second = alert(), alert(OTHER)
        await break_it(box)
        await fire(webhook, first, second)
        await webhook.reached("confirm-unreachable")
        for each in (first, second):
            assert (await webhook.notify(notification(resolved(each))))[0] == 202

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("cancelled", "resolved")
        nothing_deleted(box, before)


async def test_one_of_two_resolved_is_not_enough() -> None:
    async with boxed() as box, serving(box.write_config(config(box, remediation=SLOW))) as webhook:
        before = uids(box)
        first, second = alert(), alert(OTHER)
        await break_it(box)
        await fire(webhook, first, second)
        await webhook.reached("confirm-unreachable")
        assert (await webhook.notify(notification(resolved(first), second)))[0] == 202

        run = await webhook.ended()
        assert run["outcome"] == "recovered"
        assert run["alerts"] == {first["fingerprint"]: False, second["fingerprint"]: True}
        healed(box, before)


async def test_resolved_in_the_middle_of_the_restart() -> None:
    """That is what a restart does to an alert: it goes on."""
    async with boxed() as box, serving(box.write_config(config(box))) as webhook:
        before = uids(box)
        fired = alert()
        trap = at_delete(box, 1, lambda: box.fault("api-slow", "0.2"))
        await break_it(box)
        await fire(webhook, fired)
        await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
        assert (await webhook.notify(notification(resolved(fired))))[0] == 202
        box.fault("api-fast")

        assert (await webhook.ended())["outcome"] == "recovered"
        healed(box, before)
