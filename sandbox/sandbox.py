"""A whole sandbox for a test or a demo: cluster, API, listeners, kubeconfig, switches.

async with Sandbox() as box:
Connection(kubeconfig=str(box.kubeconfig))
box.fault("locket-db-down")
"""

import asyncio
import contextlib
import random
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from exporter.clock import Clock, SystemClock
from sandbox.api.access import TOKEN, USER, Access, Denial
from sandbox.api.audit import AuditLog
from sandbox.api.http import HttpServer
from sandbox.api.mishaps import Failure, Mishaps
from sandbox.api.server import ApiServer
from sandbox.cluster.addresses import Addresses
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.foundation import BBS_PORT, Foundation, Timing
from sandbox.cluster.objects import Obj
from sandbox.cluster.resources import SERVICES
from sandbox.cluster.switches import Switches, UnknownFaultError
from sandbox.driver import Driver
from sandbox.listeners import Listeners
from sandbox.state import state

API_PORT = 26443  # not 6443, which a real API server on this machine takes on every address
CLAIM_PORT = 6442
_API_FAULTS = {
    "api-hang": "",
    "api-resume": "",
    "api-kill": "",
    "api-start": "",
    "api-slow": "SECONDS",
    "api-fast": "",
    "watch-410": "",
    "drop-watch": "",
    "fail": "'VERB RESOURCE'",
    "deny": "'VERB RESOURCE'",
    "allow-all": "",
}
SETTLED = 60.0
"""Seconds of the cluster's life that have passed when it starts: everything is ready, one BBS is active."""


class Sandbox:
    """A foundation in a box, on loopback addresses of its own; several run side by side.

    It is settled when it is entered: pods fully ready, exactly one of them active. `seed` makes the choice of the
    active one, the UIDs and whatever else is chance repeatable.
    """

    def __init__(
        self,
        *,
        foundation: Foundation | None = None,
        timing: Timing | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        audit_file: Path | None = None,
        bookmark_interval: float = 60.0,
        history: int = 1000,
    ) -> None:
        self._seed = random.randrange(2**32) if seed is None else seed  # noqa: S311 - chance, not a secret
        self._rng = random.Random(self._seed)  # noqa: S311 - chance, not a secret
        self._clock = clock or SystemClock()
        self._claim, self.addresses = _claim_addresses()
        self.access = Access()
        self.mishaps = Mishaps(changed=self._mishaps_changed)
        now = self._clock.now()
        self.cluster = Cluster(
            now=now - SETTLED,
            seed=self._seed,
            foundation=foundation,
            timing=timing,
            addresses=self.addresses,
            history=history,
        )
        self.cluster.advance_to(now)
        self._audit = AuditLog(now=self._clock.now, file=audit_file)
        self._driver = Driver(self.cluster, self._clock)
        self._switches = Switches(self.cluster)
        self._listeners = Listeners(self.cluster)
        api = ApiServer(self.cluster, access=self.access, audit=self._audit, mishaps=self.mishaps, rng=self._rng)
        self._http = HttpServer(
            api,
            cluster=self.cluster,
            driver=self._driver,
            mishaps=self.mishaps,
            bookmark_interval=bookmark_interval,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._living = asyncio.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="diego-sandbox-", ignore_cleanup_errors=True)
        self.directory = Path(self._temporary.name)
        self.kubeconfig = self.write_kubeconfig()

    async def __aenter__(self) -> Self:
        try:
            await self._http.start(self.addresses.node, API_PORT)
            self._listeners.start()
        except BaseException:
            await self.close()
            raise
        self._spawn(self._driver.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends everything and leaves nothing behind."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listeners.close()
        await self._http.stop()
        self._claim.close()
        self._temporary.cleanup()

    @property
    def namespace(self) -> str:
        return self.cluster.foundation.namespace

    @property
    def url(self) -> str:
        return f"http://{self.addresses.node}:{API_PORT}"

    @property
    def bbs_host(self) -> str:
        """The Service's address, which this machine's programs reach; exec in the sandbox resolves its name as well."""
        service = self.cluster.store.get(SERVICES, self.namespace, self.cluster.foundation.service)
        return str(service["spec"]["clusterIP"]) if service else ""

    @property
    def audit(self) -> list[Obj]:
        """The audit events so far, oldest first, in the shape of audit.k8s.io/v1."""
        return self._audit.events

    def state(self) -> Obj:
        """The cluster as a person wants to see it."""
        self._driver.catch_up()
        return state(self.cluster, self.mishaps)

    def fault(self, name: str, argument: str = "") -> None:
        """Breaks or mends something; `faults` has the names. Raises UnknownFaultError."""
        self._driver.catch_up()
        own = self._api_faults().get(name)
        if own is not None:
            own(argument)
        else:
            self._switches.apply(name, argument)
            if name == "clear":
                self._clear()
        self._driver.poke()

    def faults(self) -> list[str]:
        """The names that `fault` knows, those that want an argument with what it is."""
        api = {name: f"{name} {what}".strip() for name, what in _API_FAULTS.items()}
        pods = [f"{name} POD" for name in self._switches.with_pod]
        return [*self._switches.plain, *pods, *api.values()]

    def deny(self, verb: str, resource: str, *, name: str = "", user: str = "") -> None:
        """Forbids something from now on, e.g. `deny("create", "pods/exec")`."""
        self.access.denials.append(Denial(verb=verb, resource=resource, name=name, user=user))

    def fail(
        self, verb: str, resource: str = "*", *, code: int = 500, effective: bool = False, times: int | None = None
    ) -> None:
        """Makes calls fail from now on: before they take effect, or (`effective`) after."""
        self.mishaps.failures.append(Failure(verb=verb, resource=resource, code=code, effective=effective, times=times))

    def config(self, *, by_name: bool = False, **foundation: Any) -> dict[str, Any]:
        """A `diego.yaml` for this sandbox as a dict, with further keys for its one foundation.

        The BBS's host is the Service's address, so that the exporter reaches it from this machine; `by_name` takes the
        Service's name, which exec resolves and this machine does not.
        """
        names = self.cluster.foundation
        host = f"{names.service}.{names.namespace}.svc.cluster.local" if by_name else self.bbs_host
        bbs = {"host": host, "port": BBS_PORT} | foundation.pop("bbs", {})
        own = {
            "name": "cf",
            "kubeconfig": str(self.kubeconfig),
            "namespace": names.namespace,
            "bbs": bbs,
            "diego_api": {"statefulset": names.diego_api},
            "cloud_controller": {"statefulset": names.cloud_controller},
        }
        return {"foundations": [own | foundation], "remediation": {"mode": "auto"}}

    def write_config(self, config: dict[str, Any] | None = None, *, name: str = "diego.yaml") -> Path:
        """Writes a config into the sandbox's directory, which goes away with it."""
        path = self.directory / name
        path.write_text(yaml.safe_dump(self.config() if config is None else config, sort_keys=False))
        return path

    def write_kubeconfig(self, *, token: str = TOKEN, user: str = USER, name: str = "kubeconfig") -> Path:
        """Writes a kubeconfig for a user, and lets its token in."""
        self.access.users[token] = user
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": {"server": self.url}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [
                {"name": "sandbox", "context": {"cluster": "sandbox", "user": user, "namespace": self.namespace}}
            ],
            "current-context": "sandbox",
        }
        path = self.directory / name
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        return path

    def _api_faults(self) -> dict[str, Callable[[str], None]]:
        return {
            "api-hang": lambda _: self.mishaps.set(hanging=True),
            "api-resume": lambda _: self.mishaps.set(hanging=False),
            "api-kill": lambda _: self.mishaps.set(killed=True),
            "api-start": lambda _: self.mishaps.set(killed=False),
            "watch-410": lambda _: self.cluster.forget_history(),
            "drop-watch": lambda _: self._http.drop_streams(),
            "api-slow": lambda seconds: setattr(self.mishaps, "latency", float(seconds or 1.0)),
            "api-fast": lambda _: setattr(self.mishaps, "latency", 0.0),
            "fail": self._fail_by_name,
            "allow-all": lambda _: self.access.denials.clear(),
            "deny": self._deny_by_name,
        }

    def _fail_by_name(self, argument: str) -> None:
        verb, _, resource = argument.partition(" ")
        self.fail(verb or "*", resource or "*")

    def _deny_by_name(self, argument: str) -> None:
        verb, _, resource = argument.partition(" ")
        if not resource:
            raise UnknownFaultError("deny needs a verb and a resource: deny 'create pods/exec'")
        self.deny(verb, resource)

    def _clear(self) -> None:
        self.access.denials.clear()
        self.mishaps.clear()

    def _mishaps_changed(self) -> None:
        self.cluster.queue.available = self.mishaps.available
        self._http.answer(answering=not self.mishaps.hanging)
        self._spawn(self._live())

    async def _live(self) -> None:
        async with self._living:
            await self._http.live(alive=not self.mishaps.killed)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def free_port(host: str, preferred: int) -> int:
    """The preferred port, or any other where a program listens on it, be it on all addresses."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {host}")


def _claim_addresses() -> tuple[socket.socket, Addresses]:
    """A /24 of loopback addresses that nobody else uses, and the socket that says so to others."""
    chance = random.SystemRandom()
    for _ in range(100):
        prefix = f"127.{chance.randrange(10, 250)}.{chance.randrange(1, 250)}"
        claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            claim.bind((f"{prefix}.1", CLAIM_PORT))
        except OSError:
            claim.close()
        else:
            return claim, Addresses(prefix)
    raise OSError("no free loopback network found")
