"""The sandbox without sockets: the same cluster and API server; `sandbox.transport` is the way to it.

The time is the running loop's, so a loop with virtual time plays an incident of minutes in milliseconds. There is no
other clock and no chance but the seed's: the same calls at the same times give the same run.

box = InProcess(clock=clock)
program = InProcessTransport(box)
writer = ApiWriter(program, namespace=box.namespace)
box.fault("locket-db-down")
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextvars import copy_context
from email.utils import formatdate
from functools import lru_cache

from exporter.clock import Clock
from exporter.foundation.view import ProbeResult
from sandbox.api.access import Access
from sandbox.api.audit import AuditLog
from sandbox.api.calls import Call
from sandbox.api.mishaps import Mishaps
from sandbox.api.server import Answer, ApiServer
from sandbox.api.streams import Following
from sandbox.api.watch import Watch
from sandbox.cluster.cluster import Cluster
from sandbox.cluster.foundation import Foundation, Timing
from sandbox.cluster.objects import Obj
from sandbox.cluster.programs import Outcome
from sandbox.cluster.switches import Switches

SETTLED = 60.0
"""Seconds within which a new cluster is ready and one BBS is active, whatever its timing."""
ROUND_TRIP = 0.001
"""Seconds that a connection takes to be made or refused."""

_PROBE_RESULTS = {
    Outcome.OPEN: ProbeResult.SUCCESS,
    Outcome.REFUSED: ProbeResult.REFUSED,
    Outcome.TIMEOUT: ProbeResult.TIMEOUT,
    Outcome.NO_ROUTE: ProbeResult.UNREACHABLE,
    Outcome.NO_NAME: ProbeResult.DNS,
    Outcome.DNS_DOWN: ProbeResult.ERROR,
}


@lru_cache(maxsize=16)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


class InProcess:
    """A cluster and its API server, for the programs of this process. It is settled from the start."""

    def __init__(
        self,
        *,
        clock: Clock,
        foundation: Foundation | None = None,
        timing: Timing | None = None,
        faults: Sequence[str] = (),
        seed: int = 0,
        bookmark_interval: float = 60.0,
        history: int = 1000,
        settled: float = SETTLED,
        audited: bool = True,
    ) -> None:
        """`clock` goes with the running loop's time. The faults lie in the past, a second between two.

        `settled`: seconds until everything is ready; and as many after the faults. `audited`: whether to keep `audit`.
        """
        self._clock = clock
        self.access = Access()
        self.mishaps = Mishaps(changed=self._mishaps_changed)
        now = clock.now()
        born = now - 2 * settled
        self.cluster = Cluster(now=born, seed=seed, foundation=foundation, timing=timing, history=history)
        self._switches = Switches(self.cluster)
        for seconds, fault in enumerate(faults):
            self.cluster.advance_to(born + settled + seconds)
            self._switches.apply(fault)
        self.cluster.advance_to(now)
        self.bookmark_interval = bookmark_interval
        self.answering = asyncio.Event()
        self.answering.set()
        self.hung: list[Callable[[], None]] = []
        """What goes on when the API server does not hang any more."""
        self.streams: set[Following] = set()
        self._audit = AuditLog(now=clock.now, audited=audited)
        rng = random.Random(seed)  # noqa: S311 - chance, not a secret
        self._api = ApiServer(self.cluster, access=self.access, audit=self._audit, mishaps=self.mishaps, rng=rng)
        self.context = copy_context()
        """What happens here belongs to whoever made it, and not to the program whose call brought it about."""
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    @property
    def namespace(self) -> str:
        return self.cluster.foundation.namespace

    @property
    def audit(self) -> Sequence[Obj]:
        """The audit events so far, oldest first, in the shape of audit.k8s.io/v1."""
        return self._audit.events

    @property
    def date(self) -> str:
        """The cluster's time, as the Date header of an answer has it."""
        return _http_date(int(self._clock.now()))

    def fault(self, name: str, argument: str = "") -> None:
        """Breaks or mends something; `sandbox.cluster.switches` has the names. Raises UnknownFaultError."""
        self.catch_up()
        self._switches.apply(name, argument)
        self.arm()

    def drop_streams(self) -> None:
        """Cuts every watch that is open."""
        for stream in tuple(self.streams):
            stream.cut()

    def end_streams(self) -> None:
        """Ends every watch that is open, cleanly."""
        for stream in tuple(self.streams):
            stream.end()

    def catch_up(self) -> None:
        """Brings the cluster to now; to be called before it is asked or told anything."""
        self.cluster.advance_to(self._clock.now())

    def handle(self, call: Call, *, upgrade: bool = False) -> Answer:
        """Answers a call at once."""
        self.catch_up()
        answer = self._api.handle(call, upgrade=upgrade)
        self.arm()
        return answer

    def follow(self, watch: Watch, *, bookmark_interval: float | None) -> Following:
        """Starts to answer a watch; `leave` ends it."""
        subscribe, answering = self.cluster.subscribe, self.answering
        stream = Following(watch, subscribe=subscribe, answering=answering, bookmark_interval=bookmark_interval)
        self.streams.add(stream)
        self.arm()
        return stream

    def leave(self, stream: Following) -> None:
        if stream in self.streams:
            self.streams.discard(stream)
            stream.close()
            self.arm()

    def arm(self) -> None:
        """While somebody watches, what is due in the cluster has to happen in time; else it is made up for later."""
        due = self.cluster.next_due if self.streams else None
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = due, None
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(loop.time() + due - self._clock.now(), self._tick, due, context=self.context)

    async def dial(self, host: str, port: int, *, timeout: float) -> tuple[ProbeResult, str]:
        """A dialer: what a connection comes to from outside of the pods, e.g. from the webhook's own."""
        self.catch_up()
        dialled = self.cluster.network.dial("", host, port)
        silent = dialled.outcome in (Outcome.TIMEOUT, Outcome.NO_ROUTE)
        await asyncio.sleep(timeout if silent else min(ROUND_TRIP, timeout))
        return _PROBE_RESULTS[dialled.outcome], f"{dialled.address}: {dialled.outcome}"

    def _tick(self, due: float) -> None:
        self._due, self._timer = None, None
        self.cluster.advance_to(max(due, self._clock.now()))  # the two clocks differ by their rounding
        self.arm()

    def _mishaps_changed(self) -> None:
        if self.mishaps.hanging:
            self.answering.clear()
        else:
            self.answering.set()
            hung, self.hung = self.hung, []
            for each in hung:
                asyncio.get_running_loop().call_soon(each, context=self.context)
        if self.mishaps.killed:
            self.drop_streams()
