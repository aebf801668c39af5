"""The lease: who may act on a foundation. One holder at a time, whoever asked and however many programs run.

A Lease as `kubectl` shows it (`coordination.k8s.io/v1`). The library's leader election goes on renewing after the work
crashed, and lets the work run on when the renewal fails; here the holder knows at each moment whether it still holds.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from exporter.clock import Clock
from exporter.kubernetes.api import ConflictError, KubernetesError, NotFoundError
from webhook.writer import Lease, LeaseSpec, Writer

log = logging.getLogger(__name__)

DURATION = 15.0
"""Seconds after its last renewal at which another may take the lease."""
RENEW_INTERVAL = 5.0
RENEW_DEADLINE = 10.0
"""Seconds after its last renewal at which the holder stops trusting it: well before another may take it."""
RETRY_INTERVAL = 2.0
ATTEMPT = 2.5
"""Seconds for each attempt to renew: one that hangs must leave time for another before the deadline."""


def new_identity() -> str:
    """The host's name and a random part, so that two programs on one host differ."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


class Held:
    """The lease while it is held. `epoch` grows with every change of holder, and fences the journal."""

    def __init__(self, epoch: int, now: float) -> None:
        self.epoch = epoch
        self.lost = False
        self._renewed = now

    @property
    def valid(self) -> bool:
        """Whether it was renewed recently enough that nobody else can have taken it."""
        return not self.lost and asyncio.get_running_loop().time() - self._renewed < RENEW_DEADLINE

    def renewed(self, now: float) -> None:
        self._renewed = now


class LeaseLock:
    """Takes, renews and gives back the lease of one foundation."""

    def __init__(self, *, name: str, identity: str, writer: Writer, clock: Clock) -> None:
        self.name = name
        self.identity = identity
        self.waits_for = ""  # what keeps it from being taken, in words; empty while it is held, or was not asked for
        self._writer = writer
        self._clock = clock
        # Another's lease, or that there is none, and the loop's time when that was first seen.
        self._seen: tuple[LeaseSpec | None, float] | None = None

    @asynccontextmanager
    async def hold(self, *, least_epoch: Callable[[], int] = lambda: 0) -> AsyncIterator[Held]:
        """Waits for the lease and holds it. `least_epoch` tells the last epoch known from elsewhere (the journal).

        A lost lease is not an exception: `Held.valid` turns false, and the journal refuses the older epoch.
        """
        held = await self._take(least_epoch)
        renewal = asyncio.create_task(self._renew(held))
        try:
            yield held
        finally:
            held.lost = True
            renewal.cancel()
            await asyncio.wait([renewal])
            await self._give_back(held)

    async def _take(self, least_epoch: Callable[[], int]) -> Held:
        while True:
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(2 * ATTEMPT):
                    epoch = await self._try(least_epoch())
                if epoch is not None:
                    self.waits_for = ""
                    return Held(epoch, started)
            except ConflictError:
                pass  # somebody was faster; look again
            except TimeoutError:
                self._waits("the API server does not answer")
            except KubernetesError as error:
                self._waits(str(error))
            await asyncio.sleep(RETRY_INTERVAL)

    def _waits(self, what: str) -> None:
        if what != self.waits_for:
            self.waits_for = what
            log.info("waiting for the lease", extra={"lease": self.name, "why": what})

    async def _try(self, least_epoch: int) -> int | None:
        """One attempt. Returns the epoch, or None while somebody else holds the lease."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        mine = LeaseSpec(
            holder_identity=self.identity, lease_duration_seconds=round(DURATION), acquire_time=now, renew_time=now
        )
        try:
            lease = await self._writer.read_lease(self.name)
        except NotFoundError:
            # The first on a foundation need not wait. Else somebody deleted it, and its holder may not know yet.
            if (least_epoch or self._seen is not None) and not self._unchanged_for(DURATION, None):
                self._waits("it was deleted, and its holder may not know yet")
                return None
            epoch = least_epoch + 1
            await self._writer.create_lease(self.name, _with(mine, epoch))
            return epoch
        spec = lease.spec
        if spec.holder_identity not in {None, "", self.identity} and not self._unchanged_for(
            spec.lease_duration_seconds or DURATION, spec
        ):
            self._waits(f"held by {spec.holder_identity}")
            return None
        epoch = max(spec.lease_transitions or 0, least_epoch) + 1
        await self._writer.update_lease(self.name, _with(mine, epoch), version=lease.metadata.resource_version)
        return epoch

    def _unchanged_for(self, duration: float, spec: LeaseSpec | None) -> bool:
        """Whether another's lease has not changed for so many seconds, by our own clock: theirs may be wrong."""
        now = asyncio.get_running_loop().time()
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, now)
        return now - self._seen[1] > duration

    async def _renew(self, held: Held) -> None:
        wait = RENEW_INTERVAL
        while not held.lost:
            await asyncio.sleep(wait)
            wait = RETRY_INTERVAL
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(ATTEMPT):
                    await self._renew_once(held)
            except NotFoundError:
                self._lose(held, "it was deleted")
            except (KubernetesError, TimeoutError) as error:
                log.warning("the lease could not be renewed", extra={"lease": self.name, "error": str(error)})
            else:
                held.renewed(started)
                wait = RENEW_INTERVAL

    async def _renew_once(self, held: Held) -> None:
        lease = await self._writer.read_lease(self.name)
        if not self._is_mine(lease, held):
            self._lose(held, f"held by {lease.spec.holder_identity or 'nobody'}")
            return
        spec = LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=round(DURATION),
            acquire_time=lease.spec.acquire_time,
            renew_time=datetime.fromtimestamp(self._clock.now(), UTC),
            lease_transitions=held.epoch,
        )
        await self._writer.update_lease(self.name, spec, version=lease.metadata.resource_version)

    def _lose(self, held: Held, why: str) -> None:
        held.lost = True
        log.error("the lease was lost", extra={"lease": self.name, "why": why})

    async def _give_back(self, held: Held) -> None:
        """Leaves the lease free, so that the next holder need not wait; best effort, within two seconds."""
        with suppress(KubernetesError, TimeoutError):
            async with asyncio.timeout(2):
                lease = await self._writer.read_lease(self.name)
                if self._is_mine(lease, held):
                    free = _with(LeaseSpec(holder_identity="", lease_duration_seconds=1), held.epoch)
                    await self._writer.update_lease(self.name, free, version=lease.metadata.resource_version)

    def _is_mine(self, lease: Lease, held: Held) -> bool:
        return lease.spec.holder_identity == self.identity and lease.spec.lease_transitions == held.epoch


def _with(spec: LeaseSpec, epoch: int) -> LeaseSpec:
    return LeaseSpec(
        holder_identity=spec.holder_identity,
        lease_duration_seconds=spec.lease_duration_seconds,
        acquire_time=spec.acquire_time,
        renew_time=spec.renew_time,
        lease_transitions=epoch,
    )
