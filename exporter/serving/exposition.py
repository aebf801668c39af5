"""The text of `/metrics`: which format the client wants, and the text itself, made once a change and not once a scrape.

The encoders are prometheus-client's. Its choice of a format is not used, because a version that it cannot parse raises.
One collector that raises loses only itself.
"""

import gzip
import logging
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as encode_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as encode_openmetrics
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

_EOF = b"# EOF\n"
_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")


class Format(Enum):
    """The formats that are offered; the value is the Content-Type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    def encode(self, collector: Collector) -> bytes:
        """The collector's metrics in this format, without the end mark of OpenMetrics, so that more can follow."""
        if self is Format.TEXT:
            return encode_text(collector)
        text: bytes = encode_openmetrics(collector)  # type: ignore[no-untyped-call]
        return text.removesuffix(_EOF)


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


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client names gzip, and does not refuse it with a weight of 0."""
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        if coding == "gzip":
            return not any(_REFUSED.fullmatch(parameter) for parameter in parameters)
    return False


@dataclass(frozen=True, slots=True)
class CachedCollectors:
    """Collectors whose text is the same as long as `key` is: it must change with everything that they show."""

    collectors: Sequence[Collector]
    key: Callable[[], Hashable]


class ScrapeResponse(NamedTuple):
    """The body of a response to a scrape, with its headers."""

    body: bytes
    headers: dict[str, str]


class Exposition:
    """The metrics of a program, as text."""

    def __init__(self, *parts: CachedCollectors) -> None:
        self._parts = parts
        self._texts: dict[tuple[int, Format], tuple[Hashable, bytes]] = {}

    def respond(self, *, accept: str = "", accept_encoding: str = "") -> ScrapeResponse:
        """The response to a scrape with these two headers, whatever they say."""
        format_ = negotiate(accept)
        body = b"".join(self._text(index, format_) for index in range(len(self._parts)))
        body += _EOF if format_ is Format.OPENMETRICS else b""
        headers = {"Content-Type": format_.value, "Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(accept_encoding):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return ScrapeResponse(body, headers)

    def _text(self, index: int, format_: Format) -> bytes:
        key = self._parts[index].key()
        known = self._texts.get((index, format_))
        if known is not None and known[0] == key:
            return known[1]
        text = format_.encode(_Collected(self._parts[index].collectors))
        self._texts[index, format_] = (key, text)
        return text


class _Collected(Collector):
    """What the collectors have to say, without those that raise, and without the time at which each series began."""

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        for collector in self._collectors:
            try:
                families = list(collector.collect())
            except Exception:
                log.exception("collector failed", extra={"collector": type(collector).__name__})
                continue
            for family in families:
                family.samples = [each for each in family.samples if each.name != f"{family.name}_created"]
                yield family
