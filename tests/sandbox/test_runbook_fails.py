"""A restart that did not help: the run names the check and the place, and deletes nothing a second time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from sandbox.cluster.foundation import Foundation
from sandbox.cluster.resources import SERVICES
from sandbox.sandbox import Sandbox
from tests.support.incidents import (
    alert,
    assert_recovered,
    boxed,
    break_it,
    call_off,
    config,
    deleted,
    fire,
    fully_ready,
    incident,
    notification,
    patch,
    settled,
    told,
    uids,
    whole,
)
from tests.support.programs import Json, Webhook, runbook, serving, until
from tests.support.traps import at_delete

SHORT = {
    "await_ready": {"timeout": "3s"},  # long enough for the restart that helps, on a busy machine too
    "verify": {"attempts": 2, "interval": "200ms", "timeout": "2s"},
    "retry": "100ms",
    "cooldown": "2s",  # in which the alert is resolved: else the run would be repeated
}


@dataclass(frozen=True, kw_only=True)
class Failing:
    """What goes wrong at the last of the deletes (or before all of them), and what the run says."""

    fault: Callable[[Sandbox], object]
    reason: str
    step: str
    repair: Callable[[Sandbox], object]
    deleted: int = 2
    early: bool = False
    cause: str = ""
    foundation: Foundation = field(default_factory=Foundation)


def select(value: str | None) -> Callable[[Sandbox], None]:
    return lambda box: patch(box, "diego-api", {"spec": {"selector": {"nobody": value}}}, resource=SERVICES)


FAILING = {
    "a pod does not end": Failing(
        fault=lambda box: box.fault("stuck", "diego-api-1"),
        repair=lambda box: box.fault("unstuck", "diego-api-1"),
        reason="still-terminating diego-api-1 (grace 2s, node sandbox-node)",
        cause="Next: `kubectl get node sandbox-node`",
        step="await-ready",
        early=True,
    ),
    "a pod is not created": Failing(
        fault=lambda box: box.fault("never-ready", "diego-api-0"),
        repair=lambda box: box.fault("may-be-ready", "diego-api-0"),
        reason="not-created diego-api-1 (waits for diego-api-0)",
        step="await-ready",
        foundation=Foundation(pod_management="OrderedReady"),
    ),
    "a pod does not become ready": Failing(
        fault=lambda box: box.fault("never-ready", "diego-api-1"),
        repair=lambda box: box.fault("may-be-ready", "diego-api-1"),
        reason="not-ready diego-api-1 container diego-api (not ready)",
        step="await-ready",
    ),
    "the lock's database stays down": Failing(
        fault=lambda box: box.fault("locket-db-down"),
        repair=lambda box: box.fault("locket-db-up"),
        reason="no-active-label",
        step="await-ready",
    ),
    "the lock is held elsewhere": Failing(
        fault=lambda box: box.fault("lock-elsewhere"),
        repair=lambda box: box.fault("lock-back"),
        reason="no-active-label",
        step="await-ready",
    ),
    "both lead": Failing(
        fault=lambda box: box.fault("split-brain"),
        repair=lambda box: box.fault("heal-brain"),
        reason="multiple-active diego-api-0, diego-api-1",
        step="await-ready",
    ),
    "the Service leads nowhere": Failing(
        fault=select("here"), repair=select(None), reason="unreachable", step="verify-reachable"
    ),
    "the Cloud Controller is gone": Failing(
        fault=lambda box: patch(box, "api", {"spec": {"replicas": 0}}),
        repair=lambda box: patch(box, "api", {"spec": {"replicas": 2}}),
        reason="not-verified (cloud-controller-down)",
        step="verify-reachable",
    ),
    "deletes are forbidden": Failing(
        fault=lambda box: box.deny("delete", "pods"),
        repair=lambda box: box.fault("allow-all"),
        reason="delete-refused diego-api-0",
        step="restart",
        deleted=0,
        early=True,
    ),
}


@pytest.mark.parametrize("case", FAILING.values(), ids=FAILING.keys())
async def test_the_run_names_the_check_and_the_place(case: Failing) -> None:
    async with incident(case.foundation, remediation=SHORT) as (box, webhook, before):
        if case.early:
            case.fault(box)
        else:
            at_delete(box, 2, lambda: case.fault(box))
        fired = alert()
        await fire(webhook, fired)
        await intended(webhook)
        await call_off(webhook, fired)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("failed", case.reason)
        assert case.cause in run["detail"]
        assert (run["steps"][-1]["name"], run["steps"][-1]["result"]) == (case.step, "failed")
        assert deleted(box) == list(before.values())[: case.deleted]
        assert [kind for kind, _, _ in await told(box, "RunEnded")] == ["Warning"]

        box.mishaps.failures.clear()
        case.repair(box)
        done = len(deleted(box))

        await settled(box, fully_ready)
        await api_is_back(box)
        await break_it(box)
        now = uids(box)
        await fire(webhook, alert(ago=0))
        assert_restarted(await webhook.ended_as("recovered"), now, deleted(box)[done:])
        assert whole(box)


def assert_restarted(run: Json, before: Mapping[str, str], gone: Sequence[object]) -> None:
    assert {pod["uid"]: pod["state"] for pod in run["pods"]} == dict.fromkeys(before.values(), "deleted")
    assert sorted(map(str, gone)) == sorted(before.values())


async def intended(webhook: Webhook) -> None:
    """Waits until the run may have deleted a pod: from there on a resolved alert does not end it."""

    async def look() -> bool:
        return any(pod["intended_at"] for run in await webhook.runs() for pod in run["pods"])

    await until(look, what="an intent on record")


async def api_is_back(box: Sandbox) -> None:
    async def ready() -> bool:
        return [pod["ready"] for pod in box.state()["pods"] if pod["name"].startswith("api-")] == ["2/2", "2/2"]

    await until(ready, what="the api pods")


BREAKER = SHORT | {"cooldown": "0s", "breaker": {"runs": 2, "window": "1h"}}
OPEN = "diego_remediation_breaker_open{foundation=cf}"


async def test_the_breaker() -> None:
    """So many restarts that did not help, and no more: also after a restart of the webhook, until `reset`."""
    async with boxed() as box:
        path = box.write_config(config(box, remediation=BREAKER))
        box.fault("locket-db-down")
        async with serving(path) as webhook:
            assert (await webhook.metrics())[OPEN] == 0
            await fire(webhook)
            for count in (1, 2):  # the alert still fires: it runs again when the cooldown is over
                run = await webhook.ended(count)
                assert (run["outcome"], run["reason"]) == ("failed", "no-active-label")
            refused = "diego_remediation_decisions_total{decision=refuse,foundation=cf,reason=breaker-open}"
            found = await webhook.until_metrics({OPEN: 1, "diego_remediation_wanted{foundation=cf}": 0})
            assert await asked(webhook) == "refuse"
            await webhook.until_metrics({refused: found[refused] + 1})
        async with serving(path) as webhook:
            await webhook.until_metrics({OPEN: 1})
            for _ in range(3):
                assert await asked(webhook) == "refuse"
            by_hand = await runbook(path, "run", "cf")
            assert by_hand.code == 3
            assert "breaker" in by_hand.output
            assert len(await webhook.runs()) == 2
            assert len(set(deleted(box))) == len(deleted(box)) == 4

            box.fault("locket-db-up")
            await break_it(box)
            before = uids(box)
            done = len(deleted(box))
            assert (await runbook(path, "reset", "cf")).code == 0
            await webhook.until_metrics({OPEN: 0})
            await fire(webhook)
            run = await webhook.ended(3)
            assert run["outcome"] == "recovered"
            assert_restarted(run, before, deleted(box)[done:])


async def asked(webhook: Webhook) -> str:
    """What is decided when the alert asks."""
    status, said = await webhook.notify(notification(alert()))
    assert status == 202
    decision: str = said["decisions"]["cf"]
    return decision.partition(":")[0]


async def test_runs_that_delete_nothing_do_not_open_the_breaker() -> None:
    once = SHORT | {"breaker": {"runs": 1, "window": "1h"}}
    async with incident(remediation=once, broken=False) as (box, webhook, before):
        for count in (1, 2):
            await fire(webhook)
            assert (await webhook.ended(count))["outcome"] == "not-needed"
        await break_it(box)
        await fire(webhook)
        assert (await webhook.ended(3))["outcome"] == "recovered"
        assert_recovered(box, before)
        assert (await webhook.metrics())[OPEN] == 1  # one was enough here
