"""docs/diego.schema.json: an editor with it accepts what the programs accept, and marks most of what they refuse."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.support.editors import DOCS, SCHEMA, marked

CONFIGS = Path(__file__).parent.parent / "config"
ROOT = DOCS.parent
GOOD = [*sorted((CONFIGS / "good").glob("*.yaml")), *sorted((ROOT / "deploy").rglob("diego.yaml"))]
BAD = sorted((CONFIGS / "bad").glob("*.yaml"))

# What no schema can say, or an editor sees otherwise: only `--config.check` reports it.
ONLY_THE_PROGRAMS = {
    "bbs-tls-missing": "which files exist",
    "bbs-tls-not-pem": "what is in another file",
    "boolean-that-is-no-name": "`no` is text in YAML 1.2",
    "context-missing": "what is in another file",
    "duplicate-key": "editors mark it without a schema",
    "duration-too-long": "a sum",
    "kubeconfig-is-none": "what is in another file",
    "kubeconfig-missing": "which files exist",
    "name-twice": "two values",
    "octal-port": "010 is ten in YAML 1.2",
    "request-ttl-too-short": "two values",
    "request-ttl-too-short-for-one": "two values",
    "same-target-twice": "two values",
    "staleness-too-short": "two values",
    "timeout-exceeds-interval": "two values",
    "surrogate": "half a character",
    "verify-too-short": "two values",
    "webhook-mode-missing": "only diego-webhook requires it",
    "webhook-mode-missing-for-one": "only diego-webhook requires it",
    "webhook-token-file-missing": "which files exist",
}
UP_TO_THE_EDITOR = {"alias-bomb", "alias-of-itself", "merge-key"}
"""What its YAML reader does with these is not ours."""


def refused(path: Path) -> bool:
    try:
        return bool(marked(path.read_text("utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return True


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_good_file_is_accepted(path: Path) -> None:
    assert marked(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").rglob("diego.yaml")), ids=lambda path: path.parent.name)
def test_a_config_of_the_repository_names_the_schema(path: Path) -> None:
    (named,) = re.findall(r"\A# yaml-language-server: \$schema=(\S+)$", path.read_text("utf-8"), re.MULTILINE)
    assert (path.parent / named).resolve() == DOCS / "diego.schema.json"


def test_the_examples_of_the_documentation_are_accepted() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    blocks = [block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    examples = [block for block in blocks if re.search("^foundations:", block, re.MULTILINE)]
    assert len(examples) >= 3
    assert [problem for example in examples for problem in marked(example)] == []


MARKED = [each for each in BAD if each.stem not in {*ONLY_THE_PROGRAMS, *UP_TO_THE_EDITOR}]


@pytest.mark.parametrize("path", MARKED, ids=lambda path: path.stem)
def test_a_bad_file_is_marked(path: Path) -> None:
    assert refused(path)


@pytest.mark.parametrize("name", ONLY_THE_PROGRAMS)
def test_what_only_the_programs_find_is_not_marked(name: str) -> None:
    """Otherwise the list claims less than is true."""
    assert not refused(CONFIGS / "bad" / f"{name}.yaml")


def test_a_mistake_is_marked_at_its_place() -> None:
    text = "foundations: [{name: cf, bbs: {port: 88890, interval: 10}, diego_api: {activelabel: a=b}}]"
    assert {each.partition(": ")[0] for each in marked(text)} == {"$.foundations[0].bbs", "$.foundations[0].diego_api"}


def test_every_key_has_words_for_the_editor() -> None:
    def undescribed(schema: dict[str, object], path: str = "") -> list[str]:
        found = []
        for key, each in schema.get("properties", {}).items():  # type: ignore[attr-defined]
            if not each.get("description"):
                found.append(f"{path}.{key}")
            found += undescribed(each, f"{path}.{key}")
        for each in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):  # type: ignore[misc]
            found += undescribed(each, path)
        return found

    assert undescribed(SCHEMA) == []
    assert "$.webhook" not in marked("foundations: [{name: cf}]\nwebhook:")  # left empty
