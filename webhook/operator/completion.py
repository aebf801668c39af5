"""Completion of commands, flags and foundations in bash, zsh and fish."""

import argparse
from typing import Any

import argcomplete
from argcomplete.shell_integration import shellcode

from exporter.config.errors import ConfigError
from exporter.config.load import load

PROGRAM = "diego-runbook"


def complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell, and ends the process, where the shell asks for completions."""
    for sub in _commands(parser):
        for action in sub._actions:  # noqa: SLF001 - argparse has no other way to its arguments
            if action.dest == "foundation":
                action.completer = _foundations  # type: ignore[attr-defined] # argcomplete's own attribute
    argcomplete.autocomplete(parser)


def script(shell: str) -> str:
    """What the shell evaluates once."""
    return str(shellcode([PROGRAM], shell=shell))


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))  # noqa: SLF001
    return list(commands.choices.values())


def _foundations(*, parsed_args: argparse.Namespace, **_rest: Any) -> list[str]:
    try:
        config = load(getattr(parsed_args, "config.file", "diego.yaml"), program="runbook")
    except ConfigError:
        return []
    return [foundation.name for foundation in config.foundations]
