"""The text of metrics: headers are prometheus-client's, which differ by format; lines of samples are the same in both.

The library's encoders take ten times as long for a line, most of it to check names that are constants here.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache, lru_cache

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as encode_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as encode_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

EOF = "# EOF\n"
"""The end mark of OpenMetrics."""


class Format(Enum):
    """The formats that are offered; the value is the Content-Type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class _One(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


@cache
def header(format_: Format, name: str, text: str, kind: str) -> str:
    """The lines HELP and TYPE of a metric; `name` is without the `_total` of a counter."""
    one = _One(Metric(name, text, kind))
    if format_ is Format.TEXT:
        return encode_text(one).decode()
    encoded: bytes = encode_openmetrics(one)  # type: ignore[no-untyped-call]
    return encoded.decode().removesuffix(EOF)


def template(name: str, **labels: str | None) -> str:
    """A line with `%s` for the value of each label that is None here, in the order of their names, and for the number.

    The values are to be given as `escaped` makes them, the number as `number` does.
    """
    pairs = [
        f'{key}="%s"' if text is None else f'{key}="{escaped(text)}"'.replace("%", "%%")
        for key, text in sorted(labels.items())
    ]
    return f"{name}{{{','.join(pairs)}}} %s\n"


def escaped(text: str) -> str:
    """The value of a label as it stands between its quotes."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@lru_cache(maxsize=4096)  # most are small whole numbers, and the same again and again
def number(value: float) -> str:
    """A value as Go writes it."""
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def encode(families: Iterable[Metric], format_: Format) -> str:
    """All of the families, without the time at which each series began, which nobody here needs."""
    parts = []
    for family in families:
        parts.append(header(format_, family.name, family.documentation, family.type))
        parts += [
            f"{each.name}{_labels(each.labels)} {number(each.value)}\n"
            for each in family.samples
            if each.name != f"{family.name}_created"
        ]
    return "".join(parts)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = [f'{key}="{escaped(text)}"' for key, text in sorted(labels.items())]
    return f"{{{','.join(pairs)}}}" if pairs else ""
