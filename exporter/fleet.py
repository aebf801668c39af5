"""The foundations of the config, each with its observer: begun, ended and begun anew as the config changes.

A foundation that crashes is begun again by itself; what hangs for one delays no other.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from exporter.clock import Clock
from exporter.config.model import Config, Foundation
from exporter.foundation.observer import Observer
from exporter.foundation.probe import Dialer, dial_tcp
from exporter.gauges import ViewAt, expired
from exporter.kubernetes.api import Kubernetes
from exporter.metrics import Instruments

log = logging.getLogger(__name__)

Connect = Callable[[Foundation, Callable[[str, str], None]], Kubernetes]
"""Makes the reader of a foundation, which tells (verb, code) of each of its requests."""
RESTART_DELAY = 10.0
"""Seconds between a crash of an observer and its next start."""


@dataclass(frozen=True, slots=True)
class _Member:
    observer: Observer
    task: asyncio.Task[None]


class Fleet:
    """Observes all foundations of a config, while `run` runs."""

    def __init__(
        self,
        config: Config,
        *,
        connect: Connect,
        clock: Clock,
        random: Random,
        instruments: Instruments,
        dial: Dialer = dial_tcp,
    ) -> None:
        self._config = config
        self._connect = connect
        self._clock = clock
        self._random = random
        self._instruments = instruments
        self._dial = dial
        self._members: dict[str, _Member] = {}
        self._group: asyncio.TaskGroup | None = None
        self._was_ready = False

    @property
    def observers(self) -> tuple[Observer, ...]:
        return tuple(member.observer for member in self._members.values())

    def looks(self) -> Iterator[ViewAt]:
        """Each foundation as it is seen now."""
        now = self._clock.now()
        for observer in self.observers:
            yield ViewAt(observer.foundation, observer.view, now)

    def key(self) -> Hashable:
        """Changes whenever what the looks show does, be it by an event or by age."""
        versions = [observer.version for observer in self.observers]
        ages = [(look.foundation.name, expired(look)) for look in self.looks()]
        return tuple(zip(versions, ages, strict=True))

    def not_ready(self) -> str | None:
        """Which foundations were not asked yet. Once all were it stays ready: a dead API server is not our defect."""
        waiting = [observer.foundation.name for observer in self.observers if not observer.tried]
        if self._group is None or (waiting and not self._was_ready):
            return f"the first look at {', '.join(waiting) or 'the foundations'} is under way"
        self._was_ready = True
        return None

    async def run(self) -> None:
        """Observes until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self.apply(self._config)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def apply(self, config: Config) -> None:
        """Goes on with this config: a foundation that is the same in both stays as it is."""
        self._config = config
        if self._group is None:
            return
        wanted = {foundation.name: _observed(foundation) for foundation in config.foundations}
        for name, member in list(self._members.items()):
            if wanted.get(name) != member.observer.foundation:
                member.task.cancel()
                del self._members[name]
            if name not in wanted:
                self._instruments.remove(name)
        for name, foundation in wanted.items():
            if name not in self._members:
                self._instruments.add(name)
                self._begin(self._group, foundation)
        # In the order of the config, which is that of the page.
        self._members = {name: self._members[name] for name in wanted}

    def _begin(self, group: asyncio.TaskGroup, foundation: Foundation) -> None:
        name = foundation.name
        observer = Observer(
            foundation,
            self._connect(foundation, partial(self._instruments.requested, name)),
            clock=self._clock,
            random=self._random,
            dial=self._dial,
            probed=partial(self._instruments.probed, name),
        )
        self._members[name] = _Member(observer, group.create_task(_keep_going(observer)))


def _observed(foundation: Foundation) -> Foundation:
    """The foundation without what only concerns its remediation, which is no reason to start anew."""
    default = Foundation.model_fields["remediation"].default
    return foundation.model_copy(update={"remediation": default})


async def _keep_going(observer: Observer) -> None:
    """Runs an observer, again and again should it crash: a defect met in one foundation blinds no other."""
    while True:
        try:
            await observer.run()
        except Exception:
            log.exception("an observer crashed", extra={"foundation": observer.foundation.name})
        await asyncio.sleep(RESTART_DELAY)
