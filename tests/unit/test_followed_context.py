"""The TLS context of a client: read when it must be, and by one of those that ask at the same time."""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from exporter.config.check import validated
from exporter.config.model import BbsTls
from exporter.config.pem import PemError
from exporter.foundation import followed_context
from exporter.foundation.followed_context import RETRY, FollowedContext


class Files:
    """Three files, and what reading them comes to."""

    def __init__(self, folder: Path) -> None:
        self.paths = {name: folder / name for name in ("ca", "cert", "key")}
        for path in self.paths.values():
            path.write_text("as it is")
        self.wrong = ""
        self.read = 0
        self.now = 0.0
        self.meanwhile: list[Any] = []
        tls = validated(BbsTls, {name: str(path) for name, path in self.paths.items()})
        self.context = FollowedContext(tls, foundation="cf", monotonic=lambda: self.now)

    def make(self, **_: str) -> ssl.SSLContext:
        self.read += 1
        if self.meanwhile:
            self.meanwhile.pop()()
        if self.wrong:
            raise PemError("certificate", self.wrong)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def change(self) -> None:
        path = self.paths["cert"]
        path.write_text(path.read_text() + ".")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Files:
    caplog.set_level(logging.INFO)
    found = Files(tmp_path)
    monkeypatch.setattr(followed_context, "client_context", found.make)
    return found


async def test_files_that_do_not_change_are_read_once(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    first = await files.context.current()
    files.now = 10 * RETRY

    assert first is not None
    assert await files.context.current() is first
    assert (files.read, caplog.records) == (1, [])


async def test_of_many_that_ask_one_reads(files: Files) -> None:
    found = await asyncio.gather(*(files.context.current() for _ in range(10)))

    assert (len(set(found)), files.read) == (1, 1)


async def test_a_change_is_read(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    first = await files.context.current()
    files.change()

    assert await files.context.current() is not first
    assert [record.message for record in caplog.records] == ["certificates for the BBS reloaded"]


async def test_what_changes_while_it_is_read_is_read_again_at_once(files: Files) -> None:
    """Otherwise an old certificate would stand beside a new key."""
    files.meanwhile = [files.change]
    await files.context.current()
    assert files.read == 2

    await files.context.current()
    assert files.read == 2


async def test_what_changes_all_the_time_is_not_read_for_ever(files: Files) -> None:
    files.meanwhile = [files.change] * 9
    await files.context.current()
    assert files.read == 3


async def test_what_can_not_be_used_is_said_once_and_tried_again(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """Not with each probe, and not again before a while has passed, unless it changes."""
    files.wrong = "is no certificate"
    for _ in range(3):
        assert await files.context.current() is None
    files.now = RETRY
    assert await files.context.current() is None
    assert files.read == 2
    assert [(record.levelname, vars(record)["problem"]) for record in caplog.records] == [
        ("ERROR", "is no certificate")
    ]

    files.wrong = "cannot be read"
    files.change()
    assert await files.context.current() is None
    assert len(caplog.records) == 2

    files.wrong = ""
    files.now = 3 * RETRY
    assert await files.context.current() is not None


async def test_what_can_not_be_used_any_more_is_used_no_more(files: Files) -> None:
    assert await files.context.current() is not None
    files.wrong = "is no certificate"
    files.paths["cert"].unlink()

    assert await files.context.current() is None
