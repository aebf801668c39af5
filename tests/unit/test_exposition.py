"""Two formats, whatever the header says, and a text that is made once a change."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from exporter.serving.exposition import CachedCollectors, Exposition, accepts_gzip, negotiate
from exporter.serving.text import Format

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        (WITH_PROTOBUF, TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/*", TEXT),
        ("text/plain,application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("Application/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text,*/*", OPENMETRICS),
    ],
)
def test_the_format_that_is_asked_for(accept: str, expected: Format) -> None:
    assert negotiate(accept) is expected


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;version=99",
        'application/openmetrics-text;version="a,b;c"',
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version",
        "application/openmetrics-text;version=abc",
        ";;;,,,===,;q=",
        '"',
        "/",
        "\udcff\x00",
        "*",
        "nonsense",
        "a" * 100_000,
    ],
)
def test_what_makes_no_sense_or_is_not_offered_gets_text(accept: str) -> None:
    assert negotiate(accept) is TEXT


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip", True),
        ("gzip;q=0.1", True),
        ("gzip;q=1.0, identity; q=0.5", True),
        ("deflate", False),
        ("gzip;q=0", False),
        ("gzip ; q=0.000", False),
        ("identity", False),
        ("*", False),
        ("notgzip", False),
        (";;,,=", False),
        ("\udcff", False),
    ],
)
def test_gzip_is_sent_to_who_names_it(accept_encoding: str, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected


class Counting(Collector):
    """Counts how often it was asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.asked = 0
        self._registry = registry

    def collect(self) -> Iterator[Any]:
        self.asked += 1
        yield from self._registry.collect()


def a_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("temperature", 'of "it"\nall', ("room",), registry=registry).labels('a"b\\c\n').set(21.5)
    Counter("things_total", "Things.", registry=registry).inc(3)
    Histogram("waits_seconds", "Waits.", registry=registry, buckets=(1, 2)).observe(1.5)
    return registry


async def test_each_format_is_what_it_says() -> None:
    exposition = Exposition(
        CachedCollectors((a_registry(),), key=lambda: 0), CachedCollectors((CollectorRegistry(),), key=lambda: 0)
    )
    text = await exposition.respond()
    openmetrics = await exposition.respond(accept="application/openmetrics-text")

    assert text.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert openmetrics.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert openmetrics.body.endswith(b"# EOF\n")
    assert openmetrics.body.count(b"# EOF") == 1
    assert b"# EOF" not in text.body
    parsed = parse_openmetrics(openmetrics.body.decode())  # type: ignore[no-untyped-call]
    for families in (parse_text(text.body.decode()), parsed):
        samples = {each.name: (each.labels, each.value) for family in families for each in family.samples}
        assert samples["temperature"] == ({"room": 'a"b\\c\n'}, 21.5)
        assert samples["things_total"] == ({}, 3)
        assert samples["waits_seconds_sum"] == ({}, 1.5)
        assert not [name for name in samples if name.endswith("_created")]


async def test_gzip_is_the_same_text() -> None:
    exposition = Exposition(CachedCollectors((a_registry(),), key=lambda: 0))
    plain, zipped = await exposition.respond(), await exposition.respond(accept_encoding="gzip")

    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert {each.headers["Vary"] for each in (plain, zipped)} == {"Accept, Accept-Encoding"}


async def test_the_text_is_made_once_a_change() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("temperature", "Of it.", registry=registry)
    steady, restless = Counting(registry), Counting(CollectorRegistry())
    versions = {"steady": 0, "restless": 0}
    exposition = Exposition(
        CachedCollectors((steady,), key=lambda: versions["steady"]),
        CachedCollectors((restless,), key=lambda: versions["restless"]),
    )
    for _ in range(10):
        await exposition.respond()
        await exposition.respond(accept_encoding="gzip")
        versions["restless"] += 1
    assert (steady.asked, restless.asked) == (1, 10)

    gauge.set(7)
    versions["steady"] += 1
    assert b"temperature 7.0" in (await exposition.respond()).body
    assert b"temperature 7.0" in gzip.decompress((await exposition.respond(accept_encoding="gzip")).body)
    assert b"temperature 7.0" in (await exposition.respond(accept="application/openmetrics-text")).body


async def test_a_collector_that_raises_loses_only_itself() -> None:
    class Broken(Collector):
        def collect(self) -> Iterator[Any]:
            yield from a_registry().collect()
            raise ZeroDivisionError

    registry = CollectorRegistry()
    Gauge("survivor", "Is there.", registry=registry)

    exposition = Exposition(CachedCollectors((Broken(), registry), key=lambda: 0))
    body = (await exposition.respond()).body

    assert (b"survivor 0.0" in body, b"temperature" in body) == (True, False)
