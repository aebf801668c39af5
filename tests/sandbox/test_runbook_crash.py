"""The webhook dies, or an answer is lost, anywhere in a run: whoever comes next finishes it, and deletes no new pod."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from sandbox.api.calls import Target
from sandbox.sandbox import Sandbox
from tests.support.incidents import (
    boxed,
    break_it,
    config,
    deletions,
    fire,
    journal,
    settled,
    told,
    uids,
    whole,
)
from tests.support.programs import DEADLINE, Json, Webhook, running, serving
from tests.support.traps import Trap, at_delete

Moment = Callable[[Json], bool]
"""Of the newest run on record."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """When the webhook is killed: at a request, before or after its effect, once the run on record is so.

    `held`: the new pods are not ready until then. `leads`: before it starts again, the first new pod leads.
    """

    verb: str = "update"
    resource: str = "configmaps"
    effective: bool = True
    when: Moment = lambda _run: True
    held: bool = False
    leads: bool = False


def at_step(step: str) -> Moment:
    return lambda run: run["step"] == step


def intents(count: int) -> Moment:
    return lambda run: sum(pod["intended_at"] is not None for pod in run["pods"]) == count


def settled_pods(count: int) -> Moment:
    return lambda run: sum(pod["state"] not in {"listed", "intended"} for pod in run["pods"]) == count


RESTARTED = {"deleted", "gone", "replaced"}


DEATHS = {
    "the run is open": Death(when=lambda run: run["step"] is None),
    "in mid-proof": Death(verb="get", resource="pods/exec", when=at_step("confirm-unreachable")),
    "the pods are listed": Death(when=lambda run: bool(run["pods"])),
    "the first delete is intended": Death(when=intents(1)),
    "after the first delete": Death(verb="delete", resource="pods"),
    "after the first delete, and that was enough": Death(verb="delete", resource="pods", leads=True),
    "the first delete is on record": Death(when=settled_pods(1)),
    "the first delete is on record, and that was enough": Death(when=settled_pods(1), leads=True),
    "the second delete is intended": Death(when=intents(2)),
    "after the second delete": Death(verb="delete", resource="pods", when=intents(2)),
    "in mid-wait": Death(verb="watch", resource="pods", effective=False, when=at_step("await-ready"), held=True),
    "in mid-check": Death(verb="get", resource="pods/exec", when=at_step("verify-reachable")),
    "before the end is on record": Death(
        effective=False, when=lambda run: run["step"] == "verify-reachable" and run["steps"][-1]["result"] == "ok"
    ),
    "the end is on record": Death(when=lambda run: run["outcome"] is not None),
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS.keys())
async def test_killed_anywhere(death: Death) -> None:
    """SIGKILL, and started again: one run, with one end, that holds what it claims."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box, together=not death.leads)
        webhook = Webhook(box.write_config(config(box)), fast=True)
        async with running(webhook):
            if death.held:
                at_delete(box, 1, lambda: box.fault("never-ready", "diego-api-1"))
            trap = At(box, death, partial(os.kill, webhook.pid, signal.SIGKILL))
            await fire(webhook)
            await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
            assert await webhook.wait() == -signal.SIGKILL
            (begun,) = journal(box)["runs"]
            box.fault("may-be-ready", "diego-api-1")
        if death.leads:
            await settled(box, lambda pods: any(pod["active"] == "true" for pod in pods))
        async with serving(webhook.config, fast=True) as successor:
            run = await successor.ended(every=0.5)

            assert run["id"] == begun["id"]
            assert len(await successor.runs()) == 1
            assert run["outcome"] == "recovered", run
            assert whole(box)
            restarted = {pod["uid"] for pod in run["pods"] if pod["state"] in RESTARTED}
            spared = {pod["uid"] for pod in run["pods"] if pod["state"] == "spared"}
            assert (len(restarted), len(spared)) == ((1, 1) if death.leads else (2, 0))
            asked = [str(each.uid) for each in deletions(box) if each.code != 409]  # 500: the answer was lost
            assert sorted(asked) == sorted(restarted)
            assert {uid for pod, uid in before.items() if uids(box)[pod] != uid} == restarted
            metrics = await successor.metrics()
            assert metrics["diego_remediation_run_in_progress{foundation=cf}"] == 0


async def test_killed_and_the_bbs_comes_back_by_itself() -> None:
    """The pods on the run's list are spared, also the one whose delete was intended: it was not sent."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        webhook = Webhook(box.write_config(config(box)), fast=True)
        async with running(webhook):
            trap = At(box, Death(when=intents(1)), partial(os.kill, webhook.pid, signal.SIGKILL))
            await fire(webhook)
            await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
            assert await webhook.wait() == -signal.SIGKILL
        for pod in before:
            box.fault("crash", pod)
        await settled(box, lambda pods: "true" in [pod["active"] for pod in pods])
        async with serving(webhook.config, fast=True) as successor:
            run = await successor.ended(every=0.5)

            assert "waiting for outstanding deletes" in successor.text
            assert (run["outcome"], run["reason"]) == ("not-needed", "not-restarted")
            assert {pod["uid"]: pod["state"] for pod in run["pods"]} == dict.fromkeys(before.values(), "spared")
            assert deletions(box) == []
            assert whole(box)


class At(Trap):
    """Springs at a request, once the newest run on record is so."""

    def __init__(self, box: Sandbox, request: "Death | Loss", spring: Callable[[], None]) -> None:
        super().__init__(request.verb, request.resource, spring, effective=request.effective)
        self._box = box
        self._when = request.when
        box.mishaps.failures.append(self)

    def hits(self, about: Target) -> bool:
        runs = journal(self._box)["runs"]
        return bool(runs) and self._when(runs[-1]) and super().hits(about)


async def test_told_to_end_in_mid_run() -> None:
    """SIGTERM: it gives the lease back and exits 0; the next one continues at once."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        path = box.write_config(config(box))
        async with serving(path) as webhook:
            trap = at_delete(box, 2, lambda: box.fault("never-ready", "diego-api-1"))
            await fire(webhook)
            await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
            await webhook.reached("await-ready")
            assert await webhook.end() == 0
        assert journal(box)["runs"][-1]["outcome"] is None
        async with serving(path) as successor:
            await successor.until_metrics({"diego_webhook_leader{foundation=cf}": 1})
            box.fault("may-be-ready", "diego-api-1")
            run = await successor.ended()

            assert run["outcome"] == "recovered"
            assert [step["result"] for step in run["steps"] if step["name"] == "await-ready"] == ["interrupted", "ok"]
            assert {each.uid for each in deletions(box)} == set(before.values())
            assert len(deletions(box)) == 2


async def test_another_config_in_mid_run() -> None:
    """A reload that changes the foundation hands the run on, within the process."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        path = box.write_config(config(box))
        async with serving(path) as webhook:
            trap = at_delete(box, 2, lambda: box.fault("never-ready", "diego-api-1"))
            await fire(webhook)
            await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
            await webhook.reached("await-ready")
            box.write_config(config(box, remediation={"cooldown": "2h", "request_ttl": "3h"}))
            assert (await webhook.request("POST", "/-/reload"))[0] == 200
            box.fault("may-be-ready", "diego-api-1")

            run = await webhook.ended()
            assert run["outcome"] == "recovered"
            assert {each.uid for each in deletions(box)} == set(before.values())
            assert len(deletions(box)) == 2


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A request that fails, or whose answer is lost, once the run on record is so; `asked`: DELETEs in all."""

    verb: str = "update"
    resource: str = "configmaps"
    effective: bool
    when: Moment = lambda _run: True
    asked: int = 2


LOSSES = {
    "a delete that takes effect": Loss(verb="delete", resource="pods", effective=True),
    "a delete that does not": Loss(verb="delete", resource="pods", effective=False, asked=3),
    "the intent, on record": Loss(effective=True, when=intents(1)),
    "the intent, not on record": Loss(effective=False, when=lambda run: bool(run["pods"]) and intents(0)(run)),
    "what became of a pod, on record": Loss(effective=True, when=settled_pods(1)),
    "a step, on record": Loss(effective=True, when=at_step("await-ready")),
    "the end, on record": Loss(effective=True, when=lambda run: run["outcome"] is not None),
    "the end, not on record": Loss(
        effective=False, when=lambda run: run["step"] == "verify-reachable" and run["steps"][-1]["result"] == "ok"
    ),
    "an event": Loss(verb="create", resource="events", effective=True),
    "the lease": Loss(resource="leases", effective=True),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
async def test_an_answer_is_lost(loss: Loss) -> None:
    """500 and nothing more: it is found out what became of it, and everything is on record and counted once."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        async with serving(box.write_config(config(box))) as webhook:
            trap = At(box, loss, lambda: None)
            await fire(webhook)
            run = await webhook.ended()

            assert run["outcome"] == "recovered"
            assert trap.sprung.is_set() or loss.resource == "leases"  # a short run may need no renewal
            assert {pod["state"] for pod in run["pods"]} <= RESTARTED
            assert {each.uid for each in deletions(box)} == set(before.values())
            assert len(deletions(box)) == loss.asked
            assert whole(box)
            assert len(run["steps"]) == 6
            await webhook.until_metrics(
                {"diego_remediation_runs_total{foundation=cf,outcome=recovered,runbook=restart-diego-api}": 1}
            )
            assert len(await told(box, "RunEnded")) == 1


async def test_the_api_server_dies_at_the_first_delete() -> None:
    """It is waited for, the fate of the pod is found out, and the restart continues."""
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        async with serving(box.write_config(config(box))) as webhook:
            trap = Trap("delete", "pods", lambda: box.fault("api-kill"), effective=True)
            box.mishaps.failures.append(trap)
            await fire(webhook)
            await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
            await asyncio.sleep(3)
            box.fault("api-start")

            assert (await webhook.ended())["outcome"] == "recovered"
            assert {each.uid for each in deletions(box)} == set(before.values())
            assert whole(box)
