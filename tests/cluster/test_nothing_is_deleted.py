"""The incident on a real Kubernetes, and a reason to restart nothing: no pod is deleted, and the run says why.

All tests share one broken foundation. The webhook is told as Alertmanager would tell it; its times are short.
"""

import asyncio

import pytest
import yaml

from tests.cluster.conftest import Cf
from tests.cluster.scenes import SLOW_CONFIRM, nothing_was_deleted, webhook_of
from tests.support.incidents import alert, fire, notification, resolved
from tests.support.programs import runbook

pytestmark = pytest.mark.cluster

HANGS = 40.0
"""Seconds for which the API server hangs: longer than an exec and a look may take together."""
NODE_JUDGED = 15.0
"""Seconds after which Kubernetes has judged the node again: the kubelet renews its lease every 10 s, and the controller
looks every 5 s. Until then all pods may be declared unready for a moment, which the next test must not begin with."""


async def test_without_nc_nothing_is_proved(broken: Cf) -> None:
    """`nc` is the document's proof: where it is missing, bash can't prove that the BBS is down."""
    await broken.fault("no-nc")
    async with webhook_of(broken) as webhook:
        await fire(webhook)
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("unproven", "nc-missing")
    nothing_was_deleted(broken)


async def test_exec_that_is_forbidden_proves_nothing(broken: Cf) -> None:
    """A Role without pods/exec: the API server says 403, and that says nothing of the BBS."""
    async with webhook_of(broken, without="pods/exec") as webhook:
        await fire(webhook)
        run = await webhook.ended()
        nothing_was_deleted(broken)
        checked = await runbook(webhook.config, "check", "cf")
    assert (run["outcome"], run["reason"]) == ("unproven", "exec-failed")
    assert "403" in run["detail"]
    assert checked.code == 3, checked
    assert "pods/exec" in checked.output


async def test_alerts_that_are_resolved_call_it_off(broken: Cf) -> None:
    """Resolved in the middle of the proof: nobody asks any more."""
    async with webhook_of(broken, **SLOW_CONFIRM) as webhook:
        fired = alert()
        await fire(webhook, fired)
        await webhook.reached("confirm-unreachable")
        status, _ = await webhook.notify(notification(resolved(fired)))
        assert status == 202
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("cancelled", "resolved")
    nothing_was_deleted(broken)


async def test_observe_decides_and_deletes_nothing(broken: Cf) -> None:
    """It says which pods it would have deleted."""
    async with webhook_of(broken, mode="observe") as webhook:
        await fire(webhook)
        run = await webhook.ended()
    assert run["outcome"] == "observed"
    assert {pod["name"]: pod["uid"] for pod in run["pods"]} == broken.originals
    assert not any(pod["deleted"] for pod in run["pods"])
    nothing_was_deleted(broken)


async def test_a_reload_to_observe_in_the_middle_of_the_proof(broken: Cf) -> None:
    """The run began in mode `auto`, and would delete: it is completed, and the mode of now counts."""
    async with webhook_of(broken, confirm={"attempts": 6, "interval": "3s"}) as webhook:
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        document = yaml.safe_load(webhook.config.read_text())
        document["remediation"]["mode"] = "observe"
        webhook.config.write_text(yaml.safe_dump(document))
        assert (await webhook.request("POST", "/-/reload"))[0] == 200
        run = await webhook.ended()
    assert (run["mode"], run["outcome"], run["reason"]) == ("auto", "observed", "observe")
    nothing_was_deleted(broken)


async def test_a_journal_that_was_deleted(broken: Cf) -> None:
    """The Lease remembers it, also for a webhook that is started afterwards: what was done before is not known."""
    lost = "diego_remediation_decisions_total{decision=refuse,foundation=cf,reason=journal-lost}"
    async with webhook_of(broken, mode="observe") as before:
        await fire(before)
        assert (await before.ended())["outcome"] == "observed"
    await broken.forget("configmap")
    async with webhook_of(broken) as webhook:
        for number in (1, 2, 3):
            assert (await webhook.notify(notification(alert())))[0] == 503
            assert (await webhook.metrics())[lost] == number
        assert await webhook.runs() == []
    nothing_was_deleted(broken)


async def test_an_api_server_that_hangs_proves_nothing(broken: Cf) -> None:
    """It stops answering in the middle of the proof, and comes back much later."""
    async with webhook_of(broken, **SLOW_CONFIRM) as webhook:
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        await broken.fault("api-hang")
        await asyncio.sleep(HANGS)
        await broken.fault("api-resume")
        run = await webhook.ended()
    assert (run["outcome"], run["reason"]) == ("unproven", "api-unreachable")
    nothing_was_deleted(broken)
    await asyncio.sleep(NODE_JUDGED)
