"""Reading the stop-watch of `bench.watched_exporter`."""

import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.programs import Program, exporter, until

Stretches = list[tuple[float, str]]
"""Seconds and where, the longest first."""


@contextmanager
def watched_exporter(config: Path) -> Iterator[tuple[Program, "StopWatch"]]:
    """Runs diego-exporter with a stop-watch on its event loop."""
    with tempfile.TemporaryDirectory(prefix="diego-bench-") as directory:
        file = Path(directory) / "stretches.json"
        environment = {"DIEGO_BENCH_STRETCHES": str(file)}
        with exporter(config, module="bench.watched_exporter", environment=environment) as program:
            yield program, StopWatch(program, file)


class StopWatch:
    """The stop-watch of one process."""

    def __init__(self, program: Program, file: Path) -> None:
        self._program = program
        self._file = file

    def read(self) -> Stretches:
        """What it has noted since it was read last."""
        self._file.unlink(missing_ok=True)
        self._program.process.send_signal(signal.SIGUSR1)
        until(self._file.exists, what="the stop-watch is read")
        noted: Stretches = json.loads(self._file.read_text())
        return noted
