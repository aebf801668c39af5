"""Clusters in-process, for tests in virtual time: a foundation of the sandbox, or objects exactly as a test wants them.

Make them in the test itself or in a fixture that is not async: looptime sets the time back between an async fixture
and its test. An `InProcessWriter` is one program's connection; several share a cluster.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from exporter.clock import Clock
from exporter.kubernetes.api import ApiError, ApiUnreachableError, KubernetesError
from exporter.kubernetes.objects import Pod
from exporter.kubernetes.transport import Response
from sandbox.cluster.foundation import Foundation, Timing
from sandbox.cluster.objects import Obj
from sandbox.cluster.resources import CONFIGMAPS, EVENTS, LEASES, PODS, STORED, Resource
from sandbox.inprocess import InProcess
from sandbox.transport import InProcessTransport, Mishap, Request
from tests.support.clocks import LoopClock
from tests.support.moments import NOON
from webhook.record.encoding import decode, encode
from webhook.record.journal import Journal
from webhook.writer import ApiWriter, ConfigMap, Lease, LeaseSpec

JOURNAL = "diego-medic-diego-api"
TIMED_OUT = ApiUnreachableError("timed out")
RESTART = Timing(schedule=0.5, start=15.0, stop=2.0, probe=2.0)
"""A deleted pod is back and fully ready after about 20 s."""
_NEVER = Timing(controller=math.inf, schedule=math.inf)
_KINDS: dict[str, Resource] = {each.plural: each for each in STORED}


class InProcessCluster(InProcess):
    """A foundation of the sandbox, and what a test asks of it: what is on record, and what was done to it."""

    def __init__(self, *, clock: Clock | None = None, timing: Timing = RESTART, seed: int = 1, **options: Any) -> None:
        super().__init__(clock=clock or LoopClock(NOON.timestamp()), timing=timing, seed=seed, **options)
        self.others = InProcessTransport(self)  # whoever else has access, a person with kubectl say

    # ---- what is there

    def object(self, kind: str, name: str) -> Obj:
        """As it is stored. Raises KeyError."""
        self.catch_up()
        found = self.cluster.store.get(_KINDS[kind], self.namespace, name)
        if found is None:
            raise KeyError(name)
        return found

    def pod(self, name: str) -> Pod:
        return msgspec.convert(self.object("pods", name), Pod)

    @property
    def pods(self) -> Mapping[str, Pod]:
        return self._all(PODS, Pod)

    @property
    def config_maps(self) -> Mapping[str, ConfigMap]:
        return self._all(CONFIGMAPS, ConfigMap)

    @property
    def leases(self) -> Mapping[str, Lease]:
        return self._all(LEASES, Lease)

    @property
    def events(self) -> list[Obj]:
        return self.cluster.store.all(EVENTS, self.namespace)

    @property
    def deletes(self) -> list[tuple[str, str]]:
        """The pods whose deletion took effect: name, and the UID that the request named, by the audit log."""
        found = [each for each in self.audit if each["verb"] == "delete" and each["objectRef"]["resource"] == "pods"]
        return [
            (each["objectRef"]["name"], each["requestObject"]["preconditions"]["uid"])
            for each in found
            if each["responseStatus"]["code"] == 200
        ]

    def journal(self, name: str = JOURNAL) -> Journal:
        """What is on record."""
        return decode((self.config_maps[name].data or {})["journal.json"])

    # ---- what others do

    def put(self, kind: str, /, **body: Any) -> Obj:
        """Creates or replaces an object, given as the API's JSON would have it; nothing is checked."""
        self.catch_up()
        name = body["metadata"]["name"]
        there = self.cluster.store.get(_KINDS[kind], self.namespace, name)
        uid = there["metadata"]["uid"] if there else name
        body["metadata"] = {"uid": uid, "namespace": self.namespace, **body["metadata"]}
        stored = self.cluster.store.put(_KINDS[kind], body)
        self.arm()
        return stored

    def delete(self, kind: str, name: str) -> None:
        """It is gone at once, with neither grace nor finalizers."""
        self.catch_up()
        self.cluster.store.remove(_KINDS[kind], self.namespace, name)
        self.arm()

    def change(self, kind: str, name: str, /, **fields: Any) -> Obj:
        """Replaces top-level fields of an object; those of `metadata` one by one."""
        found = self.object(kind, name)
        metadata = found["metadata"] | fields.pop("metadata", {})
        return self.put(kind, **{**found, **fields, "metadata": metadata})

    def put_journal(self, journal: Journal, *, name: str = JOURNAL) -> None:
        """As another program, or a person, writes it."""
        self.write_config_map(name, {"foundation": journal.foundation, "journal.json": encode(journal)})

    def write_config_map(self, name: str, data: dict[str, str] | None) -> None:
        self.put("configmaps", metadata={"name": name}, **({} if data is None else {"data": data}))

    def write_lease(self, name: str, spec: LeaseSpec) -> None:
        self.put("leases", metadata={"name": name}, spec=msgspec.to_builtins(spec))

    def _all(self, resource: Resource, kind: type[Any]) -> dict[str, Any]:
        self.catch_up()
        found = self.cluster.store.all(resource, self.namespace)
        return {each["metadata"]["name"]: msgspec.convert(each, kind) for each in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Empty(Foundation):
    def manifests(self) -> list[Obj]:
        return []


class Shelf(InProcessCluster):
    """A cluster in which nothing happens by itself, for objects exactly as a test wants them."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock or LoopClock(), foundation=_Empty(), timing=_NEVER)


class InProcessWriter(ApiWriter):
    """One program's connection to a cluster: it may be slow, cut off, refused, or not told of what took effect."""

    def __init__(self, cluster: InProcessCluster) -> None:
        self.cluster = cluster
        self.wire = InProcessTransport(cluster)
        super().__init__(self.wire, namespace=cluster.namespace)

    @property
    def mishap(self) -> Callable[[Request], Mishap | None]:
        """What goes wrong with a call."""
        return self.wire.before

    @mishap.setter
    def mishap(self, mishap: Callable[[Request], Mishap | None]) -> None:
        self.wire.before = mishap

    @property
    def calls(self) -> Counter[str]:
        """How often each was asked, by "verb resource"."""
        return self.wire.calls

    def slow(self, latency: Callable[[], float] | float) -> None:
        """Seconds that each call takes, there and back again."""
        self.wire.latency = latency if callable(latency) else lambda: latency

    def fail(self, call: str, error: KubernetesError = TIMED_OUT, *, times: int = 1, effective: bool = False) -> None:
        """The next `times` of these calls ("verb resource"; "*" for any) fail; -1: from now on all.

        `effective`: it takes effect all the same, and only the answer is lost.
        """
        before = self.mishap
        left = times

        def mishap(request: Request) -> Mishap | None:
            nonlocal left
            if call not in ("*", request.call) or left == 0:
                return before(request)
            left -= 1
            return Mishap(error=answer_of(error), effective=effective)

        self.mishap = mishap

    def hang(self, call: str = "*", *, effective: bool = False) -> None:
        """From now on these calls are never answered."""
        before = self.mishap
        hanging = Mishap(hangs=True, effective=effective)
        self.mishap = lambda request: hanging if call in ("*", request.call) else before(request)

    def recover(self) -> None:
        """Nothing goes wrong any more."""
        self.mishap = lambda _request: None
        self.wire.latency = lambda: 0.0

    def kill(self) -> None:
        """As SIGKILL does: nothing more reaches the cluster but what is on its way."""
        self.mishap = lambda _request: Mishap(error=TIMED_OUT)


def answer_of(error: KubernetesError) -> ApiUnreachableError | Response:
    if isinstance(error, ApiUnreachableError):
        return error
    assert isinstance(error, ApiError)
    message = str(error).partition(": ")[2]
    status = {"kind": "Status", "status": "Failure", "code": error.status, "reason": error.reason, "message": message}
    return Response(error.status, msgspec.json.encode(status))


def healthy_foundation(**options: Any) -> InProcessCluster:
    """diego-api and api, two pods each, one BBS active and reachable."""
    return InProcessCluster(**options)


def broken_foundation(*, frozen_label: bool = False, **options: Any) -> InProcessCluster:
    """The incident: Locket's database was away for a moment, and no BBS gets its lock until it is restarted.

    With `frozen_label` the one that was active still says that it is, and no label follows its BBS: `thaw-label`.
    """
    faults = ("locket-db-down", "locket-db-up")
    return InProcessCluster(faults=("freeze-label", *faults) if frozen_label else faults, **options)
