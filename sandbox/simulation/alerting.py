"""Prometheus replicas and an Alertmanager pair, modelled from their documented behaviour, with shortened times.

Prometheus evaluates a rule, waits for its `for`, sends firing alerts again and again with an `endsAt` in the future,
and a `resolved` for 15 minutes after the end. Alertmanager takes the latest word of any sender, resolves an alert whose
`endsAt` has passed, groups, and delivers at least once: also twice, late, and in any order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

EVALUATION = 5.0
FOR = 5.0
RESEND = 20.0
LIFETIME = 4 * RESEND
GROUP_WAIT = 2.0
GROUP_INTERVAL = 12.0
REPEAT = 60.0
TIMEOUT = 10.0
RETENTION = 900.0


@dataclass(frozen=True, slots=True)
class Sent:
    """An alert on its way. Times are Unix times; `ends_at` in the future: it fires."""

    starts_at: float
    ends_at: float


Deliver = Callable[[Sent, bool], Awaitable[int | None]]
"""Posts one alert (and whether it fires) to some replica; the HTTP status, None for no answer."""


@dataclass
class Prometheus:
    """One replica. `blind`: it has no data, which looks like health to a rule."""

    down: Callable[[], bool]
    now: Callable[[], float]
    receivers: "list[Alertmanager]"
    blind: bool = False
    pending: float | None = None
    firing: float | None = None
    resolved: float | None = None
    sent: float = 0.0

    async def run(self) -> None:
        while True:
            self.evaluate()
            await asyncio.sleep(EVALUATION)

    def evaluate(self) -> None:
        now = self.now()
        down = self.down() and not self.blind
        if down:
            self.pending = self.pending if self.pending is not None else now
            if self.firing is None and now - self.pending >= FOR:
                self.firing, self.resolved, self.sent = now, None, 0.0
        else:
            self.pending = None
            if self.firing is not None and self.resolved is None:
                self.resolved, self.sent = now, 0.0
        if self.firing is None or now - self.sent < RESEND:
            return
        self.sent = now
        ends = self.resolved if self.resolved is not None else now + LIFETIME
        for receiver in self.receivers:
            receiver.receive(Sent(self.firing, ends))
        if self.resolved is not None and (down or now - self.resolved > RETENTION):
            self.firing = None


@dataclass
class Alertmanager:
    """One of a pair. `cut`: it hears nothing from Prometheus."""

    deliver: Deliver
    now: Callable[[], float]
    random: Random
    cut: bool = False
    alert: Sent | None = None
    told: tuple[bool, float] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, alert: Sent) -> None:
        if self.cut:
            return
        if self.alert is not None and self.alert.ends_at >= alert.starts_at:
            alert = Sent(min(self.alert.starts_at, alert.starts_at), alert.ends_at)
        self.alert = alert
        self.news.set()

    async def run(self) -> None:
        while True:
            await self.news.wait()
            self.news.clear()
            await asyncio.sleep(GROUP_WAIT)
            while self.alert is not None:
                await self._flush()
                await asyncio.sleep(GROUP_INTERVAL)

    async def _flush(self) -> None:
        alert, now = self.alert, self.now()
        if alert is None:
            return
        firing = alert.ends_at > now
        changed = self.told is None or self.told[0] != firing
        if not changed and not (firing and self.told is not None and now - self.told[1] >= REPEAT):
            return
        if not firing and self.told is None:
            return
        wait = 1.0
        for _ in range(4):
            status = await self._post(alert, firing=firing)
            if status is not None and 200 <= status < 300:
                self.told = (firing, now)
                return
            await asyncio.sleep(wait)
            wait *= 2

    async def _post(self, alert: Sent, *, firing: bool) -> int | None:
        copies = 2 if self.random.random() < 0.1 else 1
        if self.random.random() < 0.05:
            await asyncio.sleep(self.random.uniform(0.0, 15.0))
        statuses = await asyncio.gather(*(self._one(alert, firing=firing) for _ in range(copies)))
        return next((status for status in statuses if status is not None), None)

    async def _one(self, alert: Sent, *, firing: bool) -> int | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self.deliver(alert, firing)
        except TimeoutError:
            return None
