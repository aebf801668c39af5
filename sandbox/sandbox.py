"""A whole sandbox for a test or a demo: cluster, API, listeners, kubeconfig, switches.

async with Sandbox() as box:
Connection(kubeconfig=str(box.kubeconfig))
box.fault("locket-db-down")
"""

import asyncio
import random
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
from sandbox.bbs import BbsApi
from sandbox.certificates import Certificates
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.foundation import BBS_PORT, Foundation, Timing
from sandbox.cluster.objects import Obj
from sandbox.cluster.resources import SERVICES
from sandbox.cluster.switches import Switches, UnknownFaultError
from sandbox.driver import Driver
from sandbox.listeners import Listeners
from sandbox.loopback import claim_addresses
from sandbox.names import publish
from sandbox.state import state

API_PORT = 26443  # not 6443, which a real API server on this machine takes on every address
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
    active one, the UIDs and whatever else is chance repeatable. With `bbs_tls` the BBS speaks as a real one does,
    mutual TLS and its API (`sandbox.bbs`); else it accepts and closes.
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
        bbs_tls: bool = False,
    ) -> None:
        self._seed = random.randrange(2**32) if seed is None else seed  # noqa: S311 - chance, not a secret
        self._rng = random.Random(self._seed)  # noqa: S311 - chance, not a secret
        self._clock = clock or SystemClock()
        self._claim, self.addresses = claim_addresses()
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
        self._bbs_tls = bbs_tls
        self.bbs: BbsApi | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="diego-sandbox-", ignore_cleanup_errors=True)
        self.directory = Path(self._temporary.name)
        self.certificates = Certificates(self.directory / "bbs")
        self.kubeconfig = self.write_kubeconfig()

    async def __aenter__(self) -> Self:
        try:
            await self._http.start(self.addresses.node, API_PORT)
            if self._bbs_tls:
                await self.certificates.make([self.bbs_name])
                self.bbs = BbsApi(self.certificates.server_context())
            self._listeners.start(self.bbs)
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
    def bbs_name(self) -> str:
        """The Service's name, as clients and the BBS's certificate have it."""
        return f"{self.cluster.foundation.service}.{self.namespace}.svc.cluster.local"

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
        bbs: dict[str, Any] = {"host": self.bbs_name if by_name else self.bbs_host, "port": BBS_PORT}
        if self._bbs_tls:
            bbs["tls"] = self.certificates.client() | {"server_name": self.bbs_name}
        bbs |= foundation.pop("bbs", {})
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

    def publish_names(self, *, name: str = "names.json") -> Path:
        """Writes the names that DNS has into the sandbox's directory, with their addresses, and keeps them up to date.

        For a program that resolves names as one in the cluster does. The fault `dns-down` does not concern it.
        """
        path = self.directory / name
        publish(self.cluster, path)
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
