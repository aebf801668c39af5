"""Each profile in an incident of its own on a real Kubernetes, with the real Prometheus and Alertmanager.

What happens is in `incidents`, once for all of these tests.
"""

import asyncio
from datetime import datetime

import pytest

from exporter.config.profiles import PROFILES
from tests.cluster.incidents import ASKING, GAUGES, Played, play
from tests.cluster.shapes import SHAPES
from tests.support import audit
from tests.support.cluster import RealCluster
from tests.support.incidents import STEPS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

REFUSED, NO_NAME = "Connection refused", "Name or service not known"
each_wedged = pytest.mark.parametrize("name", ["kubecf", "scf", "cfee-1", "cfee-2-late"])


@pytest.fixture(scope="module")
def played(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(play(real_cluster, tmp_path_factory.mktemp("profiles")))


def test_every_profile_has_its_case() -> None:
    assert {each.profile for each in SHAPES} | {"cfee-2"} == PROFILES.keys()


@each_wedged
def test_the_incident(played: Played, name: str) -> None:
    """Seen, alerted, proved, repaired and verified; each pod that the profile restarts was deleted once, in order."""
    seen = played.foundations[name]
    assert seen.broken, "the exporter's gauges"
    assert seen.alerted, "Prometheus"
    assert (seen.run["outcome"], seen.run["reason"]) == ("recovered", "")
    assert [step["name"] for step in seen.run["steps"]][:3] == STEPS[:3]
    assert seen.run["steps"][-1]["name"] == STEPS[-1]
    assert all(step["result"] == "ok" for step in seen.run["steps"])
    assert set(ASKING) & set(seen.run["requested_by"].split(", ")), "and nobody else"
    assert {(pod["name"], pod["uid"]) for pod in seen.run["pods"] if pod["deleted"]} == set(seen.before.items())

    deleted = played.deleted(name)
    assert sorted(deleted) == sorted(seen.before)
    assert list(dict.fromkeys(pod.rpartition("-")[0] for pod in deleted)) == [*seen.shape.restarted]
    assert seen.uids.keys() == seen.before.keys()
    assert not set(seen.uids.values()) & set(seen.before.values())


@pytest.mark.parametrize(
    ("name", "words", "asked"),
    [
        ("kubecf", NO_NAME, {(f"api-{n}", "cloud-controller-ng-cloud-controller-ng") for n in (0, 1)}),
        ("scf", REFUSED, {(f"api-{n}", "api") for n in (0, 1)}),
        ("cfee-1", REFUSED, {("api-0", "api")}),
        ("cfee-1-locket", REFUSED, {("api-0", "api")}),
        ("cfee-2-late", NO_NAME, {(f"api-group-{n}", "api-group") for n in (0, 1)}),
    ],
)
def test_the_proof(played: Played, name: str, words: str, asked: set[tuple[str, str]]) -> None:
    """By `nc` in each pod of the Cloud Controller, in the container that the profile or the pod's form gives."""
    proof = played.foundations[name].proof
    assert words in proof
    assert all(f"{pod}: nc: " in proof for pod, _ in asked), proof
    assert played.executed_in(name) == asked


@pytest.mark.parametrize("name", ["kubecf", "scf"])
def test_one_after_another(played: Played, name: str) -> None:
    """OrderedReady: the second new pod is of a moment when the first was ready."""
    first, second = played.foundations[name].after
    (ready,) = [each for each in first["status"]["conditions"] if each["type"] == "Ready"]
    assert ready["status"] == "True"
    created = datetime.fromisoformat(second["metadata"]["creationTimestamp"])
    assert created >= datetime.fromisoformat(ready["lastTransitionTime"])


@pytest.mark.parametrize("name", ["kubecf", "scf", "cfee-1", "cfee-1-locket", "cfee-2-late"])
def test_the_active_label(played: Played, name: str) -> None:
    """One pod is active again; the other has no label where an operator writes it, and `false` else."""
    seen = played.foundations[name]
    key, active = seen.shape.label
    labels = [pod["metadata"]["labels"].get(key) for pod in seen.after]
    passive = None if seen.shape.by_operator else "false"
    assert sorted(labels, key=str) == sorted([active, passive], key=str)


def test_cfee_1_spares_diego_api_where_locket_was_enough(played: Played) -> None:
    """The control of `cfee-1`: Locket kept the lock of a dead BBS, and another took it when Locket was restarted."""
    seen = played.foundations["cfee-1-locket"]
    assert seen.broken
    assert seen.alerted
    assert (seen.run["outcome"], seen.run["reason"]) == ("recovered", "")
    lockets = [pod for pod in seen.before if pod.startswith("diego-locket-")]
    assert sorted(played.deleted("cfee-1-locket")) == sorted(lockets)
    kept = {pod for pod, uid in seen.uids.items() if uid == seen.before[pod]}
    assert kept == {"diego-api-0", "diego-api-1"}


def test_a_healthy_foundation_beside_them_is_untouched(played: Played) -> None:
    """The control of all: the same alerts, exporter and webhook; nobody asked in it, and nothing was deleted."""
    assert played.beside == [1.0] * 2 * len(GAUGES)
    assert played.beside_alerted is None
    assert played.beside_runs == []
    before, after = played.beside_uids
    assert before == after
    assert played.executed_in("cf") == set()


def test_no_other_pod_was_deleted(played: Played) -> None:
    """Of all that the webhook has deleted, each is of a list of its run, by its UID, and none was asked for twice."""
    listed = {pod["uid"] for seen in played.foundations.values() for pod in seen.run["pods"] if pod["deleted"]}
    accepted = [each.uid for each in audit.accepted(audit.deletions(played.asked))]
    assert len(accepted) == len(set(accepted))
    assert set(accepted) == listed
