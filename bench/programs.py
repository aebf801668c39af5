"""The programs that are measured, each a process: started, found, asked about its memory and its processor time."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.http import get
from bench.measure import MissingToolError

BLACKBOX = ("blackbox_exporter", "prometheus-blackbox-exporter")
_ADDRESS = re.compile(r"msg=started .*address=127\.0\.0\.1:(\d+)")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Program:
    """A process that listens on loopback."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def resident(self) -> float:
        """MiB of memory that are in use now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def processor_time(self) -> float:
        """Seconds of processor time since the start, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def running(
    command: Iterable[str | Path], *, port: int | None = None, environment: dict[str, str] | None = None
) -> Iterator[Program]:
    """Runs a program until the block is left. Without a `port` it is read from the log line `started`; 0 is none."""
    with tempfile.TemporaryDirectory(prefix="diego-bench-") as directory:
        log = Path(directory) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | (environment or {}),
            )
        try:
            yield Program(process, _announced(process, log) if port is None else port, log)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _announced(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        if found := _ADDRESS.search(text):
            return int(found[1])
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended:\n{text}")
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen:\n{log.read_text(errors='replace')}")


def exporter(
    config: Path, *, module: str = "exporter.main", environment: dict[str, str] | None = None
) -> AbstractContextManager[Program]:
    """Runs diego-exporter."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        module,
        "--config.file",
        config,
        "--web.listen-address",
        "127.0.0.1:0",
    ]
    return running(command, environment=environment)


@contextmanager
def blackbox() -> Iterator[Program]:
    """Runs blackbox_exporter, with one module `tcp`. Raises MissingToolError."""
    program = next(filter(None, map(shutil.which, BLACKBOX)), None)
    if program is None:
        raise MissingToolError("blackbox_exporter is needed (Debian: prometheus-blackbox-exporter)")
    with tempfile.TemporaryDirectory(prefix="diego-bench-") as directory:
        config = Path(directory) / "blackbox.yml"
        config.write_text(yaml.safe_dump({"modules": {"tcp": {"prober": "tcp", "timeout": "5s"}}}))
        port = free_port()
        command = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        with running(command, port=port) as found:
            until(lambda: get(port, "/-/healthy").status == 200, what="blackbox_exporter listens")
            yield found


def until(condition: Callable[[], bool], *, what: str, seconds: float = 60.0, every: float = 0.05) -> None:
    """Waits for a condition; a connection that is refused is not it yet. All times are seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if condition():
                return
        time.sleep(every)
    raise RuntimeError(f"not within {seconds:g} s: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
