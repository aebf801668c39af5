"""A file that is read again when it changes."""

import logging
import os
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from exporter.config.errors import ConfigError

log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY: Final = 5.0
"""Seconds after which a file that could not be used is read again even if it did not change: what was missing may be a
file that it names."""


class FollowedFile(Generic[T]):
    """What a file says, read again when it, or a file that it names, changes.

    A change that cannot be used is logged, and what was read before stays in force.
    """

    def __init__(
        self,
        path: str,
        read: Callable[[], tuple[T, tuple[str, ...]]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file.

        Args:
            path: the file.
            read: reads it; returns its content, and the other files that the content depends on. Raises ConfigError.
            monotonic: seconds of a clock that never goes back.

        Raises:
            ConfigError: what `read` raises.

        """
        self._path = path
        self._read = read
        self._monotonic = monotonic
        self._files: tuple[str, ...] = (path,)
        self._failed_at: float | None = None
        self._failure = ""
        self._value = self._load()

    def current(self) -> T:
        """The content now. One `stat` a file, and nothing else, while none of them changes."""
        unchanged = signature(self._files) == self._signature
        if unchanged and (self._failed_at is None or self._monotonic() - self._failed_at < _RETRY):
            return self._value
        try:
            self._value = self._load()
        except ConfigError as error:
            if self._failed_at is None or str(error) != self._failure:
                log.error(  # noqa: TRY400 - the problems are the person's who wrote the file
                    "file not reloaded, what it said before stays in force",
                    extra={"file": self._path, "problem": str(error)},
                )
            self._failed_at, self._failure = self._monotonic(), str(error)
        else:
            self._failed_at = None
            log.info("file reloaded", extra={"file": self._path})
        return self._value

    def _load(self) -> T:
        while True:
            self._signature = signature(self._files)  # before it is read: what changes meanwhile is read again
            value, others = self._read()
            files = (self._path, *others)
            if files == self._files:
                return value
            self._files = files


def signature(files: tuple[str, ...]) -> tuple[object, ...]:
    """What changes when one of the files does. A mounted Secret changes by a link, so links are followed."""
    found: list[object] = []
    for file in files:
        try:
            seen = os.stat(file)  # noqa: PTH116 - on every request; pathlib would cost more than the call
            found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
