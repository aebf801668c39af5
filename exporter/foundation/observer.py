"""One foundation, observed without end: the watches and the probes, and the view that they add up to.

Everything runs in one TaskGroup, each probe on a schedule of its own, so that a dial or an API server that hangs
delays nothing else. Whoever reads the view gets a value; a new one is built when something changed, and not before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from msgspec.structs import replace

from exporter.clock import Clock
from exporter.config.model import Foundation, HostPort
from exporter.config.names import component_names, service_name
from exporter.config.remediation import Remediation
from exporter.foundation import assess, bbs_api
from exporter.foundation.call import Caller, probe_and_call
from exporter.foundation.component import ComponentWatch
from exporter.foundation.leadership import Leadership
from exporter.foundation.probe import Dialer, dial_tcp, probe
from exporter.foundation.pulse import Pulse
from exporter.foundation.view import FoundationView, Probe, ProbeResult, Reading
from exporter.kubernetes.api import ENDPOINTS, SERVICES, Kubernetes, KubernetesError
from exporter.kubernetes.reflector import Pace, Reflector

log = logging.getLogger(__name__)


def observed(foundation: Foundation) -> Foundation:
    """The foundation without what only concerns its remediation: a change of that is no reason to observe again."""
    return replace(foundation, remediation=Remediation())


def _evidence(foundation: Foundation) -> dict[str, HostPort]:
    """What is probed as evidence, by the name of its reading in the view."""
    asked = {"database": foundation.database, "locket": foundation.locket}
    return {name: place for name, place in asked.items() if place is not None}


class Observer:
    """Observes one foundation while `run` runs.

    `probed` is told of each probe of the BBS's own address, and `leader_changed` of each change of the leader, by the
    rules of `exporter.foundation.leadership`.

    The first probe comes within the first part of the interval that `spread` is.
    """

    def __init__(
        self,
        foundation: Foundation,
        kubernetes: Kubernetes,
        *,
        clock: Clock,
        random: Random,
        dial: Dialer = dial_tcp,
        caller: Caller | None = None,
        probed: Callable[[Probe], None] = lambda _probe: None,
        leader_changed: Callable[[], None] = lambda: None,
        spread: float = 0.1,
    ) -> None:
        self.foundation = foundation
        self._clock = clock
        self._random = random
        self._dial = dial
        self._caller = caller
        self._probed = probed
        self._leader_changed = leader_changed
        self._leadership = Leadership()
        self._spread = spread
        self._changes = Pulse()
        self._kubernetes = Pulse()
        self._bbs = Reading()
        self._answers = Reading()
        self._evidence = dict.fromkeys(_evidence(foundation), Reading())
        self._pods: dict[tuple[str, str], Reading] = {}  # by UID and address: another address is another question
        self._view = FoundationView()
        self._view_version = 0
        self._said: object = None

        pace = Pace.for_staleness(foundation.staleness)
        self._components = tuple(
            ComponentWatch(kubernetes, name, pace=pace, clock=clock, random=random, changed=self._kubernetes_changed)
            for name in component_names(foundation)
        )
        # An address is routed by a Service too, but never looked up, which is all that the Service is asked about.
        self._service_name = service_name(foundation)
        fields = f"metadata.name={self._service_name}"
        changed = self._kubernetes_changed
        self._services = Reflector(
            kubernetes, SERVICES, fields=fields, pace=pace, clock=clock, random=random, changed=changed
        )
        self._endpoints = Reflector(
            kubernetes, ENDPOINTS, fields=fields, pace=pace, clock=clock, random=random, changed=changed
        )
        self._routes = (self._services, self._endpoints) if self._service_name else ()

    @property
    def version(self) -> int:
        """Counts the changes of the view."""
        return self._changes.count

    @property
    def view(self) -> FoundationView:
        """What is known now."""
        if self._view_version != self.version:
            self._view = self._build()
            self._view_version = self.version
        return self._view

    async def after(self, version: int) -> int:
        """Waits until the view has changed after `version`, and returns the version as it is then."""
        return await self._changes.after(version)

    @property
    def tried(self) -> bool:
        """Whether everything was asked once, with or without success."""
        watches = (*self._components, *self._routes)
        return self._bbs.last is not None and all(each.synced_at is not None or each.error for each in watches)

    @property
    def error(self) -> KubernetesError | None:
        """Why Kubernetes is not in sync, if it is not and was asked."""
        return next((each.error for each in (*self._components, *self._routes) if each.error), None)

    async def run(self) -> None:
        """Observes until it is cancelled."""
        bbs = self.foundation.bbs
        async with asyncio.TaskGroup() as group:
            for watch in (*self._components, *self._routes):
                group.create_task(watch.run())
            ask = partial(self._ask_bbs, bbs.host, bbs_api.DOMAINS)
            group.create_task(self._probe_regularly(ask, self._record_bbs, jitter=True))
            for name, place in _evidence(self.foundation).items():
                ask, record = partial(self._ask, place.host, place.port), partial(self._record_evidence, name)
                group.create_task(self._probe_regularly(ask, record, jitter=True))
            if self.foundation.diego_api.probe_pods:
                group.create_task(self._probe_pods())

    async def _ask(self, host: str, port: int) -> Probe:
        return await probe(host, port, timeout=self.foundation.bbs.timeout, clock=self._clock, dial=self._dial)

    async def _ask_bbs(self, host: str, path: str | None) -> Probe:
        """Connects to a BBS and, where that is configured, calls it; without a path TLS is all that is asked."""
        bbs = self.foundation.bbs
        if self._caller is None:
            return await self._ask(host, bbs.port)
        return await probe_and_call(
            host, bbs.port, path=path, timeout=bbs.timeout, clock=self._clock, caller=self._caller
        )

    async def _probe_regularly(
        self, ask: Callable[[], Awaitable[Probe]], record: Callable[[Probe], None], *, jitter: bool = False
    ) -> None:
        """Probes at the interval of the BBS, and never twice at once."""
        loop = asyncio.get_running_loop()
        interval = self.foundation.bbs.interval
        if jitter:  # so that many foundations do not probe in step
            await asyncio.sleep(self._random.uniform(0, interval * self._spread))
        while True:
            due = loop.time() + interval
            record(await ask())
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _probe_pods(self) -> None:
        """Probes each diego-api pod from when it has an address until it is gone."""
        probing: dict[tuple[str, str], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                seen = self._kubernetes.count
                pods = assess.diego_api_pods(self.view, self.foundation)
                wanted = {(pod.uid, pod.ip) for pod in pods if assess.may_listen(pod)}
                for key in probing.keys() - wanted:
                    probing.pop(key).cancel()
                    self._pods.pop(key, None)
                for uid, ip in wanted - probing.keys():
                    ask, record = partial(self._ask_bbs, ip, None), partial(self._record_pod, (uid, ip))
                    probing[uid, ip] = group.create_task(self._probe_regularly(ask, record))
                await self._kubernetes.after(seen)

    def _record_bbs(self, answer: Probe) -> None:
        before = self._bbs.last
        no_endpoint = answer.result is ProbeResult.DNS and assess.no_ready_endpoint(self.view)  # matters to no other
        self._bbs = assess.read(self._bbs, answer, no_ready_endpoint=no_endpoint)
        took = f"{answer.duration:.4f}s"
        self._say(logging.DEBUG, "probed the BBS", result=answer.result.value, took=took, detail=answer.detail)
        reached = assess.proves(answer.result, no_ready_endpoint=no_endpoint)
        if before is None or before.result is not answer.result:
            words = {True: "BBS is reachable", False: "BBS is unreachable", None: "BBS probe inconclusive"}
            level = logging.INFO if reached else logging.WARNING
            self._say(level, words[reached], result=answer.result.value, detail=answer.detail)
        self._record_call(answer, reachable=reached)
        self._probed(answer)
        self._changes()

    def _record_call(self, answer: Probe, *, reachable: bool | None) -> None:
        before, call = self._answers.last, answer.call
        self._answers = assess.read_call(self._answers, answer, reachable=reachable)
        if call is not None and (before is None or before.result is not call.result):
            answered = assess.answered(call.result)
            words = {True: "BBS answers", False: "BBS does not answer", None: "BBS call inconclusive"}
            level = logging.INFO if answered else logging.WARNING
            self._say(level, words[answered], result=call.result.value, detail=call.detail)

    def _record_evidence(self, name: str, answer: Probe) -> None:
        self._evidence[name] = assess.read(self._evidence[name], answer, no_ready_endpoint=False)
        self._changes()

    def _record_pod(self, key: tuple[str, str], answer: Probe) -> None:
        self._pods[key] = assess.read(self._pods.get(key, Reading()), answer, no_ready_endpoint=False)
        self._changes()

    def _build(self) -> FoundationView:
        found = {each.name: each.component for each in self._components if each.component is not None}
        watches = (*self._components, *self._routes)
        moments = [each.synced_at for each in watches if each.synced_at is not None]
        pods = [(pod.uid, pod.ip) for component in found.values() for pod in component.pods]
        return FoundationView(
            components=found,
            service=self._services.items.get(self._service_name or ""),
            endpoints=self._endpoints.items.get(self._service_name or ""),
            synced=all(each.synced for each in watches),
            synced_at=min(moments) if len(moments) == len(watches) else None,
            bbs=self._bbs,
            answers=self._answers,
            pods={uid: self._pods[uid, ip] for uid, ip in pods if (uid, ip) in self._pods},
            **self._evidence,
        )

    def _kubernetes_changed(self) -> None:
        self._changes()
        self._kubernetes()
        if self._leadership.changed(self.view, self.foundation):
            self._leader_changed()
        watches = (*self._components, *self._routes)
        synced, error = all(each.synced for each in watches), self.error
        found = [each.component for each in self._components]
        absent = tuple(each.name for each in found if each is not None and each.statefulset is None)
        state = (True, absent) if synced else (False,)
        if state == self._said or not (synced or error):
            return
        self._said = state
        if synced:
            level = logging.WARNING if absent else logging.INFO
            self._say(level, "in sync with the Kubernetes API", missing=",".join(absent))
        else:
            self._say(logging.WARNING, "lost sync with the Kubernetes API", error=str(error))

    def _say(self, level: int, message: str, **details: str) -> None:
        fields = {key: value for key, value in details.items() if value}
        log.log(level, message, extra={"foundation": self.foundation.name, **fields})
