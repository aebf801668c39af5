"""The incidents of all profiles, played at once on the real cluster, and what came of them.

One exporter, one webhook, one Prometheus and one Alertmanager serve all foundations. The config names the profiles and
none of their values. `beside` is the cluster's own foundation, which stays healthy.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.conftest import Cf
from tests.cluster.scenes import FAST
from tests.cluster.shapes import SHAPES, Json, Shape
from tests.cluster.standing import Standing, standing
from tests.support import audit
from tests.support.cluster import PATIENCE, RealCluster
from tests.support.inside import inside
from tests.support.programs import Server, Webhook, until
from tests.support.prometheus import Prometheus, alerting

BESIDE = "beside"
ASKING = {"DiegoBBSUnreachable", "DiegoNoActiveLeader"}
READ_IN_THE_MORNING = {"DiegoRemediationRecovered"}
GAUGES = ("diego_bbs_tcp_reachable", "diego_bbs_active_leaders", "diego_bbs_serving_pods")


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


async def play(cluster: RealCluster, folder: Path) -> Played:
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
        """A run of each foundation is over."""
        runs = await webhook.runs()
        return {each["foundation"] for each in runs if each["outcome"]} >= {*names}

    async def quiet() -> bool:
        return await prometheus.firing_for() == dict.fromkeys(names, READ_IN_THE_MORNING)

    await until(ended, what="the runs to end", deadline=2 * PATIENCE, every=0.5)
    runs = await webhook.runs()
    if {each["outcome"] for each in runs} == {"recovered"}:
        await exporter.until_metrics(healthy)
        await until(quiet, what="no alerts but that all have recovered", deadline=PATIENCE, every=0.5)
        async with asyncio.TaskGroup() as group:
            for each in made:
                group.create_task(each.until_settled())
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
