"""Locket and the BBS: who holds the lock, who serves on 8889, who is wedged.

A BBS listens on 8889 only while it holds the lock, and answers `/ping` on 8890 always. When the lock's database goes
away, a BBS that has seen it stops listening and stays wedged until its pod is restarted: the incident that this project
is about. One that starts meanwhile waits for the database. Each BBS looks every `POLL` seconds.

Where Locket has pods of its own, a BBS reaches the lock through them only. While none of them answers, nobody holds the
lock, and nobody is wedged by that.
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

    def __init__(self, timers: Timers, rng: random.Random, *, own_pods: bool, changed: Callable[[], None]) -> None:
        self._timers = timers
        self._rng = rng
        self._changed = changed
        self._processes: dict[str, Bbs] = {}
        self._own_pods = own_pods
        self._answering: dict[str, bool] = {}
        """Of Locket's own processes, by their pods' UIDs: whether they answer."""
        self._scheduled = False
        self.database_up = True
        self.split_brain = False
        """Every BBS listens, lock or not."""
        self.held_elsewhere = False
        """A BBS outside, or a stale lock, has it: no restart helps."""

    def start(self, uid: str, log: Callable[[str], None]) -> None:
        self._processes[uid] = Bbs(uid, log)
        self.look_soon()

    def start_server(self, uid: str) -> None:
        """One of Locket's own processes runs."""
        self._answering[uid] = True
        self.look_soon()

    def hang(self) -> None:
        """Locket's own processes that run now hang, until their pods are restarted."""
        self._answering = dict.fromkeys(self._answering, False)

    def unhang(self) -> None:
        self._answering = dict.fromkeys(self._answering, True)

    def answers(self, uid: str) -> bool:
        """Whether this is one of Locket's own processes, and answers."""
        return self._answering.get(uid, False)

    def stop(self, uid: str) -> None:
        """The process is gone, and with it the lock, if it held it."""
        server = self._answering.pop(uid, None)
        if self._processes.pop(uid, None) is not None or server is not None:
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
        reachable = not self._own_pods or any(self._answering.values())
        processes = list(self._processes.values())
        self._rng.shuffle(processes)  # who looks first is chance
        for process in processes:
            process.saw_database |= self.database_up and reachable
            if not self.database_up and process.saw_database and not process.wedged:
                process.wedged, process.holds_lock = True, False
                process.log("lost the lock database")
            elif process.holds_lock and (self.held_elsewhere or not reachable):
                process.holds_lock = False
                process.log("lost the lock")
            if self.database_up and reachable and not process.wedged and not self._taken():
                process.holds_lock = True
                process.log("acquired the lock")
        self._changed()

    def _taken(self) -> bool:
        return self.held_elsewhere or any(process.holds_lock for process in self._processes.values())
