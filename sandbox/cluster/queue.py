"""The controllers' work queue: a key once, a moment after the change, and not while the API server is away."""

from collections.abc import Callable

from sandbox.cluster.timers import Timers

Key = tuple[str, ...]


class WorkQueue:
    """Work that goes through the API server: it waits while that is not available."""

    def __init__(self, timers: Timers, *, delay: float) -> None:
        self._timers = timers
        self._delay = delay
        self._waiting: dict[Key, Callable[[], None]] = {}
        self._available = True

    @property
    def available(self) -> bool:
        """Whether the API server answers its controllers and kubelets."""
        return self._available

    @available.setter
    def available(self, value: bool) -> None:
        back = value and not self._available
        self._available = value
        if back:
            for key in tuple(self._waiting):
                self._timers.after(self._delay, lambda key=key: self._run(key))  # type: ignore[misc]

    def add(self, key: Key, work: Callable[[], None], *, delay: float | None = None) -> None:
        """Runs `work` once after the delay (seconds; the queue's own by default), however often the key is added."""
        if key in self._waiting:
            return
        self._waiting[key] = work
        self._timers.after(self._delay if delay is None else delay, lambda: self._run(key))

    def _run(self, key: Key) -> None:
        if self._available and (work := self._waiting.pop(key, None)):
            work()
