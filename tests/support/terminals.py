"""A program in a pseudo-terminal: what it draws, and the keys that a person presses."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.programs import DEADLINE, until

_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_HOME = "\x1b[H"
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
HIDE_CURSOR, SHOW_CURSOR, LEAVE_SCREEN = "\x1b[?25l", "\x1b[?25h", "\x1b[?1049l"
CTRL_C, CTRL_Q, CTRL_S, CTRL_Z = b"\x03", b"\x11", b"\x13", b"\x1a"


class Terminal:
    """What came from the program, with its escapes."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self.raw = ""
        self._master = master

    @property
    def as_it_was(self) -> bool:
        """Whether the terminal has its cursor again."""
        return self.raw.rfind(SHOW_CURSOR) > self.raw.rfind(HIDE_CURSOR)

    @property
    def text(self) -> str:
        """All of it, without escapes."""
        return _ESCAPE.sub("", self.raw).replace("\r", "")

    @property
    def picture(self) -> str:
        """What was drawn last on a screen of its own."""
        return _ESCAPE.sub("", self.raw.rpartition(_HOME)[2]).replace("\r", "")

    async def until_it_shows(self, *texts: str) -> str:
        """Waits for a picture with all of these, and returns it."""

        async def look() -> str:
            picture = self.picture
            return picture if all(text in picture for text in texts) else ""

        try:
            found: str = await until(look, what="the picture")
        except AssertionError:
            raise AssertionError(f"wanted {texts}, found\n{self.picture}") from None
        return found

    async def until_it_says(self, text: str) -> None:
        async def look() -> bool:
            return text in self.text

        try:
            await until(look, what="the text")
        except AssertionError:
            raise AssertionError(f"wanted {text}, found\n{self.text}") from None

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    async def ended(self) -> int:
        """The exit code; then all that it has drawn is here."""
        code = await asyncio.wait_for(self.process.wait(), DEADLINE)
        while self.read():
            pass
        return code

    def read(self) -> bool:
        """Takes what is there; False where the other end is closed."""
        try:
            self.raw += os.read(self._master, 65536).decode(errors="replace")
        except OSError:
            asyncio.get_running_loop().remove_reader(self._master)
            return False
        return True


@asynccontextmanager
async def in_terminal(
    config: Path, *arguments: str, rows: int = 50, columns: int = 110, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """`diego-runbook` as a person starts it: standard input, output and error are the terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "LINES"}}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "webhook.operator.cli", *arguments, "--config.file", str(config)),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, "TERM": "xterm-256color", **(environment or {})},
        preexec_fn=_takes_the_terminal,
    )
    os.close(slave)
    terminal = Terminal(process, master)
    asyncio.get_running_loop().add_reader(master, terminal.read)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
    assert "Traceback" not in terminal.text, terminal.text


def _takes_the_terminal() -> None:
    """A session of its own, with the terminal as the one that its signals come from."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell starts a background job with SIGINT ignored
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
