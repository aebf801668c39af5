"""Each overlay of `deploy/` as an operator completes it, rendered by kubectl, and what the real API server makes of it.

Dry runs: the server checks, completes and admits each object, and keeps none. `deploy/base` is applied in earnest by
`test_incident` and `test_profiles`.
"""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.cluster.conftest import Cf
from tests.support.cluster import RealCluster
from tests.support.inside import NAMESPACE, needs_kubectl

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
OVERLAYS = sorted(folder.name for folder in (DEPLOY / "overlays").iterdir())
FOUNDATIONS = ("cf-east", "cf-west")
NAMESPACES = (NAMESPACE, *FOUNDATIONS)
OPERATOR = "monitoring.coreos.com"
OPERATORS = {"ServiceMonitor": "v1", "PrometheusRule": "v1", "AlertmanagerConfig": "v1alpha1"}
NEWER = {"policy/v1": "Kubernetes 1.21 or newer"}
"""What an older API server does not serve; docs/install.md says so."""


class Admitted(NamedTuple):
    """The objects as the API server would keep them, and the `apiVersion`s that it does not serve."""

    objects: list[dict[str, Any]]
    unserved: set[str]

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        return {f"{_namespace(each)}/{each['metadata']['name']}": each for each in self.objects if each["kind"] == kind}

    def container(self, deployment: str) -> dict[str, Any]:
        found = self.named("Deployment")[f"{NAMESPACE}/{deployment}"]
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return dict(container)


def _namespace(each: dict[str, Any]) -> str:
    return str(each["metadata"].get("namespace", ""))


def _crd(kind: str, version: str) -> dict[str, Any]:
    """As much of the Prometheus Operator's API as an object needs to be accepted: its schemas are not checked."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{OPERATOR}"},
        "spec": {
            "group": OPERATOR,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture(scope="module")
def prepared(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The namespaces of the overlays, and the kinds of the Prometheus Operator."""
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES]
    kinds = yaml.safe_dump_all([_crd(kind, version) for kind, version in OPERATORS.items()])
    folder = tmp_path_factory.mktemp("overlays")

    async def prepare() -> None:
        async with Cf(real_cluster, folder) as cf:
            await needs_kubectl(cf.kubectl, 21)
            await cf.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(namespaces) + "---\n" + kinds)
            crds = [f"crd/{each.lower()}s.{OPERATOR}" for each in OPERATORS]
            await cf.kubectl("wait", "--for=condition=Established", *crds)

    async def remove() -> None:
        async with Cf(real_cluster, folder) as cf:
            await cf.kubectl("delete", "-f", "-", given=kinds)
            await cf.kubectl("delete", "--ignore-not-found", "--wait=false", "namespace", *FOUNDATIONS)

    asyncio.run(prepare())
    yield
    asyncio.run(remove())


async def admit(cf: Cf, overlay: str) -> Admitted:
    """Renders the overlay, with the files that an operator writes, and has the API server try it."""
    mine = cf.folder / "deploy"
    shutil.copytree(DEPLOY, mine)
    (mine / "base" / "token").write_text(cf.bearer)
    (mine / "overlays" / "people" / "web.yaml").write_text("basic_auth_users: {}\n")
    rendered = await cf.kubectl("kustomize", str(mine / "overlays" / overlay))
    documents = re.split(r"^---$", rendered, flags=re.MULTILINE)
    served = set((await cf.kubectl("api-versions")).split())
    wanted = [_api_version(each) for each in documents]
    known = "\n---\n".join(each for each, version in zip(documents, wanted, strict=True) if version in served)
    said = await cf.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", given=known)
    return Admitted(json.loads(said[said.index("{") :])["items"], set(wanted) - served)


def _api_version(document: str) -> str:
    found = re.search(r"^apiVersion: (\S+)$", document, flags=re.MULTILINE)
    assert found, document
    return found[1]


def test_every_overlay_has_its_case() -> None:
    assert OVERLAYS == ["people", "prometheus-operator", "several-foundations", "two-webhooks"]


async def test_people(cf: Cf, prepared: None) -> None:
    admitted = await admit(cf, "people")
    assert admitted.unserved == set()
    container = admitted.container("diego-webhook")
    assert "--web.config.file=/etc/diego-medic/web/web.yaml" in container["command"]
    assert {each["name"] for each in container["volumeMounts"]} == {"config", "secret", "web"}
    pod = admitted.named("Deployment")[f"{NAMESPACE}/diego-webhook"]["spec"]["template"]["spec"]
    secrets = {each["name"]: each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
    assert {f"{NAMESPACE}/{name}" for name in secrets.values()} == set(admitted.named("Secret")), "with their suffixes"
    assert secrets["web"].startswith("diego-webhook-web-")


async def test_prometheus_operator(cf: Cf, prepared: None) -> None:
    admitted = await admit(cf, "prometheus-operator")
    assert admitted.unserved == set()
    assert {*OPERATORS} <= {each["kind"] for each in admitted.objects}
    (config,) = admitted.named("AlertmanagerConfig").values()
    (webhook,) = config["spec"]["receivers"][0]["webhookConfigs"]
    secret = webhook["httpConfig"]["authorization"]["credentials"]["name"]
    assert f"{NAMESPACE}/{secret}" in admitted.named("Secret"), "the Secret's name with its suffix"


async def test_several_foundations(cf: Cf, prepared: None) -> None:
    """A Role for each foundation in its namespace, and none of the base's."""
    admitted = await admit(cf, "several-foundations")
    assert admitted.unserved == set()
    roles = {f"{name}/{program}-{name}" for name in FOUNDATIONS for program in ("diego-exporter", "diego-webhook")}
    assert set(admitted.named("Role")) == set(admitted.named("RoleBinding")) == roles
    (config,) = admitted.named("ConfigMap").values()
    assert [each["name"] for each in yaml.safe_load(config["data"]["diego.yaml"])["foundations"]] == [*FOUNDATIONS]


async def test_two_webhooks(cf: Cf, prepared: None) -> None:
    """The PodDisruptionBudget is of an API that Kubernetes has since 1.21: an older one admits the rest."""
    admitted = await admit(cf, "two-webhooks")
    assert admitted.unserved <= NEWER.keys()
    assert admitted.unserved or f"{NAMESPACE}/diego-webhook" in admitted.named("PodDisruptionBudget")
    deployments = admitted.named("Deployment")
    replicas = {name: each["spec"]["replicas"] for name, each in deployments.items()}
    assert replicas == {f"{NAMESPACE}/diego-exporter": 1, f"{NAMESPACE}/diego-webhook": 2}
