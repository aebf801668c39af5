"""The sandbox as a process of its own: `python -m bench.box` prints the path of a config file for it, and stays."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.programs import running, until
from sandbox.sandbox import Sandbox


@contextmanager
def box(**settings: str) -> Iterator[Path]:
    """Runs a sandbox; yields the config file, in which `settings` are those of `remediation`."""
    command = [sys.executable, "-m", "bench.box", *(f"{key}={value}" for key, value in settings.items())]
    with running(command, port=0) as program:
        until(lambda: program.log.read_text().endswith("\n"), what="the sandbox is up")
        yield Path(program.log.read_text().strip())


async def _main(settings: dict[str, str]) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with Sandbox() as sandbox:
        config = sandbox.config()
        config["remediation"] |= settings
        sys.stdout.write(f"{sandbox.write_config(config)}\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    asyncio.run(_main(dict(part.split("=", 1) for part in sys.argv[1:])))
