"""The flags of `diego-runbook`, its help, and its completion."""

import argparse
import json
import re
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


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = (COMMANDS[name] if name else cli.parser()).format_help()
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_its_exit_status(name: str) -> None:
    assert re.search(r"^Exit status: 0 ", COMMANDS[name].format_help(), re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_that_shows_something_has_a_format_for_programs(name: str) -> None:
    """A completion script is for a shell, and nothing else."""
    formats: list[set[str]] = [set(each.choices or ()) for each in COMMANDS[name]._actions if each.dest == "output"]
    if name == "completion":
        assert formats == []
    else:
        assert formats[0] >= {"json", "yaml"}


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


def test_the_schema_is_the_committed_one_and_needs_no_config(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    committed = (Path(__file__).parents[2] / "docs" / "diego.schema.json").read_text("utf-8")
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out == committed
    assert cli.main(["schema", "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == json.loads(committed)


@pytest.mark.parametrize("words", [("--readers", ""), ("--readers", "a\nb"), ("--replicas", "0")])
def test_a_wrong_value_is_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["manifests", *words])
    assert repr(words[1]) in capsys.readouterr().err


def test_json_and_yaml_have_the_same_fields() -> None:
    value = {"runs": [{"id": "cf-1", "text": "a: b # c", "at": None, "number": 0.5}]}
    assert json.loads(structured(value, JSON)) == yaml.safe_load(structured(value, YAML)) == value
