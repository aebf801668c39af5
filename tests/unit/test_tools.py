"""A test that needs a program: skipped on a laptop, never silently in CI."""

import shutil
from pathlib import Path

import pytest

from tests.support.tools import need


@pytest.fixture(autouse=True)
def _no_such_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DIEGO_MEDIC_REQUIRE_TOOLS", raising=False)


def _install(tmp_path: Path, name: str) -> Path:
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_a_missing_tool_skips_the_test_and_names_the_package() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install prometheus-alertmanager"):
        need("amtool")


def test_where_tools_are_required_a_missing_one_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIEGO_MEDIC_REQUIRE_TOOLS", "1")
    with pytest.raises(pytest.fail.Exception, match="promtool is not installed"):
        need("promtool")


@pytest.mark.parametrize("name", ["alertmanager", "prometheus-alertmanager"])
def test_a_tool_is_found_under_its_own_name_and_under_debians(name: str, tmp_path: Path) -> None:
    program = _install(tmp_path, name)
    assert need("alertmanager") == program
    assert shutil.which(name) == str(program)
