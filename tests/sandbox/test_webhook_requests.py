"""Requests: who asks, how often and how late, and what becomes of it."""

import asyncio
import time
from datetime import datetime

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
    resolved,
    uids,
    whole,
)
from tests.support.programs import Json, Webhook, serving

OTHER = "DiegoNoActiveLeader"
WANTED = "diego_remediation_wanted{foundation=cf}"


def counted(reason: str, status: str = "firing") -> str:
    return f"diego_webhook_alerts_total{{reason={reason},status={status}}}"


def decided(decision: str, reason: str) -> str:
    return f"diego_remediation_decisions_total{{decision={decision},foundation=cf,reason={reason}}}"


async def test_two_hundred_notifications_at_once() -> None:
    """Of two alerts, in groups of many names: one run, and every one of them is on record before it is answered."""
    async with incident() as (box, webhook, before):
        alerts = (alert(), alert(OTHER))
        sent = [notification(alerts[number % 2], group=f'{{}}/{{route="{number}"}}:{{}}') for number in range(200)]
        answers = await asyncio.gather(*(webhook.notify(each) for each in sent))
        assert {status for status, _ in answers} == {202}

        run = await webhook.ended()
        assert run["outcome"] == "recovered"
        assert run["alerts"].keys() == {each["fingerprint"] for each in alerts}
        assert run["requested_by"] == "DiegoBBSUnreachable, DiegoNoActiveLeader"
        assert_recovered(box, before)
        await webhook.until_metrics({counted("asks"): 200, decided("run", "asked"): 1, WANTED: 0})
        assert len(await webhook.runs()) == 1


async def test_what_is_requested_while_a_run_is_in_progress_is_answered_by_it() -> None:
    slow = {"confirm": {"attempts": 12, "interval": "300ms"}, "cooldown": "0s"}
    async with incident(remediation=slow) as (box, webhook, _):
        await fire(webhook)
        await webhook.reached("confirm-unreachable")
        for name in ("DiegoBBSUnreachable", OTHER):
            _, said = await webhook.notify(notification(alert(name)))
            assert said["decisions"]["cf"].startswith("join: run ")

        run = await webhook.ended()
        assert run["outcome"] == "recovered"
        assert len(run["alerts"]) == 2
        await webhook.until_metrics({decided("join", "in-progress"): 2, WANTED: 0})
        assert journal(box)["request"] is None


async def test_late_duplicates() -> None:
    """A firing that is older than the `resolved` already seen asks for nothing; a new one does."""
    async with incident(remediation={"retry": "100ms"}) as (box, webhook, before):
        old = alert(ago=300)
        assert (await webhook.notify(notification(resolved(old))))[0] == 202
        for _ in range(3):
            assert (await webhook.notify(notification(old)))[0] == 200
        await webhook.until_metrics({counted("late-duplicate"): 3, counted("asks"): 0})
        assert await webhook.runs() == []
        assert_nothing_deleted(box, before)

        await fire(webhook, alert(ago=-1))
        assert (await webhook.ended())["outcome"] == "recovered"
        assert_recovered(box, before)


async def test_what_asks_for_nothing() -> None:
    """It is answered 200, counted with its reason, and not even looked at."""
    async with incident(broken=False) as (box, webhook, _):
        nothing: dict[str, Json] = {
            "no-remediation": alert(remediation=""),
            "unknown-foundation": alert(foundation="elsewhere"),
            "no-foundation": alert(foundation=""),
        }
        nothing["no-remediation"]["labels"].pop("remediation")
        for reason, each in nothing.items():
            assert await webhook.notify(notification(each)) == (200, {"status": 200, "decisions": {}})
            assert (await webhook.metrics())[counted(reason)] == 1
        assert (await webhook.notify(notification()))[0] == 200
        assert (journal(box)["runs"], journal(box)["request"]) == ([], None)
        assert (await webhook.metrics())["diego_webhook_notifications_total{code=200}"] == 4

        mixed = notification(*nothing.values(), alert())
        assert (await webhook.notify(mixed))[0] == 202
        assert (await webhook.ended())["outcome"] == "not-needed"


COOLING = {"cooldown": "8s"}


async def cooled_down(webhook: Webhook) -> None:
    """Waits for the end of the cooldown, and a second more, in which a run would start."""
    ends = (await webhook.metrics())["diego_remediation_cooldown_end_timestamp_seconds{foundation=cf}"]
    await asyncio.sleep(max(0.0, ends - time.time()) + 1)


async def again(webhook: Webhook, fired: Json) -> None:
    """The alert asks in the cooldown: it is wanted."""
    status, said = await webhook.notify(notification(fired))
    assert status == 202
    assert said["decisions"]["cf"].startswith("refuse: cooldown after a restart until ")
    await webhook.until_metrics({WANTED: 1, decided("refuse", "cooldown"): 1})


async def test_a_request_in_the_cooldown_runs_when_that_is_over() -> None:
    """Nobody asks again."""
    async with incident(remediation=COOLING, fast=True) as (box, webhook, _):
        await fire(webhook)
        first = await webhook.ended()
        assert first["outcome"] == "recovered"
        await break_it(box)
        before, done = uids(box), len(deletions(box))
        await again(webhook, alert())
        ends = (await webhook.metrics())["diego_remediation_cooldown_end_timestamp_seconds{foundation=cf}"]
        assert len(await webhook.runs()) == 1

        second = await webhook.ended(2)
        assert second["outcome"] == "recovered"
        assert datetime.fromisoformat(second["started"]).timestamp() >= ends
        assert {each.uid for each in deletions(box)[done:]} == set(before.values())
        assert whole(box)
        assert (await webhook.metrics())[WANTED] == 0


async def test_a_request_that_is_resolved_in_the_cooldown_is_dropped() -> None:
    async with incident(remediation=COOLING, fast=True) as (_, webhook, _):
        await fire(webhook)
        assert (await webhook.ended())["outcome"] == "recovered"
        fired, other = alert(), alert(OTHER)
        await again(webhook, fired)
        assert (await webhook.notify(notification(other)))[0] == 202
        assert (await webhook.notify(notification(resolved(fired))))[0] == 202
        await webhook.until_metrics({WANTED: 1})
        assert (await webhook.notify(notification(resolved(other))))[0] == 202
        await webhook.until_metrics({WANTED: 0})

        await cooled_down(webhook)
        assert len(await webhook.runs()) == 1


async def test_a_request_that_nobody_repeats_expires() -> None:
    """An alert that vanished without a word is not acted upon when the wait after a run is over."""
    forgetful = {"cooldown": "0s", "retry": "5s", "request_ttl": "1s"}
    async with incident(remediation=forgetful, broken=False, fast=True) as (box, webhook, _):
        await fire(webhook)
        await webhook.ended()  # it found nothing to repair
        status, _ = await webhook.notify(notification(alert()))
        assert status == 202
        await webhook.until_metrics({WANTED: 0})
        expired = "queued request expired: its alerts were not received for request_ttl"
        assert journal(box)["notes"][-1]["text"] == expired
        assert journal(box)["request"] is None
        assert len(await webhook.runs()) == 1


async def test_two_replicas() -> None:
    """One holds the lease and acts; what the other is told, it records for the one."""
    async with boxed() as box:
        path = box.write_config(config(box))
        before = uids(box)
        await break_it(box)
        async with serving(path) as one:
            await one.until_metrics({"diego_webhook_leader{foundation=cf}": 1})
            async with serving(path) as other:
                await fire(other)
                run = await other.ended()
                assert run["outcome"] == "recovered"
                assert_recovered(box, before)
                ran = "diego_remediation_runs_total{foundation=cf,outcome=recovered,runbook=restart-diego-api}"
                assert (await one.metrics())[ran] == 1
                found = await other.metrics()
                assert found[ran] == 0
                assert found["diego_webhook_leader{foundation=cf}"] == 0
                last = "diego_remediation_last_run_timestamp_seconds{foundation=cf,outcome=recovered}"
                assert found[last] == (await one.until_metrics({last: found[last]}))[last]
                assert run["id"] in (await one.get("/api/v1/runs"))[1]


async def test_several_foundations() -> None:
    """A dead API server of one is no matter to another."""
    async with boxed() as one, boxed() as two:
        document = config(one)
        document["foundations"] += [each | {"name": "second"} for each in config(two)["foundations"]]
        before, untouched = uids(two), uids(one)
        await break_it(two)
        async with serving(one.write_config(document)) as webhook:
            one.fault("api-hang")
            both = notification(alert(), alert(foundation="second"))
            status, said = await webhook.notify(both)
            assert status == 503  # and so Alertmanager sends both again
            assert said["decisions"]["second"].startswith("run")
            run = await webhook.ended()
            assert (run["foundation"], run["outcome"]) == ("second", "recovered")
            assert_recovered(two, before)
            one.fault("api-resume")
            status, said = await webhook.notify(both)
            assert status == 202
            assert said["decisions"]["second"].startswith("refuse: cooldown")
            run = await webhook.ended(2)
            assert (run["foundation"], run["outcome"]) == ("cf", "not-needed")
            assert uids(one) == untouched
