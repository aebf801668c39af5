"""The flags of `diego-runbook`, its help, and its completion."""

import argparse
import json
from pathlib import Path

import pytest
import yaml

from webhook.operator import cli
from webhook.operator.completion import script
from webhook.operator.structured import JSON, YAML, structured


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (each for each in cli.parser()._actions if isinstance(each, argparse._SubParsersAction))
    return dict(commands.choices)


COMMANDS = subcommands()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example_that_parses(name: str) -> None:
    text = COMMANDS[name].format_help()
    examples = [line.strip() for line in text.partition("Example:")[2].splitlines() if "diego-runbook" in line]
    assert examples
    for example in examples:
        words = example.partition("diego-runbook ")[2].rstrip(")").partition(">")[0].partition("|")[0]
        quoted = words.replace('"database migration until 14:00"', "why").split()
        assert cli.parser().parse_args(quoted).command == name


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_documented(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "runbook-cli.md").read_text()
    assert f"[`{name}" in page or f"`{name} F`" in page


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_for_this_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert printed == script(shell)
    assert "diego-runbook" in printed


def test_json_and_yaml_have_the_same_fields() -> None:
    value = {"runs": [{"id": "cf-1", "text": "a: b # c", "at": None, "number": 0.5}]}
    assert json.loads(structured(value, JSON)) == yaml.safe_load(structured(value, YAML)) == value
