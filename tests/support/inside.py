"""Both programs as pods of the real cluster, applied from `deploy/base` as an operator does."""

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import yaml

from tests.support.image import load_image
from tests.support.programs import Server, Webhook, until

BASE = Path(__file__).parents[2] / "deploy" / "base"
NAMESPACE = "diego-medic"
IMAGE, TAG = "docker.io/library/diego-medic", "test"
PROGRAMS = ("diego-exporter", "diego-webhook")

Kubectl = Callable[..., Awaitable[str]]


@asynccontextmanager
async def inside(kubectl: Kubectl, folder: Path, *, token: str) -> AsyncIterator[tuple[Server, Webhook]]:
    """Applies the base in mode `auto`, waits until both programs are ready, and yields them; removes them at the end.

    What an operator must replace is replaced: image, token and mode.
    """
    await load_image(f"{IMAGE}:{TAG}", folder)
    mine = folder / "base"
    shutil.copytree(BASE, mine)
    (mine / "token").write_text(token)
    config = yaml.safe_load((mine / "diego.yaml").read_text())
    config["remediation"]["mode"] = "auto"
    (mine / "diego.yaml").write_text(yaml.safe_dump(config))
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


async def _available(kubectl: Kubectl, name: str) -> bool:
    deployment = json.loads(await kubectl("-n", NAMESPACE, "get", "deployment", name, "-o", "json"))
    return bool(deployment["status"].get("availableReplicas") == deployment["spec"]["replicas"])
