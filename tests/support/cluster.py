"""The real one-node Kubernetes that some tests need: started once for a test run, ended with it.

Its scripts are looked for where `DIEGO_MEDIC_CLUSTER` says, by default in `../shared/cluster` beside the checkout. A
cluster that already runs is taken where `KUBECONFIG` and `KUBE_RUN` are both set, and left running.
"""

import asyncio
import itertools
import json
import os
import shlex
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import until
from tests.support.rawkube import Answer

SCRIPTS = Path(os.environ.get("DIEGO_MEDIC_CLUSTER", Path(__file__).parents[2] / ".." / "shared" / "cluster"))
PATIENCE = 180.0
"""Seconds for what pods and controllers do: now and then this kubelet takes more than a minute to end a pod."""
AWAY = frozenset({"api-hang", "api-kill"})
"""The faults after which `until_endpoints_follow` is worth its time."""


def processes(script: str, pod: str, **environment: str) -> list[int]:
    """The pids, as this machine counts them, of what runs this script in a pod with such an environment."""
    wanted = {f"{key}={value}".encode() for key, value in {"HOSTNAME": pod, **environment}.items()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, given = ((folder / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
        except OSError:  # it has ended
            continue
        if script.encode() in command and wanted <= set(given):
            found.append(int(folder.name))
    return found


async def accepts(host: str, port: int = 8889) -> bool:
    """Whether something accepts a TCP connection there within 2 s."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def until_endpoints_follow(request: Callable[..., Awaitable[Answer]], core: str) -> None:
    """Waits until the endpoints controller watches again, which takes up to a minute after the API server was away.

    Until then it compares what it should write with an old copy. Where they are the same it writes nothing, and an
    address stays behind a Service until the next pod changes (kubernetes/kubernetes#125675, fixed in 1.31).

    It is asked with Services of their own that select no pod: only who sees Endpoints go makes them anew.
    """
    numbers = itertools.count()

    async def follows() -> bool:
        name = f"canary-{next(numbers)}"
        service, endpoints = f"{core}/services/{name}", f"{core}/endpoints/{name}"
        body = {"metadata": {"name": name}, "spec": {"selector": {"canary": "none"}, "ports": [{"port": 1}]}}

        async def is_there() -> bool:
            return (await request("GET", endpoints)).code == 200

        assert (await request("POST", f"{core}/services", body=body)).code == 201
        try:
            await until(is_there, what="the endpoints of a new Service", deadline=PATIENCE, every=0.2)
            assert (await request("DELETE", endpoints)).code == 200
            with suppress(AssertionError):  # what comes and goes before it watches again, it never sees
                await until(is_there, what="endpoints that are made anew", deadline=1, every=0.1)
                return True
            return False
        finally:
            await request("DELETE", service)

    await until(follows, what="the endpoints controller to follow", deadline=PATIENCE, every=0.5)


class RealCluster:
    """A running cluster with the stand-in foundation on it, namespace `cf`."""

    namespace = "cf"

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.run = Path(environment["KUBE_RUN"])
        self.kubeconfig = Path(environment["KUBECONFIG"])

    async def fault(self, name: str) -> None:
        """Breaks or mends something; the names are in the README of the cluster's scripts."""
        process = await asyncio.create_subprocess_exec(
            SCRIPTS / "fault",
            name,
            env=os.environ | self.environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, stderr = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, f"fault {name}: {stderr.decode()}"

    def audit(self) -> list[dict[str, Any]]:
        """The audit events so far, oldest first: every request that changed something or opened an exec."""
        return [json.loads(line) for line in (self.run / "audit.log").read_text().splitlines()]


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[RealCluster]:
    """The real cluster; takes about 40 seconds to start."""
    given = {key: os.environ.get(key, "") for key in ("KUBECONFIG", "KUBE_RUN")}
    if all(given.values()):
        yield RealCluster(given)
        return
    if not (SCRIPTS / "up").exists():
        pytest.fail(f"no cluster: set DIEGO_MEDIC_CLUSTER, or KUBECONFIG and KUBE_RUN ({SCRIPTS} has no `up`)")
    try:
        started = subprocess.run([SCRIPTS / "up"], check=True, capture_output=True, text=True, timeout=1800)
        exports = dict(word.split("=", 1) for word in shlex.split(started.stdout) if "=" in word)
        yield RealCluster(exports)
    finally:
        subprocess.run([SCRIPTS / "down"], check=False, capture_output=True, timeout=120)
