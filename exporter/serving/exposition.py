"""The text of `/metrics`: which format the client wants, and the text itself, made once a change and not once a scrape.

The encoders are prometheus-client's. Its negotiation is not used: that answers an unusual Accept header with a 500, and
does not know of q-values. Nor is one collector that raises the end of a scrape here.
"""

import gzip
import logging
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


# What a media range must say to mean the format; a range without a version means any.
_OFFERS = ((Format.TEXT, "text/plain", "0.0.4"), (Format.OPENMETRICS, "application/openmetrics-text", "1.0.0"))


class _Range(NamedTuple):
    """One item of an Accept or Accept-Encoding header."""

    value: str
    parameters: dict[str, str]
    quality: float


def negotiate(accept: str) -> Format:
    """The format that the client likes best; the text format where it likes none, or what it says makes no sense.

    By RFC 9110: the most specific range that fits a format says how much it is wanted.
    """
    ranges = list(_items(accept))
    best, chosen = (0.0, 0, 0), Format.TEXT
    for format_, media_type, version in _OFFERS:
        fits = [
            (_specificity(each, media_type, version), -position, each.quality)
            for position, each in enumerate(ranges)
            if _specificity(each, media_type, version)
        ]
        if fits:
            specificity, position, quality = max(fits)
            # Of two that are wanted alike: the one asked for by its name, then the one named first, then plain text.
            if quality > 0 and (quality, specificity, position) > best:
                best, chosen = (quality, specificity, position), format_
    return chosen


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip, and would not rather have the text as it is."""
    wanted = {each.value: each.quality for each in _items(accept_encoding)}
    quality = wanted.get("gzip", wanted.get("x-gzip", wanted.get("*", 0.0)))
    return quality > 0 and quality >= wanted.get("identity", 0.0)


def _specificity(each: _Range, media_type: str, version: str) -> int:
    """0: the range does not fit; else the higher, the more it says."""
    if each.value == media_type:
        asked = each.parameters.get("version")
        return 0 if asked not in (None, version) else 3 if asked is None else 4
    return 2 if each.value == media_type.partition("/")[0] + "/*" else int(each.value == "*/*")


def _items(header: str) -> Iterator[_Range]:
    for item in _split(header, ","):
        value, *parameters = _split(item, ";")
        named = {
            key.strip().lower(): text.strip().strip('"') for key, _, text in (p.partition("=") for p in parameters)
        }
        try:
            quality = float(named.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if value.strip():
            # Written so that `nan` is none either.
            yield _Range(value.strip().lower(), named, quality if 0.0 <= quality <= 1.0 else 0.0)


def _split(text: str, separator: str) -> list[str]:
    """Splits at the separator, but not within quotes."""
    parts, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts


@dataclass(frozen=True, slots=True)
class Part:
    """Collectors whose text is the same as long as `key` is: it must change with everything that they show."""

    collectors: Sequence[Collector]
    key: Callable[[], Hashable]


class Answer(NamedTuple):
    """A body, with its headers."""

    body: bytes
    headers: dict[str, str]


class Exposition:
    """The metrics of a program, as text."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts
        self._texts: dict[tuple[int, Format], tuple[Hashable, bytes]] = {}
        self._answers: dict[tuple[Format, bool], tuple[tuple[Hashable, ...], Answer]] = {}

    def answer(self, *, accept: str = "", accept_encoding: str = "") -> Answer:
        """The answer to a scrape with these two headers."""
        format_, zipped = negotiate(accept), accepts_gzip(accept_encoding)
        keys = tuple(part.key() for part in self._parts)
        known = self._answers.get((format_, zipped))
        if known is not None and known[0] == keys:
            return known[1]
        body = b"".join(self._text(index, format_, key) for index, key in enumerate(keys))
        body += _EOF if format_ is Format.OPENMETRICS else b""
        headers = {"Content-Type": format_.value, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        answer = Answer(body, headers)
        self._answers[format_, zipped] = (keys, answer)
        return answer

    def _text(self, index: int, format_: Format, key: Hashable) -> bytes:
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
                log.exception(
                    "a collector failed, its metrics are missing", extra={"collector": type(collector).__name__}
                )
                continue
            for family in families:
                family.samples = [each for each in family.samples if each.name != f"{family.name}_created"]
                yield family
