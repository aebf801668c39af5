"""Locket and the BBS: who holds the lock, who serves on 8889, who is wedged.

A BBS listens on 8889 only while it holds the lock, and answers `/ping` on 8890 always. When the lock's database goes
away, a BBS that has seen it stops listening and stays wedged until its pod is restarted: the incident that this project
is about. One that starts meanwhile waits for the database. Each BBS looks every `POLL` seconds.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.cluster.timers import Timers

POLL = 0.2


@dataclass(slots=True)
class Bbs:
    """One BBS process, named by its pod's UID."""

    uid: str
    log: Callable[[str], None] = field(repr=False)
    holds_lock: bool = False
    wedged: bool = False
    saw_database: bool = False


class Locket:
    """The lock, its database, and the BBS processes that want it."""

    def __init__(self, timers: Timers, rng: random.Random, *, changed: Callable[[], None]) -> None:
        self._timers = timers
        self._rng = rng
        self._changed = changed
        self._processes: dict[str, Bbs] = {}
        self._scheduled = False
        self.database_up = True
        self.split_brain = False
        """Every BBS listens, lock or not."""
        self.held_elsewhere = False
        """A BBS outside, or a stale lock, has it: no restart helps."""

    def start(self, uid: str, log: Callable[[str], None]) -> None:
        self._processes[uid] = Bbs(uid, log)
        self.look_soon()

    def stop(self, uid: str) -> None:
        """The process is gone, and with it the lock, if it held it."""
        if self._processes.pop(uid, None) is not None:
            self.look_soon()
            self._changed()

    def serves(self, uid: str) -> bool:
        """Whether this BBS accepts on 8889."""
        process = self._processes.get(uid)
        return process is not None and (process.holds_lock or self.split_brain)

    def find(self, uid: str) -> Bbs | None:
        return self._processes.get(uid)

    def look_soon(self) -> None:
        """Something has changed: the processes notice at their next look."""
        if not self._scheduled:
            self._scheduled = True
            self._timers.after(POLL, self._look)

    def _look(self) -> None:
        self._scheduled = False
        processes = list(self._processes.values())
        self._rng.shuffle(processes)  # who looks first is chance
        for process in processes:
            process.saw_database |= self.database_up
            if not self.database_up and process.saw_database and not process.wedged:
                process.wedged, process.holds_lock = True, False
                process.log("lost the lock database")
            elif process.holds_lock and self.held_elsewhere:
                process.holds_lock = False
                process.log("lost the lock to another holder")
            if self.database_up and not process.wedged and not self._taken():
                process.holds_lock = True
                process.log("acquired the lock")
        self._changed()

    def _taken(self) -> bool:
        return self.held_elsewhere or any(process.holds_lock for process in self._processes.values())
