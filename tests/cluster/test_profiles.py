"""Each profile in an incident of its own on a real Kubernetes, with the real Prometheus and Alertmanager.

All foundations break at once, and one exporter, one webhook, one Prometheus and one Alertmanager serve them all. The
config names the profiles and none of their values. `beside` is the cluster's own foundation, which stays healthy.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from exporter.config.profiles import PROFILES
from tests.cluster.conftest import PATIENCE, Cf
from tests.cluster.scenes import FAST
from tests.cluster.shapes import SHAPES, Json, Shape
from tests.cluster.standing import Standing, standing
from tests.support import audit
from tests.support.cluster import RealCluster
from tests.support.incidents import STEPS
from tests.support.inside import inside
from tests.support.programs import Server, Webhook, until
from tests.support.prometheus import Prometheus, alerting

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

BESIDE = "beside"
REFUSED, NO_NAME = "Connection refused", "Name or service not known"
ASKING = {"DiegoBBSUnreachable", "DiegoNoActiveLeader"}
READ_IN_THE_MORNING = {"DiegoRemediationRecovered"}
GAUGES = ("diego_bbs_tcp_reachable", "diego_bbs_active_leaders", "diego_bbs_serving_pods")

each_wedged = pytest.mark.parametrize("name", ["kubecf", "scf", "cfee-1", "cfee-2-late"])


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of one foundation."""

    shape: Shape
    before: dict[str, str]
    """The UIDs of the pods that the profile may restart, by name, in its order."""
    after: list[Json]
    """The diego-api pods at the end."""
    uids: dict[str, str]
    runs: list[Json]
    broken: float | None
    """For how many seconds nobody led, by the exporter's gauges in Prometheus."""
    alerted: float | None
    """The same of the alerts that ask for a restart."""

    @property
    def run(self) -> Json:
        (run,) = self.runs
        return run

    @property
    def proof(self) -> str:
        """What the Cloud Controller said before the restart."""
        return next(str(step["detail"]) for step in self.run["steps"] if step["name"] == "confirm-unreachable")


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of all of them."""

    foundations: dict[str, Seen]
    asked: list[audit.Event]
    """What the webhook has asked of the API server."""
    beside: list[float | None]
    """The lowest value that each gauge of `beside` had, and the highest."""
    beside_alerted: float | None
    beside_runs: list[Json]
    beside_uids: tuple[dict[str, str], dict[str, str]]

    def deleted(self, name: str) -> list[str]:
        """The pods of a foundation, by name, in the order in which they were deleted, as often as they were."""
        names = {uid: pod for pod, uid in self.foundations[name].before.items()}
        accepted = audit.accepted(audit.deletions(self.asked))
        return [names[each.uid] for each in accepted if each.uid in names]

    def executed_in(self, name: str) -> set[tuple[str, str]]:
        """The pods, and their containers, from inside which the webhook has asked."""
        found = [each for each in self.asked if each["objectRef"].get("subresource") == "exec"]
        return {
            (each["objectRef"]["name"], _container_of(each["requestURI"]))
            for each in found
            if each["objectRef"]["namespace"] == name
        }


def _container_of(uri: str) -> str:
    (found,) = [word.removeprefix("container=") for word in uri.partition("?")[2].split("&") if "container=" in word]
    return found


def _gauges(name: str, leaders: int) -> dict[str, float | None]:
    vantage = ",vantage=exporter"
    return {f"{gauge}{{foundation={name}{vantage if gauge == GAUGES[0] else ''}}}": leaders for gauge in GAUGES}


@pytest.fixture(scope="module")
def played(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(_play(real_cluster, tmp_path_factory.mktemp("profiles")))


async def _play(cluster: RealCluster, folder: Path) -> Played:
    async with Cf(cluster, folder) as cf:
        await cf.until_settled()
        await cf.begin()
        try:
            async with standing(cf, SHAPES, cluster.run / "host" / "profiles") as (made, nameserver):
                config = _config([each.shape for each in made], cf)
                async with (
                    inside(cf.kubectl, folder, token=cf.bearer, config=config, nameserver=nameserver) as (
                        exporter,
                        webhook,
                    ),
                    alerting(
                        exporter=f"{exporter.host}:{exporter.port}",
                        webhook=f"{webhook.host}:{webhook.port}",
                        token_file=cf.token_file,
                        folder=folder,
                    ) as prometheus,
                ):
                    return await _incidents(cf, made, exporter, webhook, prometheus)
        finally:
            await cf.kubectl("-n", "cf", "delete", "--ignore-not-found", *_rights_beside())
            await cf.forget("configmap", "lease")


def _config(shapes: list[Shape], cf: Cf) -> Json:
    cf.token_file.write_text(cf.bearer)
    beside = {"name": BESIDE, "profile": "cfee-2", "namespace": "cf", "bbs": {"interval": "1s"}}
    return {
        "foundations": [*(each.config() for each in shapes), beside],
        "remediation": {"mode": "auto"} | FAST,
        "webhook": {"bearer_token_file": "/etc/diego-medic/secret/token"},
    }


def _rights_beside() -> list[str]:
    """The Roles for `beside`, which other tests would not expect in the namespace."""
    programs = ("diego-exporter", "diego-webhook")
    return [f"{kind}/{program}-{BESIDE}" for kind in ("role", "rolebinding") for program in programs]


async def _incidents(
    cf: Cf, made: list[Standing], exporter: Server, webhook: Webhook, prometheus: Prometheus
) -> Played:
    async with asyncio.TaskGroup() as group:
        for each in made:
            group.create_task(each.until_settled())
    names = [each.shape.namespace for each in made]
    healthy = {key: value for name in (*names, BESIDE) for key, value in _gauges(name, 1).items()}
    await exporter.until_metrics(healthy)
    for each in made:
        each.before = await each.uids()

    async def scraped() -> bool:
        return await prometheus.value(f'count({GAUGES[0]}{{vantage="exporter"}} == 1)') == len(names) + 1

    await until(scraped, what="the first scrape", every=0.5)
    assert await prometheus.firing() == set()
    assert await webhook.runs() == []

    async with asyncio.TaskGroup() as group:
        for each in made:
            fault = each.hang_locket if each.shape.namespace == "cfee-1-locket" else each.lose_the_database
            group.create_task(fault())

    async def ended() -> bool:
        """A run for each foundation, that is over, unless one has failed: then there is nothing to wait for."""
        runs = await webhook.runs()
        return {each["foundation"] for each in runs if each["outcome"]} >= {*names}

    async def quiet() -> bool:
        return await prometheus.firing_for() == dict.fromkeys(names, READ_IN_THE_MORNING)

    await until(ended, what="the runs to end", deadline=2 * PATIENCE, every=0.5)
    await exporter.until_metrics(healthy)
    await until(quiet, what="no alerts but that all have recovered", deadline=PATIENCE, every=0.5)
    async with asyncio.TaskGroup() as group:
        for each in made:
            group.create_task(each.until_settled())
    runs = await webhook.runs()
    return Played(
        foundations={each.shape.namespace: await _seen(each, runs, prometheus) for each in made},
        asked=cf.asked_by("diego-webhook"),
        beside=[
            await prometheus.value(f"{side}_over_time({_gauge(gauge, BESIDE)}[10m])")
            for gauge in GAUGES
            for side in ("min", "max")
        ],
        beside_alerted=await prometheus.value(_seconds_alerted(BESIDE)),
        beside_runs=[each for each in runs if each["foundation"] == BESIDE],
        beside_uids=(cf.originals, await cf.uids()),
    )


async def _seen(standing: Standing, runs: list[Json], prometheus: Prometheus) -> Seen:
    name = standing.shape.namespace
    return Seen(
        shape=standing.shape,
        before=standing.before,
        after=await standing.pods("diego-api"),
        uids=await standing.uids(),
        runs=[each for each in runs if each["foundation"] == name],
        broken=await prometheus.value(_seconds_broken(name)),
        alerted=await prometheus.value(_seconds_alerted(name)),
    )


def _gauge(name: str, foundation: str) -> str:
    vantage = ',vantage="exporter"' if name == GAUGES[0] else ""
    return f'{name}{{foundation="{foundation}"{vantage}}}'


def _seconds_broken(foundation: str) -> str:
    all_at_once = " and on (foundation) ".join(f"({_gauge(each, foundation)} == 0)" for each in GAUGES)
    return f"sum(count_over_time(({all_at_once})[10m:1s]))"


def _seconds_alerted(foundation: str) -> str:
    alerts = f'ALERTS{{alertstate="firing",alertname=~"{"|".join(sorted(ASKING))}",foundation="{foundation}"}}'
    return f"sum(count_over_time({alerts}[10m]))"


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
