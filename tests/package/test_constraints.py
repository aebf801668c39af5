"""The two lists of exact versions agree with pyproject.toml, which `make lock` makes them from."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN_TIME = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(line) for line in PYPROJECT["dependency-groups"]["dev"]]


def pins(file: str) -> dict[str, Version]:
    """The exact versions of `file` by name; ValueError for any line that is not `name==version`."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-lowest.txt"])
def test_each_dependency_is_pinned_to_a_version_that_pyproject_allows(file: str) -> None:
    pinned = pins(file)
    found = [(requirement, pinned.get(canonicalize_name(requirement.name))) for requirement in RUN_TIME + DEVELOPMENT]
    wrong = [
        f"{requirement}: {version}"
        for requirement, version in found
        if version is None or version not in requirement.specifier
    ]
    assert wrong == []


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    bounds = {
        canonicalize_name(requirement.name): Version(bound.version)
        for requirement in RUN_TIME
        for bound in requirement.specifier
        if bound.operator == ">="
    }
    pinned = pins("constraints-lowest.txt")
    assert bounds == {name: pinned[name] for name in bounds}
    assert len(bounds) == len(RUN_TIME)
