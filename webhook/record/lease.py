"""The lease: which process may act on a foundation. One holder at a time, however many processes run.

A Lease as `kubectl` shows it (`coordination.k8s.io/v1`). The client library's leader election continues to renew after
the work crashed, and lets the work continue when a renewal fails; here the holder knows at each moment whether it still
holds the lease.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import msgspec

from exporter.clock import Clock, Instant
from exporter.kubernetes.api import ConflictError, KubernetesError, NotFoundError
from webhook.timings import DEFAULT, Timings
from webhook.writer import Lease, LeaseSpec, Writer

log = logging.getLogger(__name__)


JOURNAL_UID = "diego-medic/journal-uid"
"""Annotation of the Lease: the UID of the ConfigMap that is the journal, so that another one is noticed."""


_LONGEST_DURATION = 3600.0
"""Seconds; a person who edits a Lease can write any number, and nobody can wait for a century."""


def new_identity() -> str:
    """The host's name and a random part, so that two processes on one host differ."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


class Held:
    """The lease while it is held. `epoch` grows with every change of holder, and fences the journal."""

    def __init__(self, epoch: int, renewed: Instant, *, trusted: float) -> None:
        self.epoch = epoch
        self.lost = False
        self._renewed = renewed
        self._trusted = trusted

    def remaining(self, now: Instant) -> float:
        """Seconds for which nobody else can take the lease, by the clock that says less; 0 where that is over."""
        return 0.0 if self.lost else max(0.0, self._trusted - self._renewed.age(now))

    def renewed(self, at: Instant) -> None:
        self._renewed = at


class LeaseLock:
    """Takes, renews and gives back the lease of one foundation."""

    def __init__(self, *, name: str, identity: str, writer: Writer, clock: Clock, timings: Timings = DEFAULT) -> None:
        self.name = name
        self.identity = identity
        self.waits_for = ""  # why it cannot be taken; empty while it is held, or was not tried
        self._writer = writer
        self._clock = clock
        self._timings = timings
        # Another's lease, or none, and the epoch known from elsewhere (since a lease may come and go between two
        # looks), with the loop's time when these were first seen.
        self._seen: tuple[tuple[LeaseSpec | None, int], float] | None = None

    @asynccontextmanager
    async def hold(
        self, *, least_epoch: Callable[[], int] = lambda: 0, journal_uid: Callable[[], str] = str
    ) -> AsyncIterator[Held]:
        """Waits for the lease and holds it. `least_epoch` returns the last epoch known from elsewhere (the journal).

        `journal_uid` returns the UID of the journal's ConfigMap, which the Lease remembers.

        A lost lease is not an exception: `Held.remaining` is 0, and the journal refuses the older epoch.
        """
        held = await self._take(least_epoch, journal_uid)
        renewal = asyncio.create_task(self._renew(held))
        try:
            yield held
        finally:
            held.lost = True
            renewal.cancel()
            await asyncio.wait([renewal])
            await self._give_back(held)

    async def _take(self, least_epoch: Callable[[], int], journal_uid: Callable[[], str]) -> Held:
        while True:
            started = Instant.of(self._clock)
            try:
                async with asyncio.timeout(2 * self._timings.lease_attempt):
                    epoch = await self._try(least_epoch(), {JOURNAL_UID: journal_uid()} if journal_uid() else {})
                if epoch is not None:
                    self.waits_for = ""
                    return Held(epoch, started, trusted=self._timings.lease_trusted)
            except ConflictError:
                pass  # somebody was faster; look again
            except TimeoutError:
                self._waits("the API server does not answer")
            except KubernetesError as error:
                self._waits(str(error))
            await asyncio.sleep(self._timings.lease_retry)

    def _waits(self, what: str) -> None:
        if what != self.waits_for:
            self.waits_for = what
            log.info("waiting for the lease", extra={"lease": self.name, "reason": what})

    async def _try(self, least_epoch: int, remembered: dict[str, str]) -> int | None:
        """One attempt. Returns the epoch, or None while somebody else holds the lease."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        mine = LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=round(self._timings.lease_duration),
            acquire_time=now,
            renew_time=now,
        )
        try:
            lease = await self._writer.read_lease(self.name)
        except NotFoundError:
            # The first on a foundation need not wait. Else somebody deleted it, and its holder may not know yet.
            seen = None, least_epoch
            if (least_epoch or self._seen is not None) and not self._unchanged_for(self._timings.lease_duration, seen):
                self._waits("it was deleted, and its holder may not know yet")
                return None
            epoch = least_epoch + 1
            await self._writer.create_lease(self.name, _with(mine, epoch), annotations=remembered)
            return epoch
        spec = lease.spec
        if not self._is_free(spec) and not self._unchanged_for(self._duration(spec), (spec, least_epoch)):
            self._waits(f"held by {spec.holder_identity or 'somebody whose name was removed'}")
            return None
        epoch = max(spec.lease_transitions or 0, least_epoch) + 1
        annotations = remembered | (lease.metadata.annotations or {})  # what it remembers is not overwritten here
        metadata = msgspec.structs.replace(lease.metadata, annotations=annotations)
        await self._writer.update_lease(self.name, _with(mine, epoch), read=metadata)
        return epoch

    def _is_free(self, spec: LeaseSpec) -> bool:
        """Whether it can be taken at once. Who gives it back leaves no renewTime; a person who edits it does."""
        given_back = spec.holder_identity in {None, ""} and spec.renew_time is None
        return given_back or spec.holder_identity == self.identity

    def _duration(self, spec: LeaseSpec) -> float:
        """Seconds for which its holder may believe in it, within reason: a person can write any number."""
        ours = self._timings.lease_duration
        return min(max(spec.lease_duration_seconds or ours, ours), _LONGEST_DURATION)

    def _unchanged_for(self, duration: float, found: tuple[LeaseSpec | None, int]) -> bool:
        """Whether another's lease has not changed for so many seconds, by our own clock: theirs may be wrong."""
        now = asyncio.get_running_loop().time()
        if self._seen is None or self._seen[0] != found:
            self._seen = (found, now)
        return now - self._seen[1] > duration

    async def _renew(self, held: Held) -> None:
        """Renews until the lease is lost. Nothing but that, and cancellation, ends it: a deaf holder helps nobody."""
        wait = self._timings.lease_renew
        while not held.lost:
            await asyncio.sleep(wait)
            wait = self._timings.lease_retry
            started = Instant.of(self._clock)
            try:
                async with asyncio.timeout(self._timings.lease_attempt):
                    await self._renew_once(held)
            except NotFoundError:
                self._lose(held, "it was deleted")
            except Exception as error:  # noqa: BLE001 - whatever an API server answers is a renewal that failed
                log.warning(
                    "lease not renewed", extra={"lease": self.name, "error": f"{type(error).__name__}: {error}"}
                )
            else:
                held.renewed(started)
                wait = self._timings.lease_renew

    async def _renew_once(self, held: Held) -> None:
        lease = await self._writer.read_lease(self.name)
        if not self._is_mine(lease, held):
            self._lose(held, f"held by {lease.spec.holder_identity or 'nobody'}")
            return
        spec = LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=round(self._timings.lease_duration),
            acquire_time=lease.spec.acquire_time,
            renew_time=datetime.fromtimestamp(self._clock.now(), UTC),
            lease_transitions=held.epoch,
        )
        await self._writer.update_lease(self.name, spec, read=lease.metadata)

    def _lose(self, held: Held, reason: str) -> None:
        held.lost = True
        log.error("lease lost", extra={"lease": self.name, "reason": reason})

    async def _give_back(self, held: Held) -> None:
        """Releases the lease, so that the next holder need not wait; best effort, within two seconds."""
        with suppress(KubernetesError, TimeoutError):
            async with asyncio.timeout(2):
                lease = await self._writer.read_lease(self.name)
                if self._is_mine(lease, held):
                    free = _with(LeaseSpec(holder_identity="", lease_duration_seconds=1), held.epoch)
                    await self._writer.update_lease(self.name, free, read=lease.metadata)

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
