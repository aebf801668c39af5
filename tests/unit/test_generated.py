"""Files that are generated from the code: written where they are out of date, and checked."""

from pathlib import Path

import pytest

import generated

TEXT = {"folder/a.txt": lambda: "one\n", "b.txt": lambda: "two\n"}


def build(arguments: list[str], directory: Path) -> int:
    return generated.main(arguments, files=TEXT, directory=directory, package="things", description="Things.")


def test_missing_files_are_written_with_their_folders(tmp_path: Path) -> None:
    assert build([], tmp_path) == 0
    assert {name: (tmp_path / name).read_text() for name in TEXT} == {"folder/a.txt": "one\n", "b.txt": "two\n"}
    assert build(["--check"], tmp_path) == 0


def test_what_is_up_to_date_is_not_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build([], tmp_path)
    capsys.readouterr()
    (tmp_path / "b.txt").write_text("2\n")

    assert build([], tmp_path) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'b.txt'}\n"


def test_the_check_writes_nothing_and_names_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.txt").write_text("2\n")

    assert build(["--check"], tmp_path) == 1
    report = capsys.readouterr().err
    assert f"{tmp_path / 'folder/a.txt'} is missing\n" in report
    assert f"{tmp_path / 'b.txt'} is out of date: it differs from what the code generates:\n" in report
    assert "-2\n+two\n" in report
    assert report.endswith("\nRun `python -m things.build` and commit the result.\n")
    assert (tmp_path / "b.txt").read_text() == "2\n"
    assert not (tmp_path / "folder").exists()
