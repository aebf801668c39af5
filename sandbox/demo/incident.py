"""What the demo watches, and the one incident that `--once` makes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from exporter.clock import from_rfc3339
from sandbox.demo.stage import Stage
from sandbox.demo.timeline import Timeline

RECOVERY_DEADLINE = 150.0
"""Seconds from the break until everything must be well again."""
DATABASE_AWAY = 4.0
"""Seconds for which Locket's database is away; the BBS stays wedged for longer, which is the point."""


DETAIL = 90
"""Characters of a step's detail that are shown; the report has all of it."""


@dataclass(slots=True)
class Observer:
    """Looks at the programs from outside, and tells the time line what has changed."""

    stage: Stage
    timeline: Timeline
    run: dict[str, Any] | None = None
    """The last run that was seen, as the webhook's API shows it."""
    firing: set[str] = field(default_factory=set)
    _gauge: float | None = 1.0
    _taken: float = 0.0
    _steps: int = 0
    _audited: int = 0
    _ready: set[str] = field(default_factory=set)
    _news: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ready = {pod["uid"] for pod in self._ready_pods()}

    async def look(self) -> None:
        """One look at everything; what is new is told in the order in which it happened."""
        self.stage.children.check()
        await self._look_at_gauge()
        await self._look_at_alerts()
        await self._look_at_notifications()
        await self._look_at_runs()
        self._look_at_deletes()
        self._look_at_pods()
        for at, event in sorted(self._news):
            self.timeline.add(event, at=at)
        self._news.clear()

    def _tell(self, event: str, at: str | None = None) -> None:
        """`at`: RFC 3339; now, where it is not said."""
        self._news.append((self.timeline.now() if at is None else from_rfc3339(at), event))

    async def watch(self, until: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Looks until it is so; for ever without it."""
        while until is None or not await until():
            await self.look()
            await asyncio.sleep(0.3)

    async def repaired(self) -> bool:
        """The run has ended, the pods are ready, the gauge is 1 again and nothing that asks for a restart fires."""
        ended = self.run is not None and self.run.get("outcome") is not None
        return ended and self._gauge == 1 and not self.firing & {"DiegoBBSUnreachable", "DiegoNoActiveLeader"}

    async def _look_at_gauge(self) -> None:
        gauge = await self.stage.gauge()
        if gauge != self._gauge:
            text = {
                None: "is absent: nobody knows",
                0.0: "is 0: nothing accepts on the BBS's address",
                1.0: "is 1 again",
            }
            self._tell(f"exporter: diego_bbs_tcp_reachable {text.get(gauge, gauge)}")
            self._gauge = gauge

    async def _look_at_notifications(self) -> None:
        taken = await self.stage.notifications()
        if taken > self._taken:
            self._tell("webhook: a notification is on record (202)")
        self._taken = max(taken, self._taken)

    async def _look_at_alerts(self) -> None:
        firing = await self.stage.sender.firing()
        for name in sorted(firing - self.firing):
            self._tell(f"alert fires: {name}")
        for name in sorted(self.firing - firing):
            self._tell(f"alert resolved: {name}")
        self.firing = firing

    def _look_at_deletes(self) -> None:
        audit = self.stage.box.audit
        for event in audit[self._audited :]:
            reference, code = event["objectRef"], event["responseStatus"]["code"]
            if event["verb"] == "delete" and reference["resource"] == "pods":
                uid = ((event.get("requestObject") or {}).get("preconditions") or {}).get("uid", "")
                done = "" if code == 200 else f" (answer: {code})"
                self._tell(f"pod deleted: {reference['name']}, uid {uid[:8]}{done}", event["requestReceivedTimestamp"])
        self._audited = len(audit)

    async def _look_at_runs(self) -> None:
        runs = await self.stage.runs()
        if not runs:
            return
        newest = runs[0]
        if self.run is None or self.run["id"] != newest["id"]:
            self._steps = 0
            by = f", requested by {newest['requested_by']}" if newest.get("requested_by") else ""
            self._tell(f"webhook: run {newest['id']} starts{by}", newest["started"])
        for step in newest["steps"][self._steps :]:
            if not step.get("ended"):
                break
            self._steps += 1
            detail = f": {_short(step['detail'])}" if step.get("detail") else ""
            self._tell(f"step {step['name']}: {step['result']}{detail}", step["ended"])
        if newest.get("outcome") and not (self.run and self.run["id"] == newest["id"] and self.run.get("outcome")):
            reason = f" ({newest['reason']})" if newest.get("reason") else ""
            self._tell(f"run {newest['id']}: {newest['outcome']}{reason}", newest["ended"])
        self.run = newest

    def _look_at_pods(self) -> None:
        for pod in self._ready_pods():
            if pod["uid"] not in self._ready:
                self._ready.add(pod["uid"])
                self._tell(f"new pod ready: {pod['name']} {pod['ready']}, uid {pod['uid'][:8]}")

    def _ready_pods(self) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = self.stage.box.state()["pods"]
        return [pod for pod in pods if pod["ready"] == "2/2" and not pod["terminating"]]


async def break_and_recover(observer: Observer) -> None:
    """Takes Locket's database away and back, and watches until all is well. Raises TimeoutError and ChildDiedError."""
    stage, timeline = observer.stage, observer.timeline
    timeline.begin()
    timeline.add("break: Locket's database goes away, the active BBS loses its lock and wedges")
    stage.box.fault("locket-db-down")
    mending = asyncio.get_running_loop().call_later(DATABASE_AWAY, _bring_back, stage, timeline)
    try:
        async with asyncio.timeout(RECOVERY_DEADLINE):
            await observer.watch(until=observer.repaired)
    finally:
        mending.cancel()


def _bring_back(stage: Stage, timeline: Timeline) -> None:
    stage.box.fault("locket-db-up")
    timeline.add("the database is back; the BBSs stay wedged until their pods are restarted")


def _short(detail: str) -> str:
    return detail if len(detail) <= DETAIL else detail[: DETAIL - 1] + "…"
