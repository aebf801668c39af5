"""Each profile in its own incident: the exporter sees it, the webhook proves and repairs it, and the exporter agrees.

The config has the name of the profile and no value of it: names of Services and StatefulSets, the container, the label
and the order are the profile's. The programs resolve the Service's name as they would in the cluster.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from exporter.config.profiles import PROFILES
from exporter.kubernetes.objects import ORDERED_READY
from sandbox.cluster.foundation import ActiveLabel, Foundation
from sandbox.cluster.objects import condition, labels_of, name_of, uid_of
from sandbox.cluster.resources import PODS
from sandbox.cluster.store import Change
from sandbox.sandbox import Sandbox
from tests.support.incidents import (
    FAST,
    assert_nothing_deleted,
    boxed,
    break_it,
    deletions,
    diego_api,
    fire,
    settled,
    uids,
    whole,
)
from tests.support.programs import Json, Server, Webhook, running, until

REFUSED, NO_NAME = "refused", "dns"
WORDS = {REFUSED: "Connection refused", NO_NAME: "Name or service not known"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What stands in the cluster, and what is particular to the profile. `proof` is the result of a probe by name."""

    foundation: Foundation
    proof: str = REFUSED
    order: tuple[str, ...] = ("diego-api",)
    api_pods: tuple[str, ...] = ("api-0", "api-1")
    passive: dict[str, str] | None = None
    """The label of a pod that does not lead; None: it has none."""


SKIFF = {"skiff-role-active": "false"}
QUARKS = ActiveLabel(key="quarks.cloudfoundry.org/pod-active", active="active", passive=None)
BEFORE_2_0 = Foundation(locket="diego-locket")
CASES = {
    "cfee-2": Case(foundation=Foundation(), passive=SKIFF),
    "cfee-1": Case(foundation=BEFORE_2_0, order=("diego-locket", "diego-api"), passive=SKIFF),
    "cfee-2-late": Case(
        foundation=Foundation(service="diego-api-set", headless=True, cloud_controller="api-group"),
        proof=NO_NAME,
        api_pods=("api-group-0", "api-group-1"),
        passive=SKIFF,
    ),
    "scf": Case(
        foundation=Foundation(service="diego-api-bbs", pod_management=ORDERED_READY),
        passive=SKIFF,
    ),
    "kubecf": Case(foundation=Foundation(headless=True, active_label=QUARKS), proof=NO_NAME),
}
REACHABLE = "diego_bbs_tcp_reachable{foundation=cf,vantage=exporter}"


def probed(result: str, vantage: str = "exporter") -> str:
    return f"diego_bbs_probes_total{{foundation=cf,result={result},vantage={vantage}}}"


async def until_probed(exporter: Server, result: str) -> None:
    """Until the exporter has had this result: the one before it may be of a moment in between."""

    async def has() -> bool:
        return (await exporter.metrics())[probed(result)] > 0

    await until(has, what=f"a probe with the result {result}")


def seen(leaders: int) -> dict[str, float | None]:
    """What the exporter exports while so many BBSes lead."""
    return {
        REACHABLE: leaders,
        "diego_bbs_active_leaders{foundation=cf}": leaders,
        "diego_bbs_serving_pods{foundation=cf}": leaders,
        "diego_kubernetes_synced{foundation=cf}": 1,
    }


class Stage(NamedTuple):
    box: Sandbox
    exporter: Server
    webhook: Webhook


@asynccontextmanager
async def stage(foundation: Foundation, profile: str, *, remediation: Json | None = None) -> AsyncIterator[Stage]:
    """A healthy foundation, with an exporter and a webhook that go by the profile."""
    async with boxed(foundation) as box:
        box.publish_names()
        own: Json = {"name": "cf", "profile": profile, "kubeconfig": str(box.kubeconfig), "staleness": "20s"}
        own["bbs"] = {"interval": "500ms", "timeout": "500ms"}
        path = box.write_config({"foundations": [own], "remediation": FAST | (remediation or {})})
        exporter = Server("tests.support.named", path, "--program", "exporter.main")
        webhook = Webhook(path, "--program", "webhook.main", module="tests.support.named")
        async with running(exporter), running(webhook):
            yield Stage(box, exporter, webhook)


def labels_of_passive(box: Sandbox, key: str) -> list[dict[str, str]]:
    """This label of each pod that does not lead."""
    passive = {pod["name"] for pod in diego_api(box) if not pod["serving"]}
    pods = [pod for pod in box.cluster.store.all(PODS, box.namespace) if name_of(pod) in passive]
    return [{name: value for name, value in labels_of(pod).items() if name == key} for pod in pods]


def watch_the_second(box: Sandbox, before: dict[str, str]) -> list[bool]:
    """Whether the new diego-api-0 was ready when diego-api-1 was created anew."""
    found: list[bool] = []
    created = set(before.values())

    def record(change: Change) -> None:
        if change.resource is PODS and name_of(change.object) == "diego-api-1" and uid_of(change.object) not in created:
            created.add(uid_of(change.object))
            first = box.cluster.store.get(PODS, box.namespace, "diego-api-0")
            new = first is not None and uid_of(first) != before["diego-api-0"]
            found.append(bool(first is not None and new and condition(first, "Ready")))

    box.cluster.store.subscribe(record)
    return found


def test_every_profile_has_its_case() -> None:
    assert CASES.keys() == PROFILES.keys()


@pytest.mark.parametrize("profile", CASES)
async def test_the_incident(profile: str) -> None:
    case = CASES[profile]
    label = case.foundation.active_label
    async with stage(case.foundation, profile) as (box, exporter, webhook):
        found = await exporter.until_metrics(seen(1))
        assert [found[probed(result)] for result in WORDS] == [0, 0]
        assert labels_of_passive(box, label.key) == [case.passive or {}]
        before = {name: uids(box, name) for name in case.order}
        ready_first = watch_the_second(box, before["diego-api"])

        await break_it(box, active=label.active)
        await exporter.until_metrics(seen(0))
        await until_probed(exporter, case.proof)
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("recovered", "")
        (proved,) = [step["detail"] for step in run["steps"] if step["name"] == "confirm-unreachable"]
        assert WORDS[case.proof] in proved
        assert all(f"{pod}: nc: " in proved for pod in case.api_pods), proved
        assert [each.uid for each in deletions(box)] == [uid for name in case.order for uid in before[name].values()]
        if case.foundation.pod_management == ORDERED_READY:  # with Parallel, either may be first
            assert ready_first == [True]
        assert whole(box, active=label.active)
        await exporter.until_metrics(seen(1))
        assert labels_of_passive(box, label.key) == [case.passive or {}]


async def test_cfee_1_spares_diego_api_where_locket_was_enough() -> None:
    """Locket hangs: nobody leads, and who gets a new Locket leads again without a restart."""
    patient = {"confirm": {"attempts": 10, "interval": "500ms"}}
    async with stage(BEFORE_2_0, "cfee-1", remediation=patient) as (box, exporter, webhook):
        await exporter.until_metrics(seen(1))
        lockets, spared = uids(box, "diego-locket"), uids(box)
        box.fault("locket-hang")
        await settled(box, lambda pods: not any(pod["active"] == "true" for pod in pods))
        await exporter.until_metrics(seen(0))
        await fire(webhook)

        assert (await webhook.ended())["outcome"] == "recovered"
        assert [each.uid for each in deletions(box)] == [*lockets.values()]
        assert uids(box) == spared
        await exporter.until_metrics(seen(1))


async def test_a_name_that_no_service_has_proves_nothing() -> None:
    """Profile `scf` where the Service is `diego-api`, as in SCF's earlier versions: unknown, and nothing is deleted."""
    async with stage(Foundation(pod_management=ORDERED_READY), "scf") as (box, exporter, webhook):
        before = uids(box)
        await break_it(box)
        await exporter.until_metrics(seen(0) | {REACHABLE: None})
        await until_probed(exporter, NO_NAME)
        await fire(webhook)

        run = await webhook.ended()
        assert (run["outcome"], run["reason"]) == ("unproven", "name-unknown")
        assert_nothing_deleted(box, before)
