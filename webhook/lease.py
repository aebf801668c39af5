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
from exporter.kube_api import ConflictError, KubernetesError, NotFoundError
from webhook.kube import Lease, LeaseSpec, Writer

log = logging.getLogger(__name__)

DURATION = 15.0
"""Seconds after its last renewal at which another may take the lease."""
RENEW_INTERVAL = 5.0
RENEW_DEADLINE = 10.0
"""Seconds after its last renewal at which the holder stops trusting it: well before another may take it."""
RETRY_INTERVAL = 2.0


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
        self._seen: tuple[LeaseSpec, float] | None = None  # another's lease, and the loop's time when it last changed

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
            renewal.cancel()
            with suppress(asyncio.CancelledError):
                await renewal
            await self._give_back(held)

    async def _take(self, least_epoch: Callable[[], int]) -> Held:
        while True:
            started = asyncio.get_running_loop().time()
            try:
                epoch = await self._try(least_epoch())
                if epoch is not None:
                    self.waits_for = ""
                    return Held(epoch, started)
                self._waits(f"held by {self._seen[0].holder_identity if self._seen else 'another'}")
            except ConflictError:
                pass  # somebody was faster; look again
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
            epoch = least_epoch + 1
            await self._writer.create_lease(self.name, _with(mine, epoch))
            return epoch
        if lease.spec.holder_identity not in {None, "", self.identity} and not self._expired(lease.spec):
            return None
        epoch = max(lease.spec.lease_transitions or 0, least_epoch) + 1
        await self._writer.update_lease(self.name, _with(mine, epoch), version=lease.metadata.resource_version)
        return epoch

    def _expired(self, spec: LeaseSpec) -> bool:
        """Whether another's lease has not changed for its duration, by our own clock: theirs may be wrong."""
        now = asyncio.get_running_loop().time()
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, now)
        return now - self._seen[1] > (spec.lease_duration_seconds or DURATION)

    async def _renew(self, held: Held) -> None:
        while True:
            await asyncio.sleep(RENEW_INTERVAL if held.valid else RETRY_INTERVAL)
            started = asyncio.get_running_loop().time()
            try:
                lease = await self._writer.read_lease(self.name)
                if not self._is_mine(lease, held):
                    log.error("the lease was lost", extra={"lease": self.name, "holder": lease.spec.holder_identity})
                    held.lost = True
                    return
                now = datetime.fromtimestamp(self._clock.now(), UTC)
                spec = LeaseSpec(
                    holder_identity=self.identity,
                    lease_duration_seconds=round(DURATION),
                    acquire_time=lease.spec.acquire_time,
                    renew_time=now,
                    lease_transitions=held.epoch,
                )
                await self._writer.update_lease(self.name, spec, version=lease.metadata.resource_version)
                held.renewed(started)
            except KubernetesError as error:
                log.warning("the lease could not be renewed", extra={"lease": self.name, "error": str(error)})

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
