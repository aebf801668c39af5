"""What happens in a random incident besides the programs' own faults: events of the world, people, ambushes."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from exporter.config.remediation import Mode
from sandbox.cluster.programs import Outcome as Dialled
from sandbox.simulation.ambush import Ambush
from sandbox.simulation.people import People
from sandbox.simulation.stage import Stage

DURATION = 90.0
"""Seconds in which things go wrong."""
SWITCHES = ("freeze-label", "label-all", "label-none", "split-brain", "no-nc", "lock-elsewhere", "unhealthy")
POD_SWITCHES = (
    ("stuck", "diego-api-1"),
    ("never-ready", "diego-api-1"),
    ("node-dies", "diego-api-0"),
    ("node-dies", "diego-api-1"),
    ("node-dies", "api-0"),
    ("blind", "api-0"),
)

Event = Callable[[], Awaitable[None] | None]


class Storm:
    """A few events, each at a random moment."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._box = stage.box
        self._random = stage.random
        self._people = people = People(stage)
        self._ambush = Ambush(stage, people)
        self.over = False
        """Whether every event has happened; an ambush may still be laid."""
        self._events: dict[str, Event] = {
            "api hangs": self._api_hangs,
            "api dies": self._api_dies,
            "own probes are blind": self._blind,
            "a BBS recovers": self._recovers,
            "compaction": self._box.cluster.forget_history,
            "labels are late": partial(self._for_a_while, "freeze-label", "thaw-label"),
            "the lock is held elsewhere": partial(self._for_a_while, "lock-elsewhere", "lock-back"),
            "controllers are away": self._controllers_away,
            "reload, another mode": lambda: people.reload_mode(self._random.choice(tuple(Mode))),
            "reload, other settings": people.reload_settings,
            "one Prometheus has no data": self._mute,
            "one Alertmanager is cut off": self._cut,
            "the journal is deleted": people.delete_journal,
            "pause": people.pause,
            "exclude": people.exclude,
            "a clock is set": people.set_clock,
            "a person runs": partial(people.run, observe=False),
            "a person observes": partial(people.run, observe=True),
        }
        self._events |= {name: partial(self._box.fault, name) for name in SWITCHES}
        self._events |= {f"{name} {pod}": partial(self._box.fault, name, pod) for name, pod in POD_SWITCHES}

    async def run(self) -> None:
        """Until it is cancelled."""
        if not self._stage.plan.random:
            return
        count = self._random.choice((0, 1, 1, 2, 3, 5))
        focused = self._stage.faults.focused
        tasks = [asyncio.create_task(self._people.approve())]
        if focused or (count and self._random.random() < 0.3):
            tasks += [asyncio.create_task(self._ambush.lay()) for _ in range(self._random.choice((2, 2, 3, 4)))]
        try:
            await self._happen(0 if focused else count)
            self.over = True
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _happen(self, count: int) -> None:
        names = list(self._events)
        for _ in range(count):
            await asyncio.sleep(self._random.uniform(0.0, DURATION / 3))
            name = self._random.choice(names)
            self._stage.note(f"event: {name}")
            lasting = self._events[name]()
            if lasting is not None:
                await lasting

    async def _api_hangs(self) -> None:
        self._box.mishaps.set(hanging=True)
        await self._a_while()
        self._box.mishaps.set(hanging=False)

    async def _api_dies(self) -> None:
        self._box.mishaps.set(killed=True)
        await self._a_while()
        self._box.mishaps.set(killed=False)

    async def _for_a_while(self, name: str, back: str) -> None:
        self._box.fault(name)
        await self._a_while()
        self._box.fault(back)

    async def _controllers_away(self) -> None:
        """Pods that are gone do not come back, and labels and endpoints stay."""
        self._box.catch_up()
        self._box.cluster.queue.available = False
        await self._a_while()
        self._box.catch_up()
        self._box.cluster.queue.available = True

    async def _a_while(self) -> None:
        await asyncio.sleep(self._random.choice((1.0, 5.0, 12.0, 20.0, 40.0)))

    def _blind(self) -> None:
        self._box.cluster.faults.blind[""] = self._random.choice((Dialled.TIMEOUT, Dialled.REFUSED))

    def _recovers(self) -> None:
        self._box.fault("crash", self._random.choice(("diego-api-0", "diego-api-1")))

    def _mute(self) -> None:
        self._random.choice(self._stage.proms).blind = True

    def _cut(self) -> None:
        self._random.choice(self._stage.managers).cut = True
