"""A journal that is lost, unreadable, or of another foundation: nothing is deleted until a person says so."""

import asyncio
import json
from collections.abc import Callable

import pytest

from sandbox.cluster.resources import CONFIGMAPS
from sandbox.sandbox import Sandbox
from tests.support import audit
from tests.support.incidents import (
    alert,
    assert_nothing_deleted,
    assert_recovered,
    boxed,
    break_it,
    config,
    deletions,
    fire,
    incident,
    journal,
    notification,
    patch,
    settled,
    uids,
)
from tests.support.programs import DEADLINE, Json, runbook, serving
from tests.support.traps import at_delete
from webhook.record.encoding import encode
from webhook.record.journal import Journal

SOON = {"retry": "100ms"}
LOST = "diego_remediation_decisions_total{decision=refuse,foundation=cf,reason=journal-lost}"


async def test_a_journal_of_another_foundation() -> None:
    async with boxed() as box:
        before = uids(box)
        await break_it(box)
        theirs = {"foundation": "other", "journal.json": json.dumps({"foundation": "other", "version": 1})}
        box.cluster.create(CONFIGMAPS, box.namespace, {"metadata": {"name": audit.JOURNAL}, "data": theirs})
        async with serving(box.write_config(config(box))) as webhook:
            assert (await webhook.notify(notification(alert())))[0] == 503
            refused = "diego_remediation_decisions_total{decision=refuse,foundation=cf,reason=foreign-journal}"
            await webhook.until_metrics({refused: 1})
            checked = await runbook(webhook.config, "check", "cf")
            assert "is the journal of foundation other" in checked.output
            assert (await runbook(webhook.config, "reset", "cf")).code == 3
            assert audit.requests(box.audit) <= {"get pods/exec api-0", "get pods/exec api-1"}

            box.cluster.registry.delete(CONFIGMAPS, box.namespace, audit.JOURNAL)
            await fire(webhook)
            assert (await webhook.ended())["outcome"] == "recovered"
            assert_recovered(box, before)


def delete_journal(box: Sandbox) -> None:
    box.cluster.registry.delete(CONFIGMAPS, box.namespace, audit.JOURNAL)


def scribble(box: Sandbox) -> None:
    patch(box, audit.JOURNAL, {"data": {"journal.json": "{garbage"}}, resource=CONFIGMAPS)


def of_the_future(box: Sandbox) -> None:
    text = json.dumps(journal(box) | {"version": 99})
    patch(box, audit.JOURNAL, {"data": {"journal.json": text}}, resource=CONFIGMAPS)


@pytest.mark.parametrize(
    "lose", [delete_journal, scribble, of_the_future], ids=["gone", "garbage", "of another version"]
)
async def test_a_lost_journal(lose: Callable[[Sandbox], None]) -> None:
    """Gone while it was known, or unreadable: nothing is done until a person runs `reset`."""
    async with incident(remediation=SOON, broken=False) as (box, webhook, before):
        await fire(webhook)
        assert (await webhook.ended())["outcome"] == "not-needed"
        lose(box)
        await break_it(box)
        assert (await webhook.notify(notification(alert())))[0] == 503
        assert (await webhook.metrics())[LOST] == 1
        assert_nothing_deleted(box, before)

        reset = await runbook(webhook.config, "reset", "cf")
        assert reset.code == 0, reset
        await fire(webhook)
        assert (await webhook.ended())["outcome"] == "recovered"
        assert_recovered(box, before)


def replace_journal(box: Sandbox) -> None:
    delete_journal(box)
    data = {"foundation": "cf", "journal.json": encode(Journal(foundation="cf"))}
    box.cluster.create(CONFIGMAPS, box.namespace, {"metadata": {"name": audit.JOURNAL}, "data": data})


@pytest.mark.parametrize("lose", [delete_journal, replace_journal], ids=["gone", "replaced"])
async def test_a_journal_that_is_lost_while_no_process_runs(lose: Callable[[Sandbox], None]) -> None:
    """The Lease remembers it: for the next process the foundation is not one that was never acted on."""
    async with boxed() as box:
        path = box.write_config(config(box, remediation=SOON))
        before = uids(box)
        async with serving(path) as webhook:
            await fire(webhook)
            assert (await webhook.ended())["outcome"] == "not-needed"
        lose(box)
        await break_it(box)
        async with serving(path) as webhook:
            assert (await webhook.notify(notification(alert())))[0] == 503
            assert (await webhook.metrics())[LOST] == 1
            assert_nothing_deleted(box, before)

            assert (await runbook(path, "reset", "cf")).code == 0
            await fire(webhook)
            assert (await webhook.ended())["outcome"] == "recovered"
            assert_recovered(box, before)


async def test_a_foundation_that_was_never_acted_on_has_no_journal_and_none_is_lost() -> None:
    """The control: with neither a ConfigMap nor a Lease a run starts, and the ConfigMap is created first."""
    async with incident() as (box, webhook, before):
        await fire(webhook)
        assert (await webhook.ended())["outcome"] == "recovered"
        assert_recovered(box, before)
        created = [each["objectRef"]["resource"] for each in box.audit if each["verb"] == "create"]
        assert [kind for kind in created if kind in {"configmaps", "leases"}] == ["configmaps", "leases"]


async def test_a_journal_that_is_lost_in_mid_run() -> None:
    """Nothing is known of the run any more: nothing more is deleted, neither now nor after `reset`."""
    quick = SOON | {"cooldown": "0s"}
    async with incident(remediation=quick, together=False) as (box, webhook, before):
        trap = at_delete(box, 1, lambda: delete_journal(box))
        await fire(webhook)
        await asyncio.wait_for(trap.sprung.wait(), DEADLINE)
        await settled(box, whole_again(before))
        assert (await webhook.notify(notification(alert())))[0] == 503

        assert (await runbook(webhook.config, "reset", "cf")).code == 0
        assert [each.uid for each in deletions(box)] == [before["diego-api-0"]]
        await webhook.until_metrics({"diego_remediation_run_in_progress{foundation=cf}": 0})
        assert await webhook.runs() == []
        await fire(webhook)
        assert (await webhook.ended())["outcome"] == "not-needed"


def whole_again(before: dict[str, str]) -> Callable[[list[Json]], bool]:
    """Whether the first pod is a new one and leads."""
    return lambda pods: pods[0]["uid"] != before["diego-api-0"] and pods[0]["active"] == "true"
