"""The medics of a config, one for each foundation: begun, ended and begun anew as the config changes."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from exporter.config.model import Config, Foundation
from exporter.kubernetes.connection import Connections
from webhook.medic.medic import Medic
from webhook.record.journal import Journal

JOURNAL_AGE = 60.0
"""Seconds for which a journal that can't be read any more is still shown as it was."""


class Medics:
    """Works on all foundations of a config, while `run` runs. What hangs for one delays no other."""

    def __init__(self, config: Config, *, build: Callable[[Foundation, Connections], Medic]) -> None:
        self._config = config
        self._build = build
        self._connections = Connections()
        self._medics: dict[str, Medic] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._arrange()

    @property
    def by_foundation(self) -> Mapping[str, Medic]:
        return MappingProxyType(self._medics)

    def foundations(self) -> tuple[Foundation, ...]:
        return tuple(medic.foundation for medic in self._medics.values())

    def journals(self) -> dict[str, Journal]:
        """What the journals say; one that was not read for `JOURNAL_AGE` says nothing."""
        seen = {name: medic.store.recent(JOURNAL_AGE) for name, medic in self._medics.items()}
        return {name: journal for name, journal in seen.items() if journal is not None}

    def not_ready(self) -> str | None:
        """Which journals were not tried yet. A dead API server is not our defect: it was tried."""
        waiting = [name for name, medic in self._medics.items() if not medic.tried]
        return f"the journals of {', '.join(waiting)} were not read yet" if waiting else None

    async def run(self) -> None:
        """Works until it is cancelled. A run under way stays open in its journal, for whoever holds the lease next."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start()
                await asyncio.Event().wait()
        finally:
            self._group = None
            await self._connections.close()

    def apply(self, config: Config) -> None:
        """Goes on with this config: a foundation that is the same in both stays as it is."""
        self._config = config
        self._arrange()
        self._start()

    def _arrange(self) -> None:
        wanted = {foundation.name: foundation for foundation in self._config.foundations}
        for name, medic in list(self._medics.items()):
            if wanted.get(name) != medic.foundation:
                del self._medics[name]
                if (task := self._tasks.pop(name, None)) is not None:
                    task.cancel()
        made = {
            name: self._medics.get(name) or self._build(foundation, self._connections)
            for name, foundation in wanted.items()
        }
        self._medics.clear()
        self._medics.update(made)

    def _start(self) -> None:
        if self._group is None:
            return
        for name, medic in self._medics.items():
            if name not in self._tasks:
                self._tasks[name] = self._group.create_task(medic.run())
