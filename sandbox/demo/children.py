"""Child processes with a log file each: started, watched, ended by their process ids."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 5.0
"""Seconds that a child has between SIGTERM and SIGKILL."""
TAIL = 15
"""Lines of a log that are shown when something went wrong."""


class ChildDiedError(Exception):
    """A child ended before it was asked to; the message has the end of its log."""


@dataclass(slots=True)
class _Child:
    name: str
    process: asyncio.subprocess.Process
    log: Path


class Children:
    """The processes that the demo has started."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[_Child] = []

    async def start(self, name: str, argv: Sequence[str | os.PathLike[str]]) -> None:
        """Starts a program; what it prints goes to `NAME.log`. Raises OSError."""
        log = self._directory / f"{name}.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self._directory,
                start_new_session=True,  # Ctrl-C is for us alone, who end the children in order
            )
        self._children.append(_Child(name, process, log))

    @property
    def pids(self) -> dict[str, int]:
        """The process ids by name."""
        return {child.name: child.process.pid for child in self._children}

    def check(self) -> None:
        """Raises ChildDiedError when a child has ended."""
        for child in self._children:
            if child.process.returncode is not None:
                text = f"{child.name} ended with {child.process.returncode}:\n{self._tail(child)}"
                raise ChildDiedError(text)

    def tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {child.name}\n{self._tail(child)}" for child in self._children)

    async def stop(self) -> None:
        """Ends all, the youngest first."""
        for child in reversed(self._children):
            if child.process.returncode is None:
                child.process.send_signal(signal.SIGTERM)
        for child in reversed(self._children):
            try:
                await asyncio.wait_for(child.process.wait(), PATIENCE)
            except TimeoutError:
                child.process.kill()
                await child.process.wait()
        self._children.clear()

    def _tail(self, child: _Child) -> str:
        lines = child.log.read_text(errors="replace").splitlines()[-TAIL:]
        return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"
