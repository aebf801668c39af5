"""docs/install/: what a person copies from these pages fits together, and fits the profiles."""

import re
from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.config.model import Foundation
from webhook.operator import cli

PAGES = sorted((Path(__file__).parents[2] / "docs" / "install").glob("*.md"))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def foundation_of(text: str, tmp_path: Path) -> Foundation:
    """The foundation of the page's example."""
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "diego.yaml"
    file.write_text(example)
    config = load(str(file), program="runbook")
    (foundation,) = config.foundations
    assert foundation.remediation.mode == "observe", "nothing is deleted at first"
    return foundation


def commands_of(text: str) -> list[str]:
    return [line.removeprefix("$ ") for line in re.findall(r"^\$ .*", text, re.MULTILINE)]


@each_page
def test_the_table_has_what_the_example_resolves_to(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    foundation = foundation_of(text, tmp_path)
    table = "".join(line for line in text.splitlines(keepends=True) if line.startswith("|"))
    service = foundation.bbs.host.removesuffix(f".{foundation.namespace}.svc.cluster.local")
    values = (foundation.profile, foundation.namespace, service, foundation.diego_api.active_label)
    names = (*foundation.restart, *foundation.cloud_controller.statefulset)
    assert [value for value in (*map(str, values), *names) if f"`{value}`" not in table] == []


@each_page
def test_commands_name_the_foundation_and_its_namespace(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    foundation = foundation_of(text, tmp_path)
    key = foundation.diego_api.active_label.key
    commands = commands_of(text)
    spaces = {space for command in commands for space in re.findall(r" -n (\S+)", command)}
    assert spaces == {foundation.namespace, "diego-medic"}
    assert any(f"-L {key}" in command for command in commands)
    assert f"kubectl delete configmap,lease -n {foundation.namespace} diego-medic-diego-api" in commands
    ours = [command.partition("diego-runbook ")[2] for command in commands if "diego-runbook " in command]
    parsed = [cli.parser().parse_args(command.partition(" >")[0].split()) for command in ours]
    assert {each.command for each in parsed} == {"check", "explain", "manifests"}
    assert {each.foundation for each in parsed if each.command != "manifests"} == {foundation.name}


@each_page
def test_what_is_commented_out_may_be_used(page: Path, tmp_path: Path) -> None:
    """Each alone: `bbs: …` and the like, as a person removes one mark of a comment."""
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    marked = re.findall(r"^    # .*$", example, re.MULTILINE)
    for line in marked:
        (tmp_path / "diego.yaml").write_text(example.replace(line, line.replace("# ", "", 1)))
        load(str(tmp_path / "diego.yaml"), program="runbook")
    assert len(marked) == {"cfee": 0, "scf": 2, "kubecf": 4}[page.stem]


@each_page
def test_it_says_what_was_not_tested(page: Path) -> None:
    assert "Not tested on a real" in page.read_text()
