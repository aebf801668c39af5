"""The foundation recovers: what is deleted, what is written, and what is reported."""

from sandbox.cluster.foundation import Foundation
from tests.support.incidents import (
    BOOKS,
    COURTESY,
    STEPS,
    THE_PODS,
    assert_recovered,
    break_it,
    deletions,
    events,
    fire,
    incident,
    journal,
    told,
    uids,
    whole,
    writes,
)
from tests.support.programs import Json, runbook
from tests.support.traps import at_delete


async def test_the_foundation_recovers() -> None:
    """Both pods go, each once, by its UID; new ones come, one of them leads, and the Cloud Controller reaches it."""
    async with incident() as (box, webhook, before):
        await fire(webhook)

        run = await webhook.ended()

        assert (run["outcome"], run["reason"]) == ("recovered", "")
        assert [(step["name"], step["result"]) for step in run["steps"]] == [(name, "ok") for name in STEPS]
        assert {pod["name"]: pod["uid"] for pod in run["pods"] if pod["deleted"]} == before
        assert_recovered(box, before)


async def test_nothing_is_written_that_the_contract_does_not_name() -> None:
    async with incident() as (box, webhook, _):
        await fire(webhook)
        await webhook.ended()
        assert await webhook.end() == 0  # it gives the lease back

        assert writes(box) == BOOKS | COURTESY | THE_PODS


async def test_the_intent_is_on_record_before_each_delete() -> None:
    """Each with the UIDs of all that are to go, and with the intents up to this one and no further."""
    seen: list[Json] = []
    async with incident(broken=False) as (box, webhook, before):
        for number in (1, 2):
            at_delete(box, number, lambda: seen.append(journal(box)["runs"][-1]))
        await break_it(box)
        await fire(webhook)
        await webhook.ended()

    assert [{pod["name"]: pod["uid"] for pod in run["pods"]} for run in seen] == [before, before]
    assert [[pod["intended_at"] is not None for pod in run["pods"]] for run in seen] == [[True, False], [True, True]]
    assert [[pod["state"] for pod in run["pods"]] for run in seen] == [["intended", "listed"], ["deleted", "intended"]]


async def test_metrics_events_and_evidence_tell_of_it() -> None:
    async with incident(broken=False) as (box, webhook, _):
        before = await webhook.metrics()
        await break_it(box)
        await fire(webhook)
        run = await webhook.ended()
        after = await webhook.metrics()

        changed = {name: after[name] - value for name, value in before.items() if after[name] != value}
        expected = {f"diego_remediation_steps_total{{foundation=cf,result=ok,step={step}}}": 1 for step in STEPS}
        expected["diego_remediation_runs_total{foundation=cf,outcome=recovered,runbook=restart-diego-api}"] = 1
        expected["diego_remediation_decisions_total{decision=run,foundation=cf,reason=asked}"] = 1
        expected["diego_webhook_alerts_total{reason=asks,status=firing}"] = 1
        expected["diego_webhook_notifications_total{code=202}"] = 1
        asked = "diego_bbs_probes_total{{foundation=cf,result={},vantage=cloud_controller}}"
        assert changed.pop(asked.format("refused")) >= 6
        assert (
            changed.pop(asked.format("success")) >= 4
        )  # and more, where the Service took a moment to follow the label
        counted = {name: value for name, value in changed.items() if name.partition("{")[0].endswith("_total")}
        counted = {name: value for name, value in counted.items() if name.startswith("diego_")}
        assert counted == expected
        assert after["diego_bbs_tcp_reachable{foundation=cf,vantage=cloud_controller}"] == 1
        assert after["diego_remediation_run_in_progress{foundation=cf}"] == 0
        assert after["diego_remediation_last_run_timestamp_seconds{foundation=cf,outcome=recovered}"] > 0

        await told(box, "RunEnded")
        told_of = sorted((kind, reason) for kind, reason, _ in events(box))  # a listing is by name, not by time
        assert told_of == [("Normal", "Restarted"), ("Normal", "RunEnded")]
        assert all(run["id"] in text for _, _, text in events(box))
        shown = await runbook(webhook.config, "show", run["id"])
        assert "lost the lock database" in shown.output
        assert [line for line in webhook.log if "lost the lock database" in line and run["id"] in line]


async def test_labels_that_lie_do_not_stop_it() -> None:
    """Both pods are labelled active, and neither of them listens: listeners decide, labels hint."""
    async with incident() as (box, webhook, before):
        box.fault("label-all")
        at_delete(box, 2, lambda: box.fault("thaw-label"))
        await fire(webhook)

        assert (await webhook.ended())["outcome"] == "recovered"
        assert_recovered(box, before)


async def test_evidence_that_can_not_be_had_is_no_reason_to_stop() -> None:
    async with incident(broken=False) as (box, webhook, before):
        box.deny("get", "pods/log")
        box.deny("create", "events")
        await break_it(box)
        await fire(webhook)

        run = await webhook.ended()
        assert run["outcome"] == "recovered"
        assert events(box) == []
        assert_recovered(box, before)


async def test_one_pod_after_another() -> None:
    """SCF's diego-api: the second pod is only created when the first is ready."""
    async with incident(Foundation(pod_management="OrderedReady", diego_api_replicas=3)) as (box, webhook, before):
        await fire(webhook)

        assert (await webhook.ended())["outcome"] == "recovered"
        assert len(before) == 3
        assert_recovered(box, before)


BEFORE_2_0 = Foundation(locket="diego-locket")


async def test_locket_goes_first_where_it_has_pods_of_its_own() -> None:
    async with incident(BEFORE_2_0, profile="cfee-1") as (box, webhook, before):
        lockets = uids(box, "diego-locket")
        awaited: list[dict[str, str]] = []
        at_delete(box, 3, lambda: awaited.append(uids(box, "diego-locket")))
        await fire(webhook)

        run = await webhook.ended()
        assert run["outcome"] == "recovered"
        assert [each.uid for each in deletions(box)] == [*lockets.values(), *before.values()]
        assert [step["name"] for step in run["steps"]][2:] == [
            "preserve-evidence",
            "restart",
            "await-ready",
            "restart",
            "await-ready",
            "verify-reachable",
        ]
        assert awaited[0].keys() == lockets.keys()
        assert not set(awaited[0].values()) & set(lockets.values())
        assert whole(box)


async def test_diego_api_is_spared_where_locket_was_enough() -> None:
    """The BBS comes back while Locket is waited for."""
    async with incident(BEFORE_2_0, profile="cfee-1", broken=False) as (box, webhook, before):
        lockets = uids(box, "diego-locket")

        def come_back() -> None:
            for pod in before:
                box.fault("crash", pod)

        at_delete(box, 2, come_back)
        await break_it(box)
        await fire(webhook)

        run = await webhook.ended()
        assert run["outcome"] == "recovered"
        assert [each.uid for each in deletions(box)] == [*lockets.values()]
        assert uids(box) == before
        assert {pod["state"] for pod in run["pods"] if pod["name"] in before} == {"spared"}
