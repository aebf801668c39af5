"""The real cluster as these tests use it: one foundation, mended after each test, with users of least privilege."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import audit
from tests.support.cluster import RealCluster
from tests.support.programs import Webhook, until
from tests.support.rawkube import Json, RawKube

BBS_HOST = "10.96.0.89"  # the Service's address: from outside the cluster its name does not resolve
READ = ("get", "list", "watch")


def rules(*, with_exec: bool = True) -> dict[str, list[Json]]:
    """The Roles of the two programs, with nothing that they can do without."""
    reading = [
        {"apiGroups": [""], "resources": ["pods", "services", "endpoints"], "verbs": READ},
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": READ},
    ]
    api_pods, diego_api_pods = ["api-0", "api-1"], ["diego-api-0", "diego-api-1"]
    journal = [audit.JOURNAL]
    acting = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"], "resourceNames": diego_api_pods},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps", "events"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "update"], "resourceNames": journal},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "update"],
            "resourceNames": journal,
        },
    ]
    asking = [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"], "resourceNames": api_pods}]
    return {"diego-exporter": reading, "diego-webhook": reading + acting + (asking if with_exec else [])}


ACTIVE = "skiff-role-active"


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
        self._broken = False
        self.originals: dict[str, str] = {}  # the diego-api pods' UIDs by name, as the test found them

    async def fault(self, name: str) -> None:
        self._broken = True
        await self._cluster.fault(name)

    async def kubectl(self, *arguments: str, given: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *("kubectl", "--kubeconfig", str(self._cluster.kubeconfig), "--namespace", "cf", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(given.encode()), 60)
        assert process.returncode == 0, f"kubectl {arguments}: {said.decode()}"
        return said.decode()

    def asked_by(self, user: str) -> list[audit.Event]:
        """What this user has asked for since the test began."""
        return audit.by(user, self._cluster.audit()[self._audited :])

    def deletions(self) -> list[audit.Deletion]:
        """The deletes that the webhook asked for since the test began."""
        return audit.deletions(self.asked_by("diego-webhook"))

    async def pods(self, component: str = "diego-api") -> list[Json]:
        found = await self.found(f"{self.core}/pods", labelSelector=f"app.kubernetes.io/component={component}")
        items: list[Json] = found["items"]
        return items

    async def uids(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in await self.pods()}

    async def settled(self) -> bool:
        """All pods fully ready, exactly one of diego-api active, and the Service leads to it."""
        diego_api, api = await self.pods(), await self.pods("api")
        if [len(diego_api), len(api)] != [2, 2] or not all(map(_is_ready, diego_api + api)):
            return False
        active = [pod["metadata"]["name"] for pod in diego_api if pod["metadata"]["labels"].get(ACTIVE) == "true"]
        endpoints = await self.found(f"{self.core}/endpoints/diego-api")
        led_to = [
            address["targetRef"]["name"]
            for subset in endpoints.get("subsets") or []
            for address in subset.get("addresses") or []
        ]
        return len(active) == 1 and led_to == active

    async def wedged(self) -> bool:
        """Both BBS have noticed that the lock database is gone."""
        logs = [await self.get(f"{self.core}/pods/{name}/log", container="diego-api") for name in self.originals]
        return all("lost the lock database" in log.text for log in logs)

    async def label(self, value: str) -> None:
        """Labels both diego-api pods by hand, where `freeze-label` keeps them from doing it themselves."""
        await asyncio.sleep(1)  # a probe that was under way may still have labelled its pod
        selector = "app.kubernetes.io/component=diego-api"
        await self.kubectl("label", "pods", "-l", selector, f"{ACTIVE}={value}", "--overwrite")

    async def unreachable(self) -> bool:
        """Nothing accepts behind the Service."""
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection(BBS_HOST, 8889)
        except OSError:  # TimeoutError is one
            return True
        writer.close()
        return False

    @asynccontextmanager
    async def journals(self) -> AsyncIterator[AsyncIterator[Json]]:
        """The journal at each of its changes, as fast as the API server tells."""
        async with self.watch(f"{self.core}/configmaps", fieldSelector=f"metadata.name={audit.JOURNAL}") as events:
            yield (json.loads(event["object"]["data"]["journal.json"]) async for event in events)

    async def account(self, name: str, rights: list[Json]) -> Path:
        """A service account with a Role of these rights and no other; its kubeconfig."""
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}}
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "cf"}],
        }
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        documents = [account, role | {"rules": rights}, binding]
        await self.kubectl("apply", "-f", "-", given="\n---\n".join(map(json.dumps, documents)))
        return await self._kubeconfig(name)

    async def _kubeconfig(self, account: str) -> Path:
        answer = await self.request(
            "POST",
            f"{self.core}/serviceaccounts/{account}/token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
        assert answer.code == 201, answer
        document = yaml.safe_load(self._cluster.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": answer.json["status"]["token"]}
        path = self.folder / f"{account}.kubeconfig"
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

    def webhook(self, config: Path) -> Webhook:
        """A webhook that is yet to be started, and knows the token."""
        webhook = Webhook(config)
        webhook.headers = {"Authorization": f"Bearer {self.bearer}"}
        return webhook

    async def mend(self) -> None:
        """Undoes what the test has broken, restarts the pods (which may be wedged), and forgets the runs."""
        if self._broken:
            await self.fault("clear")
            await self.kubectl("delete", "pods", "--wait=false", "-l", "app.kubernetes.io/component=diego-api")
        await self.kubectl("delete", "--ignore-not-found", f"configmap/{audit.JOURNAL}", f"lease/{audit.JOURNAL}")
        await until(self.settled, what="the foundation to be whole", deadline=120, every=0.2)


def _is_ready(pod: Json) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    ready = len(statuses) == 2 and all(status["ready"] for status in statuses)
    return ready and "deletionTimestamp" not in pod["metadata"]


@pytest.fixture
async def cf(real_cluster: RealCluster, tmp_path: Path) -> AsyncIterator[Cf]:
    """The foundation, healthy when the test begins, and again when it has ended."""
    async with Cf(real_cluster, tmp_path) as cf:
        await until(cf.settled, what="the foundation to be whole", deadline=120, every=0.2)
        cf.originals = await cf.uids()
        yield cf
        await cf.mend()
