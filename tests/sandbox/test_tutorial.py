"""docs/tutorial.md: each command of it is played, in order, and what the page shows is what comes."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
DEADLINE = 150.0
"""Seconds for one command; those that wait for a run take about 30."""

# What differs each time: its place is kept, its value is not compared.
_VARIES = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\bcf-\d{8}t\d{6}z-[0-9a-f]{4}\b", "RUN"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\buid [0-9a-f]{8}\b", "UID"),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ|\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"\b127\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"/tmp/\S*diego-sandbox-\w+", "FOLDER"),
        (r"password [\w-]+", "PASSWORD"),
        (r"\b\d+ s\b", "DURATION"),
        (r"\+\d+\.\ds", "SINCE"),
        (r"\b[\w-]+@[\w.-]+", "PERSON"),
        (r"\(api-0: [^)]*\(tcp\)[^)]*(\(tcp\)[^)]*)?\)|\(api-0: [^)]*\)", "(ANSWERS)"),
        (r"[ \t]+", " "),
    )
]


def normal(line: str) -> str:
    for pattern, name in _VARIES:
        line = pattern.sub(name, line)
    return line.strip()


def settled(text: str) -> list[str]:
    """The lines as they always are. Which of the two diego-api pods leads is chance: their lines are sorted."""
    lines: list[str] = []
    pods: list[str] = []
    for line in map(normal, [*text.splitlines(), ""]):
        if re.match("diego-api-[01] ", line):
            pods.append(f"POD {line.partition(' ')[2]}")
        else:
            lines += [*sorted(pods), line]
            pods = []
    return lines[:-1]


def matches(shown: str, came: str) -> bool:
    """Whether the page shows what came; a line `…` of the page stands for any number of lines."""
    pattern = "".join("(.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in settled(shown))
    return bool(re.fullmatch(pattern, "".join(f"{line}\n" for line in settled(came))))


@dataclass(frozen=True)
class Play:
    """A command of the page, and the output that it shows."""

    command: str
    shown: str


def plays(page: str) -> list[Play]:
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [Play(*part.partition("\n")[::2]) for part in parts]


FIRST, *REST = plays(PAGE)


class Terminal:
    """A shell that a person types into; what programs write to stderr stands between the rest, as on a screen."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._keys, self._screen = process.stdin, process.stdout
        self.process = process

    @classmethod
    async def open(cls, environment: Mapping[str, str]) -> Self:
        pipe = asyncio.subprocess.PIPE
        shell = ("bash", "--noprofile", "--norc")
        return cls(
            await asyncio.create_subprocess_exec(
                *shell,
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        )

    async def type(self, command: str) -> str:
        """What the command writes."""
        self._keys.write(f"{command}\nset -- $?; echo; echo done; (exit $1)\n".encode())
        written = await asyncio.wait_for(self._screen.readuntil(b"\ndone\n"), DEADLINE)
        return written.decode().removesuffix("\ndone\n")

    async def close(self) -> None:
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


class Box:
    """The first terminal: `diego-sandbox`, and what it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.written = ""

    async def until(self, text: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            while text not in self.written:
                line = await self.process.stdout.readline()
                assert line, f"it ended:\n{self.written}"
                self.written += line.decode()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The programs of this checkout on the PATH, and a folder of its own for temporary files."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}


@pytest.fixture
async def box(environment: dict[str, str]) -> AsyncIterator[Box]:
    process = await asyncio.create_subprocess_exec(
        *FIRST.command.split(), stdout=asyncio.subprocess.PIPE, env=environment, limit=2**20
    )
    box = Box(process)
    try:
        await box.until("Ctrl-C ends it.\n")
        yield box
    finally:
        if process.returncode is None:
            process.terminate()  # it ends its own programs, which a SIGKILL would leave behind
            await asyncio.wait_for(process.communicate(), DEADLINE)


@pytest.fixture
async def terminal(environment: dict[str, str]) -> AsyncIterator[Terminal]:
    terminal = await Terminal.open(environment)
    yield terminal
    await terminal.close()


def replaced(command: str, *, shown: str, came: str) -> str:
    """The command with the folder, the addresses and the password of this sandbox in place of the page's."""
    for pattern in (r"\S*/diego-sandbox-\w+", r"127\.\d+\.\d+\.1\b", r"(?<=password )[\w-]+"):
        theirs, ours = (re.search(pattern, text) for text in (shown, came))
        assert theirs is not None
        assert ours is not None
        command = command.replace(theirs[0].lstrip("("), ours[0].lstrip("("))
    return command


@pytest.mark.timeout(900)  # three restarts, two of them after a cooldown of 20 s
async def test_the_page_shows_what_happens(box: Box, terminal: Terminal, tmp_path: Path) -> None:
    assert matches(FIRST.shown, box.written), box.written
    greeting = box.written
    for play in REST:
        came = await terminal.type(replaced(play.command, shown=FIRST.shown, came=greeting))
        assert matches(play.shown, came), f"$ {play.command}\n{came}"
    told, ended = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)

    box.process.send_signal(signal.SIGINT)
    await box.until(ended)
    assert await box.process.wait() == 0
    seen = {normal(line) for line in box.written.splitlines()}
    assert [line for line in told.splitlines() if normal(line) not in seen] == []
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a blocking look, as pathlib's would be


def test_the_comparison_is_not_blind() -> None:
    """It sees another word, a line too many and one too few, and lets times and ids differ."""
    shown = "run cf-20261130t194447z-cd7a: recovered\n…\n19:45:15  await-ready  ok   4 s  diego-api is ready\n"
    came = "run cf-20270101t000000z-0000: recovered\none\ntwo\n00:00:00  await-ready  ok  12 s  diego-api is ready\n"
    assert matches(shown, came)
    assert matches(shown, came.replace("one\ntwo\n", ""))
    assert not matches(shown, came.replace("recovered", "failed"))
    assert not matches(shown, f"{came}more\n")
    assert not matches(shown, came.rpartition("00:00:00")[0])
    assert not matches("", came)
    pods = "diego-api-0  2/2 Running, active\ndiego-api-1  2/2 Running, passive\nservice\n"
    assert matches(pods, "diego-api-0  2/2 Running, passive\ndiego-api-1  2/2 Running, active\nservice\n")
    assert not matches(pods, pods.replace("passive", "active"))


def test_nothing_of_the_page_is_left_out() -> None:
    assert FIRST.command == "diego-sandbox --stand-in"
    assert len(REST) == len(re.findall(r"^\$ ", PAGE, re.MULTILINE)) - 1
    assert {"approve", "pause", "resume", "history", "show", "report", "check", "run"} <= set(
        re.findall(r"diego-runbook (\w+)", " ".join(play.command for play in REST))
    )
