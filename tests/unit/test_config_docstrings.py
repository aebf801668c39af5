"""Every setting is documented where it is defined: a string that says what it means follows the field."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from exporter.config import load, model, remediation
from exporter.serving import web_config


def undocumented(source: str) -> Iterator[str]:
    """The fields and enum members, as CLASS.NAME, that no string follows."""
    for each in ast.parse(source).body:
        if not isinstance(each, ast.ClassDef):
            continue
        for statement, following in pairwise([*each.body, ast.Pass()]):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
            if isinstance(target, ast.Name) and target.id not in ("model_config", "not_supported"):
                value = following.value if isinstance(following, ast.Expr) else None
                if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
                    yield f"{each.name}.{target.id}"


@pytest.mark.parametrize("module", [model, remediation, load, web_config], ids=lambda module: module.__name__)
def test_every_setting_is_documented(module: ModuleType) -> None:
    assert list(undocumented(Path(str(module.__file__)).read_text(encoding="utf-8"))) == []


def test_a_setting_without_a_docstring_is_found() -> None:
    """Between two others that have one, and as the last of its class."""
    source = '''
class Bbs:
    """A docstring of the class is not one of the field below it."""
    host: str
    port: int = 1
    """A port."""
    timeout: float
    def method(self): """Nor is that of a method."""
    AUTO = "auto"
'''
    assert list(undocumented(source)) == ["Bbs.host", "Bbs.timeout", "Bbs.AUTO"]
