"""The real cluster as these tests use it: one foundation, mended after each test, with users of least privilege."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import audit
from tests.support.cluster import AWAY, PATIENCE, RealCluster, accepts, processes, until_endpoints_follow
from tests.support.programs import Webhook, until
from tests.support.rawkube import Json, RawKube

BBS_HOST = "10.96.0.89"  # the Service's address: from outside the cluster its name does not resolve
RIGHTS = [Path(__file__).parents[2] / "deploy" / "base" / name for name in ("accounts.yaml", "rbac.yaml")]
ACTIVE = "skiff-role-active"
DIEGO_API = "app.kubernetes.io/component=diego-api"


class Cf(RawKube):
    """The stand-in foundation on the real cluster."""

    core = "/api/v1/namespaces/cf"

    def __init__(self, cluster: RealCluster, folder: Path) -> None:
        super().__init__(cluster.kubeconfig)
        self.folder = folder
        self.bearer = secrets.token_urlsafe()
        self.token_file = folder / "token"
        self._cluster = cluster
        self._audited = len(cluster.audit())
        self._faults: set[str] = set()
        self.originals: dict[str, str] = {}  # the diego-api pods' UIDs by name, as the test found them
        self._addresses: dict[str, str] = {}  # and their addresses

    async def fault(self, name: str) -> None:
        self._faults.add(name)
        await self._cluster.fault(name)

    async def kubectl(self, *arguments: str, given: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *("kubectl", "--kubeconfig", str(self._cluster.kubeconfig), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(given.encode()), 60)
        assert process.returncode == 0, f"kubectl {arguments}: {said.decode()}"
        return said.decode()

    async def can_i(self, kubeconfig: Path, *question: str) -> bool:
        """What `kubectl auth can-i` says to a user: it exits with 1 for no."""
        process = await asyncio.create_subprocess_exec(
            *("kubectl", "--kubeconfig", str(kubeconfig), "auth", "can-i", "-n", "cf", *question),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, errors = await asyncio.wait_for(process.communicate(), 60)
        answers = {b"yes\n": True, b"no\n": False}
        assert said in answers, f"kubectl auth can-i {question}: {said.decode()} {errors.decode()}"
        return answers[said]

    def asked_by(self, user: str) -> list[audit.Event]:
        """What this user has asked for since the test began."""
        return audit.by(user, self._cluster.audit()[self._audited :])

    def deletions(self) -> list[audit.Deletion]:
        """The pods that the webhook deleted since the test began: the requests that were accepted."""
        return audit.accepted(audit.deletions(self.asked_by("diego-webhook")))

    async def pods(self, component: str = "diego-api") -> list[Json]:
        found = await self.found(f"{self.core}/pods", labelSelector=f"app.kubernetes.io/component={component}")
        items: list[Json] = found["items"]
        return items

    async def begin(self) -> None:
        """Notes what there is."""
        self.originals = await self.uids()
        self._addresses = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in await self.pods()}

    async def uids(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in await self.pods()}

    async def settled(self) -> bool:
        """All pods fully ready, exactly one of diego-api active, and the Service leads to it."""
        if not await self.ready():
            return False
        pods = await self.pods()
        active = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"].get(ACTIVE) == "true"]
        endpoints = await self.found(f"{self.core}/endpoints/diego-api")
        led_to = [
            address["targetRef"]["name"]
            for subset in endpoints.get("subsets") or []
            for address in subset.get("addresses") or []
        ]
        # kube-proxy follows the API, on a busy machine seconds later: an address that is listed may not be reached yet.
        return len(active) == 1 and led_to == active and await accepts(BBS_HOST)

    async def wedged(self) -> bool:
        """Both BBS have noticed that the lock database is gone."""
        logs = [await self.get(f"{self.core}/pods/{name}/log", container="diego-api") for name in self.originals]
        return all("lost the lock database" in log.text for log in logs)

    async def break_it(self, *, mended: bool = True) -> None:
        """The lock's database goes away, and comes back where it is `mended`: no BBS listens, and none will."""
        await self.fault("locket-db-down")
        await until(self.wedged, what="both BBS to be wedged", deadline=PATIENCE, every=0.2)
        if mended:
            await self.fault("locket-db-up")

    async def revive(self, pod: str) -> None:
        """The BBS of this pod starts again, without the API server: its container dies, and the kubelet restarts it."""
        (pid,) = processes("/cf/bbs.py", pod)
        os.kill(pid, signal.SIGKILL)

        async def listens() -> bool:
            return await accepts(self._addresses[pod])

        await until(listens, what=f"the BBS of {pod} to listen", deadline=PATIENCE, every=0.2)

    async def label(self, value: str) -> None:
        """Labels both diego-api pods by hand, where `freeze-label` keeps them from doing it themselves."""

        async def nobody_labels() -> bool:
            return not any(processes("/cf/ready.sh", name) for name in self.originals)

        await until(nobody_labels, what="the readiness probe that was under way")
        await self.kubectl("-n", "cf", "label", "pods", "-l", DIEGO_API, f"{ACTIVE}={value}", "--overwrite")

    async def all_listen(self) -> bool:
        """Every BBS accepts on its own address."""
        return all([await accepts(pod["status"]["podIP"]) for pod in await self.pods()])

    async def unreachable(self) -> bool:
        """Nothing accepts behind the Service."""
        return not await accepts(BBS_HOST)

    async def ready(self) -> bool:
        """Whether all pods are fully ready, whoever is active."""
        pods = await self.pods() + await self.pods("api")
        return len(pods) == 4 and all(map(_is_ready, pods))

    async def user(self, program: str, *, without: str = "") -> Path:
        """The kubeconfig of a program's service account, which may do what the shipped Roles allow and no more.

        `without` takes one resource out of them.
        """
        documents = [each for file in RIGHTS for each in yaml.safe_load_all(file.read_text())]
        for document in documents:
            if document["kind"] == "Role":
                document["rules"] = [rule for rule in document["rules"] if without not in rule["resources"]]
        await self.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(documents))
        answer = await self.request(
            "POST",
            f"/api/v1/namespaces/diego-medic/serviceaccounts/{program}/token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
        assert answer.code == 201, answer
        document = yaml.safe_load(self._cluster.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": answer.json["status"]["token"]}
        path = self.folder / f"{program}.kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    def config(self, kubeconfig: Path, **remediation: Any) -> Path:
        """A config for this foundation, with the default times; `remediation` overrides them, and the mode, auto."""
        self.token_file.write_text(self.bearer)
        document = {
            "foundations": [{"name": "cf", "kubeconfig": str(kubeconfig), "bbs": {"host": BBS_HOST}}],
            "remediation": {"mode": "auto"} | remediation,
            "webhook": {"bearer_token_file": str(self.token_file)},
        }
        path = self.folder / f"diego-{secrets.token_hex(3)}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def webhook(self, config: Path, *, stops_after: str = "") -> Webhook:
        """A webhook that is yet to be started, and knows the token; `stops_after`: see `support.stopping_webhook`."""
        stopping = "tests.support.stopping_webhook"
        webhook = Webhook(config, f"--stop-after={stops_after}", module=stopping) if stops_after else Webhook(config)
        webhook.headers = {"Authorization": f"Bearer {self.bearer}"}
        return webhook

    async def clear(self) -> None:
        """Undoes what the test has broken, and forgets the runs. Pods that are wedged stay so."""
        if self._faults:
            await self.fault("clear")
        if self._faults & AWAY:
            await until_endpoints_follow(self.request, self.core)
        await self.forget("configmap", "lease")

    async def forget(self, *kinds: str) -> None:
        """Deletes what the webhook has on record."""
        await self.kubectl("-n", "cf", "delete", "--ignore-not-found", *(f"{kind}/{audit.JOURNAL}" for kind in kinds))

    async def restart(self) -> None:
        """Restarts the diego-api pods."""
        await self.kubectl("-n", "cf", "delete", "pods", "--wait=false", "-l", DIEGO_API)
        await self.until_settled()

    async def until_settled(self) -> None:
        await until(self.settled, what="the foundation to be whole", deadline=PATIENCE, every=0.2)

    async def mend(self) -> None:
        """Undoes what the test has broken, and restarts the pods if one of them may be wedged."""
        await self.clear()
        if "locket-db-down" in self._faults and set(self.originals.values()) & set((await self.uids()).values()):
            await self.restart()
        await self.until_settled()


def _is_ready(pod: Json) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    ready = len(statuses) == 2 and all(status["ready"] for status in statuses)
    return ready and "deletionTimestamp" not in pod["metadata"]


@pytest.fixture
async def cf(real_cluster: RealCluster, tmp_path: Path) -> AsyncIterator[Cf]:
    """The foundation, healthy when the test begins, and again when it has ended."""
    async with Cf(real_cluster, tmp_path) as cf:
        await cf.until_settled()
        await cf.begin()
        yield cf
        await cf.mend()


@pytest.fixture(scope="module")
def mended_at_last(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Restarts what the tests of a module leave broken for each other."""
    yield

    async def mend() -> None:
        async with Cf(real_cluster, tmp_path_factory.mktemp("cf")) as cf:
            await cf.restart()

    asyncio.run(mend())


@pytest.fixture
async def broken(real_cluster: RealCluster, tmp_path: Path, mended_at_last: None) -> AsyncIterator[Cf]:
    """The incident, shared by the tests of a module: both BBS are wedged, and the lock database is back.

    Only for tests that restart no pod. Where one fails to keep to that, the foundation is whole and broken once more.
    """
    async with Cf(real_cluster, tmp_path) as cf:
        await until(cf.ready, what="all pods to be ready", deadline=PATIENCE, every=0.2)
        await cf.begin()
        if not await cf.wedged():
            await cf.until_settled()
            await cf.break_it()
        yield cf
        await cf.clear()
        if await cf.uids() != cf.originals:
            await cf.restart()
