"""What every command of `diego-runbook` needs: connections, the clock, the person, the terminal, the exit codes."""

import getpass
import os
import socket
import sys
from datetime import datetime
from enum import IntEnum
from random import Random
from types import TracebackType
from typing import Self

from exporter.clock import Clock, SystemClock, utc_now
from exporter.config.model import Foundation
from exporter.config.types import printable
from exporter.foundation.probe import dial_tcp
from exporter.foundation.view import Probe
from exporter.kubernetes.api import KubernetesError
from exporter.kubernetes.connection import Connections
from webhook.medic.wiring import store_for, writer_for
from webhook.record.journal import Run, Step, StepResult
from webhook.record.store import Store, journal_name
from webhook.requests.decision import Decision
from webhook.runbook.context import RunContext
from webhook.timings import DEFAULT


class ExitCode(IntEnum):
    """The exit codes of all commands. docs/runbook-cli.md has their meanings for each."""

    OK = 0
    FAILED = 1  # `check`: confirmed unreachable
    USAGE = 2
    UNKNOWN = 3
    DEGRADED = 4


class NoMeter:
    """A command that exits has no metrics to expose."""

    def step(self, step: Step, result: StepResult, seconds: float) -> None: ...

    def run_ended(self, run: Run) -> None: ...

    def decided(self, decision: Decision) -> None: ...

    def leading(self, leads: bool) -> None: ...


class ServerClock:
    """The API server's wall clock, which is `offset` seconds ahead of this machine's, as far as an answer told."""

    def __init__(self, machine: Clock) -> None:
        self.offset = 0.0
        self._machine = machine

    def align(self, server_time: float | None) -> None:
        """Goes by the server's clock, as it is in its answer of just now, where the two differ by too much."""
        if server_time is not None:
            offset = server_time - self._machine.now()
            self.offset = offset if abs(offset) > DEFAULT.clock_skew else 0.0

    def now(self) -> float:
        return self._machine.now() + self.offset

    def boottime(self) -> float:
        return self._machine.boottime()


class CommandContext:
    """The connections of a command are closed when it ends."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.clock: Clock = SystemClock()
        self.random = Random()  # noqa: S311 - jitter and the tail of a run's id
        self.person = f"{_user()}@{socket.gethostname()}"

    def now(self) -> datetime:
        return utc_now(self.clock)

    async def align_clock(self, foundation: Foundation) -> None:
        """Compares this machine's clock with the API server's, and uses the server's where they differ by too much.

        What a person does is on record with its time, and compared with times of other machines. Raises
        ApiUnreachableError where the answer took too long: the command itself would only wait as long once more.
        """
        writer = writer_for(foundation, self.connections)
        try:
            await writer.read_config_map(journal_name(foundation))
        except KubernetesError as error:  # a 404 has a Date as well; the command itself reports what is wrong
            if isinstance(error.__cause__, TimeoutError):
                raise
        clock = ServerClock(self.clock)
        clock.align(writer.server_time)
        if clock.offset:
            hint(
                f"warning: this machine's clock differs by {-clock.offset:+.0f} s from the API server's; "
                "times are recorded by the server's clock"
            )
            self.clock = clock

    def store(self, foundation: Foundation) -> Store:
        return store_for(foundation, writer_for(foundation, self.connections))

    def run_context(self, foundation: Foundation) -> RunContext:
        """What the checks of a run need, without a run."""
        return RunContext(
            foundation=foundation,
            kubernetes=writer_for(foundation, self.connections),
            clock=self.clock,
            random=self.random,
            dial=dial_tcp,
            meter=NoMeter(),
            on_probe=_ignore,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connections.close()


def say(text: str) -> None:
    """Prints text for the person, at once. A log or an alert may contain terminal escapes: they are made visible."""
    lines = (printable(line.expandtabs()) for line in text.split("\n"))
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def hint(text: str) -> None:
    """Prints a line beside the result, to standard error."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def mute() -> None:
    """Nobody reads standard output any more: what is still in its buffer goes nowhere, and without a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid-{os.getuid()}"


def _ignore(_probe: Probe, _reachable: bool | None) -> None: ...
