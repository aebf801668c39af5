"""Both programs as pods of the real cluster, applied from `deploy/base` as an operator does."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.load import load
from tests.support.image import load_image
from tests.support.programs import Server, Webhook, until
from webhook.operator.manifests import manifests

BASE = Path(__file__).parents[2] / "deploy" / "base"
NAMESPACE = "diego-medic"
IMAGE, TAG = "docker.io/library/diego-medic", "test"
PROGRAMS = ("diego-exporter", "diego-webhook")

Kubectl = Callable[..., Awaitable[str]]


async def needs_kubectl(kubectl: Kubectl, minor: int) -> None:
    """Skips the test where kubectl is older than 1.MINOR, or fails it where DIEGO_MEDIC_REQUIRE_TOOLS=1."""
    found = json.loads(await kubectl("version", "--client", "-o", "json"))["clientVersion"]
    if int(found["minor"].rstrip("+")) < minor:
        reason = f"needs kubectl 1.{minor} or newer, not {found['gitVersion']}"
        if os.environ.get("DIEGO_MEDIC_REQUIRE_TOOLS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@asynccontextmanager
async def inside(
    kubectl: Kubectl, folder: Path, *, token: str, config: dict[str, Any] | None = None, nameserver: str = ""
) -> AsyncIterator[tuple[Server, Webhook]]:
    """Applies the base in mode `auto`, waits until both programs are ready, and yields them; removes them at the end.

    What an operator must replace is replaced: image, token and mode; with `config` also the foundations, and with them
    the Roles, which stay. `nameserver` is whom the programs ask for names in the place of the cluster's DNS.
    """
    await load_image(f"{IMAGE}:{TAG}", folder)
    mine = folder / "base"
    shutil.copytree(BASE, mine)
    (mine / "token").write_text(token)
    if config is None:
        config = yaml.safe_load((mine / "diego.yaml").read_text())
        config["remediation"]["mode"] = "auto"
        (mine / "diego.yaml").write_text(yaml.safe_dump(config))
    else:
        (mine / "diego.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        foundations = load(str(mine / "diego.yaml"), program="runbook").foundations
        (mine / "rbac.yaml").write_text(manifests(foundations, replicas=2, namespace=NAMESPACE))
    if nameserver:
        for name in ("exporter.yaml", "webhook.yaml"):
            _ask(mine / name, nameserver)
    kustomization = yaml.safe_load((mine / "kustomization.yaml").read_text())
    kustomization["images"] = [{"name": "diego-medic", "newName": IMAGE, "newTag": TAG}]
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    try:
        await kubectl("apply", "-k", str(mine))
        exporter, webhook = Server("exporter.main", mine / "diego.yaml"), Webhook(mine / "diego.yaml")
        webhook.headers = {"Authorization": f"Bearer {token}"}
        for name, server in zip(PROGRAMS, (exporter, webhook), strict=True):
            await until(partial(_available, kubectl, name), what=f"{name} to be ready", deadline=180, every=1)
            service = json.loads(await kubectl("-n", NAMESPACE, "get", "service", name, "-o", "json"))
            server.host, server.port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
        yield exporter, webhook
    except BaseException as error:
        for name in PROGRAMS:
            error.add_note(await kubectl("-n", NAMESPACE, "logs", f"deployment/{name}", "--tail=100"))
        raise
    finally:
        await kubectl("-n", NAMESPACE, "delete", "deployments,services", "--all", "--wait")


def _ask(file: Path, nameserver: str) -> None:
    documents = list(yaml.safe_load_all(file.read_text()))
    for each in documents:
        if each["kind"] == "Deployment":
            each["spec"]["template"]["spec"] |= resolver(nameserver)
    file.write_text(yaml.safe_dump_all(documents))


def resolver(nameserver: str) -> dict[str, Any]:
    """The part of a pod's spec by which it asks this server for names, and no other."""
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": [nameserver]}}


async def _available(kubectl: Kubectl, name: str) -> bool:
    deployment = json.loads(await kubectl("-n", NAMESPACE, "get", "deployment", name, "-o", "json"))
    return bool(deployment["status"].get("availableReplicas") == deployment["spec"]["replicas"])
