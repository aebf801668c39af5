"""Each command of ours that a page, an alert or a dashboard tells a person to type is one that the programs know."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from sandbox.main import _parser as sandbox_parser
from webhook.operator import cli

ROOT = Path(__file__).parents[2]
TOLD = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "alerts").glob("*.yml")),
    *sorted((ROOT / "dashboards").glob("*.json")),
    *sorted((ROOT / "webhook").rglob("*.py")),
]
PARSERS = {"diego-runbook": cli.parser, "diego-sandbox": sandbox_parser}

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
# In a block: up to what the shell reads itself. In a text: up to the second backtick.
_TYPED = re.compile(r"(?<![\w./-])(diego-runbook|diego-sandbox)((?: (?:\"[^\"]*\"|(?!\d?>)[^\s|<>;)#\"]+))+)")
_TOLD = re.compile(r"`(diego-runbook|diego-sandbox) ([^`]+)`")


def typed(text: str) -> Iterator[tuple[str, str]]:
    """The program and its arguments, of each command in a block."""
    for block in _BLOCK.findall(text):
        for line in re.findall(r"^\$ (.*)", block, re.MULTILINE):
            yield from ((program, arguments.strip()) for program, arguments in _TYPED.findall(line))


def mentioned(text: str) -> Iterator[tuple[str, str]]:
    """The same within sentences, where a command may be named without its arguments."""
    for program, arguments in _TOLD.findall(_BLOCK.sub("", text)):
        if not re.search(r"[\[{…]|COMMAND", arguments):  # a form, not a command
            yield program, " ".join(arguments.split())


class UnknownError(Exception):
    """What argparse says of a command."""


def refuse(_parser: argparse.ArgumentParser, message: str) -> NoReturn:
    raise UnknownError(message)


def complaint(program: str, arguments: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is wrong with the command; empty where it is right."""
    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    try:
        PARSERS[program]().parse_args(shlex.split(arguments))
    except UnknownError as error:
        return str(error)
    except SystemExit as ended:  # --help and --version
        return str(ended.code or "")
    return ""


TYPED = sorted({(*command, path.name) for path in TOLD for command in typed(path.read_text("utf-8"))})
MENTIONED = sorted({(*command, path.name) for path in TOLD for command in mentioned(path.read_text("utf-8"))})


def test_there_are_commands_everywhere() -> None:
    assert len(TYPED) > 40
    assert {Path(name).suffix for _, _, name in MENTIONED} == {".md", ".yml", ".json", ".py"}


@pytest.mark.parametrize(("program", "arguments", "page"), TYPED)
def test_a_command_in_a_block_can_be_typed(
    program: str, arguments: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complaint(program, arguments, monkeypatch) == ""


@pytest.mark.parametrize(("program", "arguments", "page"), MENTIONED)
def test_a_command_in_a_sentence_exists(
    program: str, arguments: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = complaint(program, arguments, monkeypatch)
    assert not found or found.startswith("the following arguments are required")


@pytest.mark.parametrize("arguments", ["chek cf", "check cf --observe", "show", "pause cf", "run cf --force"])
def test_a_wrong_command_is_noticed(arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint("diego-runbook", arguments, monkeypatch)
