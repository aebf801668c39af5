"""The mutations of tests/mutations do not rot: each still applies to the product as it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutations.patches import ROOT, Mutation, PatchError, apply, copy_to, mutations
from tests.mutations.table import NOT_CAUGHT, Result, rows, table, title

LEAST = 25


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    copy_to(folder)
    return folder


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.name)
def test_each_mutation_applies(mutation: Mutation, tree: Path) -> None:
    apply(mutation, tree, check=True)


def test_there_are_enough_and_each_says_what_is_wrong() -> None:
    found = mutations()
    assert len(found) >= LEAST
    assert [each.name for each in found if not each.reason.endswith(".")] == []


def test_the_tests_that_a_mutation_names_exist() -> None:
    named = {test for each in mutations() for test in each.tests}
    assert [test for test in sorted(named) if not (ROOT / test).is_file()] == []


def test_the_page_says_of_each_mutation_what_notices_it() -> None:
    on_the_page = rows()
    assert {title(each): on_the_page.get(title(each), NOT_CAUGHT) for each in mutations()} == on_the_page
    assert [reason for reason, by in on_the_page.items() if by == NOT_CAUGHT] == []


def test_a_mutation_that_nothing_notices_stands_out_in_the_table() -> None:
    assert f"| {NOT_CAUGHT} | 0 |" in table([Result(replace(mutations()[0], unseen=""))])


def test_a_patch_of_another_text_does_not_apply(tree: Path, tmp_path: Path) -> None:
    first = mutations()[0]
    removed = next(
        line for line in first.path.read_text().splitlines() if line.startswith("-") and not line.startswith("---")
    )
    broken = tmp_path / "broken.patch"
    broken.write_text(first.path.read_text().replace(removed, f"{removed} # another text"))
    with pytest.raises(PatchError, match="does not apply"):
        apply(Mutation.read(broken), tree, check=True)
