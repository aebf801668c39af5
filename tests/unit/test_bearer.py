"""The bearer token: what a header must say, and a file that changes."""

import os
from pathlib import Path

import pytest

from exporter.config.errors import ConfigError
from webhook.http.bearer import BearerToken


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    return path


def rewrite(file: Path, text: str) -> None:
    """As a Secret's volume does: another file in its place."""
    new = file.with_name("new")
    new.write_text(text)
    new.replace(file)


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret ", "Bearer s3cret\t"])
def test_the_token_opens_the_door(file: Path, header: str) -> None:
    assert BearerToken(str(file)).matches(header) is True


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "s3cret",
        "Basic s3cret",
        "Bearer s3cre",
        "Bearer s3crets",
        "Bearer S3CRET",
        "Bearer s3cret s3cret",
        "Bearer s3cret\x00",
        "Bearer ü",
        "Bearer \udcff",
        "Bearers3cret",
    ],
)
def test_nothing_else_does(file: Path, header: str | None) -> None:
    assert BearerToken(str(file)).matches(header) is False


def test_a_token_may_be_any_bytes(file: Path) -> None:
    """A header's bytes that are not UTF-8 come as surrogates."""
    file.write_bytes(b"\xffs\xc3\xbc\n")

    assert BearerToken(str(file)).matches(b"Bearer \xffs\xc3\xbc".decode(errors="surrogateescape"))


def test_a_new_token_counts_at_once(file: Path) -> None:
    token = BearerToken(str(file))
    rewrite(file, "other")

    assert (token.matches("Bearer s3cret"), token.matches("Bearer other")) == (False, True)


def test_a_file_that_is_written_in_place_counts_as_well(file: Path) -> None:
    token = BearerToken(str(file))
    file.write_text("s4cret\n")  # as long as before
    os.utime(file, ns=(1, 1))

    assert token.matches("Bearer s4cret")


@pytest.mark.parametrize("harm", ["gone", "empty", "unreadable"])
def test_while_the_file_can_not_be_read_the_last_token_stands(file: Path, harm: str) -> None:
    token = BearerToken(str(file))
    if harm == "empty":
        rewrite(file, "\n")
    else:
        file.unlink()
        if harm == "unreadable":
            file.mkdir()

    assert token.matches("Bearer s3cret")
    assert not token.matches("Bearer ")


@pytest.mark.parametrize(("content", "said"), [(None, "No such file or directory"), (" \n", "is empty")])
def test_without_a_token_it_does_not_start(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError) as refused:
        BearerToken(str(path))

    (problem,) = refused.value.problems
    assert (problem.file, problem.path, problem.message) == (str(path), "webhook.bearer_token_file", said)
