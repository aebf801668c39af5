"""What an editor does with diego.yaml: it reads YAML 1.2, in which `no` and `1:30` are text, and applies the schema."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "diego.schema.json").read_text("utf-8"))
_VALIDATOR = Draft7Validator(SCHEMA)


class _Core(yaml.SafeLoader):
    """YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way


for kind, pattern, first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), first)


def marked(text: str) -> list[str]:
    """The mistakes that an editor marks, each with its path. Raises yaml.YAMLError where it marks bad YAML."""
    document = yaml.load(text, _Core)
    return [f"{error.json_path}: {error.message}" for error in _VALIDATOR.iter_errors(document)]
