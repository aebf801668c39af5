"""The compressed response: one gzip file, of which only what has changed is compressed again."""

import gzip
import zlib
from collections.abc import Iterable
from typing import Any

import pytest

from exporter.serving import exposition
from exporter.serving.exposition import Exposition
from exporter.serving.text import Format
from exporter.serving.turns import Turns

LARGE, SMALL = 20_000, 100


class Blocks:
    """A part with blocks of text, some of which a test changes."""

    def __init__(self, *sizes: int) -> None:
        self.texts = [f"{index} é " + "x" * size + "\n" for index, size in enumerate(sizes)]

    async def refresh(self, turns: Turns) -> tuple[str, ...]:
        return tuple(self.texts)

    def blocks(self, format_: Format) -> Iterable[str]:
        return self.texts


@pytest.fixture
def compressed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts what is compressed."""
    counted: list[int] = []

    def counting(*arguments: Any) -> Any:
        counted.append(1)
        return zlib.compressobj(*arguments)

    class Counting:
        compressobj = staticmethod(counting)

        def __getattr__(self, name: str) -> Any:
            return getattr(zlib, name)

    monkeypatch.setattr(exposition, "zlib", Counting())
    return counted


async def unpacked(scrapes: Exposition) -> str:
    body = (await scrapes.respond(accept_encoding="gzip")).body
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)  # one member, as clients that know of no more read it
    text = reader.decompress(body) + reader.flush()
    assert reader.eof
    assert reader.unused_data == b""
    assert gzip.decompress(body) == text
    return text.decode()


@pytest.mark.parametrize("sizes", [(), (0,), (SMALL,), (LARGE,), (SMALL, LARGE, SMALL, SMALL, LARGE), (1_000_000,)])
async def test_it_is_one_gzip_file_with_the_whole_text(sizes: tuple[int, ...]) -> None:
    part = Blocks(*sizes)
    assert await unpacked(Exposition(part)) == "".join(part.texts)


async def test_only_what_has_changed_is_compressed_again(compressed: list[int]) -> None:
    part = Blocks(SMALL, LARGE, SMALL, SMALL, LARGE, LARGE, SMALL)
    scrapes = Exposition(part)
    assert await unpacked(scrapes) == "".join(part.texts)
    assert len(compressed) == 6, "three large ones, and what is small before, between and after them"

    for index, times in ((4, 1), (2, 1), (3, 1), (1, 1)):
        compressed.clear()
        part.texts[index] = part.texts[index].replace("x", "y")
        assert await unpacked(scrapes) == "".join(part.texts)
        assert len(compressed) == times


async def test_what_is_gone_is_not_kept(compressed: list[int]) -> None:
    part = Blocks(LARGE, LARGE)
    scrapes = Exposition(part)
    await unpacked(scrapes)
    kept = part.texts.pop()
    assert await unpacked(scrapes) == "".join(part.texts)

    compressed.clear()
    part.texts.append(kept)
    assert await unpacked(scrapes) == "".join(part.texts)
    assert len(compressed) == 1


async def test_two_blocks_with_the_same_text_are_both_there() -> None:
    part = Blocks(LARGE)
    part.texts *= 3
    assert await unpacked(Exposition(part)) == "".join(part.texts)
