"""The response to a scrape: the format that the client wants, and the text, of which only what has changed is made.

A part that knows nothing better makes all of its text whenever any of it may have changed. One collector that raises
loses only itself. prometheus-client's choice of a format is not used, because a version that it cannot parse raises.
"""

import asyncio
import logging
import re
import struct
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.serving.text import EOF, Format, encode
from exporter.serving.turns import Turns

log = logging.getLogger(__name__)

_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")
_GZIP_HEADER: Final = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_LAST_BLOCK: Final = b"\x03\x00"
"""Of deflate: one with nothing in it."""
LEAD: Final = 0.25
"""Seconds before a scrape is expected at which its response is prepared."""
LONGEST_INTERVAL: Final = 120.0
"""Seconds between two scrapes beyond which the next is not expected."""
_SMALL: Final = 8 * 1024
"""Characters below which neighbouring blocks are compressed together: alone they would not become smaller."""


@lru_cache(maxsize=16)
def negotiate(accept: str) -> Format:
    """OpenMetrics for who names it, in the version that is offered or in none; the text format for everybody else."""
    for item in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in item.split(";"))
        if media_type == "application/openmetrics-text":
            versions = [
                value.strip('" ') for key, _, value in (each.partition("=") for each in parameters) if key == "version"
            ]
            if versions in ([], ["1.0.0"]):
                return Format.OPENMETRICS
    return Format.TEXT


@lru_cache(maxsize=16)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client names gzip, and does not refuse it with a weight of 0."""
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        if coding == "gzip":
            return not any(_REFUSED.fullmatch(parameter) for parameter in parameters)
    return False


class Part(Protocol):
    """Some of the metrics of a program."""

    async def refresh(self, turns: Turns) -> Hashable:
        """Take notice of all changes until now. The text is the same for as long as this returns the same."""

    def blocks(self, format_: Format) -> Iterable[str]:
        """The text as of the last `refresh`."""


class CachedCollectors:
    """Collectors whose text is the same as long as `key` is: it must change with everything that they show."""

    def __init__(self, collectors: Sequence[Collector], key: Callable[[], Hashable]) -> None:
        self._collectors = collectors
        self._make_key = key
        self._key: Hashable = None
        self._texts: dict[Format, str] = {}

    async def refresh(self, turns: Turns) -> Hashable:  # noqa: ARG002 - it is short, or has no way to be cut
        key = self._make_key()
        if key != self._key:
            self._key = key
            self._texts.clear()
        return key

    def blocks(self, format_: Format) -> Iterable[str]:
        if format_ not in self._texts:
            self._texts[format_] = encode(self._families(), format_)
        return (self._texts[format_],)

    def _families(self) -> Iterator[Metric]:
        for collector in self._collectors:
            try:
                families = list(collector.collect())
            except Exception:  # one collector that fails must not take the other metrics with it
                log.exception("collector failed", extra={"collector": type(collector).__name__})
                continue
            yield from families


class ScrapeResponse(NamedTuple):
    """The body of a response to a scrape, with its headers."""

    body: bytes
    headers: dict[str, str]


class Exposition:
    """The metrics of a program, as text.

    Where `ahead` is set, the next response is prepared shortly before it is due: for parts that mostly stay the same.
    """

    def __init__(self, *parts: Part, ahead: bool = False) -> None:
        self._parts = parts
        self._ahead = ahead
        self._last: tuple[Hashable, ScrapeResponse] | None = None
        self._compressed: dict[str, bytes] = {}  # the blocks of the last compressed response
        self._one_at_a_time = asyncio.Lock()
        self._asked_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._preparing: asyncio.Task[ScrapeResponse] | None = None

    async def respond(self, *, accept: str = "", accept_encoding: str = "") -> ScrapeResponse:
        """The response to a scrape with these two headers, whatever they say."""
        format_, zipped = negotiate(accept), accepts_gzip(accept_encoding)
        if self._ahead:
            self._expect_another(format_, zipped=zipped)
        return await self._up_to_date(format_, zipped=zipped)

    def _expect_another(self, format_: Format, *, zipped: bool) -> None:
        """Prepare the next response shortly before it is due: who scrapes does so at an interval.

        What changes after that is made when it is asked for. A guess that is wrong costs that one preparation.
        """
        loop = asyncio.get_running_loop()
        now, before = loop.time(), self._asked_at
        self._asked_at = now
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if before is not None and 2 * LEAD < now - before < LONGEST_INTERVAL:
            self._timer = loop.call_later(now - before - LEAD, self._prepare, format_, zipped)

    def _prepare(self, format_: Format, zipped: bool) -> None:
        self._preparing = asyncio.get_running_loop().create_task(self._up_to_date(format_, zipped=zipped))

    async def _up_to_date(self, format_: Format, *, zipped: bool) -> ScrapeResponse:
        async with self._one_at_a_time:  # the second of two scrapes at once gets the response of the first
            turns = Turns()
            versions = [await part.refresh(turns) for part in self._parts]
            key = (format_, zipped, *versions)
            if self._last is None or self._last[0] != key:
                self._last = (key, await self._response(format_, zipped=zipped, turns=turns))
            return self._last[1]

    async def _response(self, format_: Format, *, zipped: bool, turns: Turns) -> ScrapeResponse:
        headers = {"Content-Type": format_.value, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
            return ScrapeResponse(await self._gzipped(_joined(self._blocks(format_)), turns), headers)
        body: list[bytes] = []
        for block in self._blocks(format_):
            body.append(block.encode())
            await turns.turn()
        return ScrapeResponse(b"".join(body), headers)

    async def _gzipped(self, blocks: Iterable[str], turns: Turns) -> bytes:
        """One member of gzip (RFC 1952). A block that the response before had as well is not compressed again."""
        before, self._compressed = self._compressed, {}
        body, crc, size = [_GZIP_HEADER], 0, 0
        for block in blocks:
            content = block.encode()
            crc, size = zlib.crc32(content, crc), size + len(content)
            compressed = before.get(block)
            if compressed is None:
                compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
                compressed = compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH)
            self._compressed[block] = compressed
            body.append(compressed)
            await turns.turn()
        return b"".join([*body, _LAST_BLOCK, struct.pack("<LL", crc, size & 0xFFFFFFFF)])

    def _blocks(self, format_: Format) -> Iterator[str]:
        for part in self._parts:
            yield from part.blocks(format_)
        if format_ is Format.OPENMETRICS:
            yield EOF


def _joined(blocks: Iterable[str]) -> Iterator[str]:
    """The blocks, of which small neighbours are one."""
    small: list[str] = []
    for block in blocks:
        if len(block) < _SMALL:
            small.append(block)
            continue
        if small:
            yield "".join(small)
            small.clear()
        yield block
    if small:
        yield "".join(small)
