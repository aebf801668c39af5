"""The text of all foundations: valid, complete, and never that of an earlier moment."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest as encode_text
from prometheus_client.openmetrics.exposition import generate_latest as encode_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.registry import Collector

from exporter import metrics
from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.metrics import FoundationMetrics
from exporter.serving import turns
from exporter.serving.exposition import Exposition
from tests.support.clocks import SetClock
from tests.support.exposed import Exposed, Observed, samples_of
from tests.support.foundations import foundation, pod
from tests.support.watched_views import HEALTHY, LEADER, NOW, reading, with_pods

OPENMETRICS = "application/openmetrics-text"
FIRST = 'diego_bbs_tcp_reachable{foundation="first",vantage="exporter"}'


class Scraped:
    """Foundations, and the exposition of them."""

    def __init__(self, *names: str, view: FoundationView = HEALTHY) -> None:
        self.clock = SetClock(NOW)
        self.foundations = {name: Exposed(Observed(foundation(name=name), view)) for name in names}
        self.exposition = Exposition(
            FoundationMetrics(lambda: [each.text for each in self.foundations.values()], self.clock)
        )

    async def text(self, accept: str = "") -> str:
        return (await self.exposition.respond(accept=accept)).body.decode()


class Parsed(Collector):
    """What a parser reads, for an encoder to write."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


async def test_both_formats_are_what_the_library_writes() -> None:
    scraped = Scraped("first", "second")
    for name, seconds in (("first", 0.003), ("second", 1234567.0)):
        scraped.foundations[name].counts.probed(Probe(ProbeResult.SUCCESS, at=NOW, duration=seconds))
        scraped.foundations[name].counts.requested("watch", "200")
    text, openmetrics = await scraped.text(), await scraped.text(OPENMETRICS)
    read = list(parse_openmetrics(openmetrics))  # type: ignore[no-untyped-call]

    assert len(read) > 20
    assert openmetrics.encode() == encode_openmetrics(Parsed(read))  # type: ignore[no-untyped-call]
    assert text.encode() == encode_text(Parsed(read))
    assert {type(each) for each in read} <= {Metric, GaugeMetricFamily, CounterMetricFamily, HistogramMetricFamily}


async def test_names_that_need_it_are_escaped() -> None:
    odd = pod("diego-api", 0, active="true")
    odd["metadata"]["name"] = 'a "pod"\\ with\n100%'
    text = await Scraped("first", view=with_pods(odd, replicas=1)).text()

    assert 'diego_api_pod_active{foundation="first",pod="a \\"pod\\"\\\\ with\\n100%"} 1.0\n' in text


async def test_each_metric_has_all_foundations_below_one_header_in_the_order_of_the_config() -> None:
    lines = (await Scraped("second", "first").text()).splitlines()
    begin = lines.index("# TYPE diego_bbs_tcp_reachable gauge")

    assert lines[begin + 1 : begin + 3] == [FIRST.replace("first", "second") + " 1.0", FIRST + " 1.0"]
    assert len([line for line in lines if line.startswith("# TYPE diego_bbs_tcp_reachable ")]) == 1


async def test_what_is_unknown_of_all_has_no_header() -> None:
    scraped = Scraped("first", "second")
    assert "diego_database_tcp_reachable" not in await scraped.text()

    scraped.foundations["second"].see(replace(HEALTHY, database=reading(reachable=True)))
    assert "# TYPE diego_database_tcp_reachable gauge\n" in await scraped.text()


async def test_the_header_stands_once_above_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_AT_ONCE", 1)
    scraped = Scraped("first", "second", "third")
    for name in ("second", "third"):
        scraped.foundations[name].see(replace(HEALTHY, database=reading(reachable=True)))
    text = await scraped.text()

    header, *samples = [line for line in text.splitlines() if "diego_database_tcp_reachable" in line][1:]
    assert header == "# TYPE diego_database_tcp_reachable gauge"
    assert samples == [f'diego_database_tcp_reachable{{foundation="{name}"}} 1.0' for name in ("second", "third")]
    assert text.count("# TYPE diego_bbs_tcp_reachable gauge") == 1


async def test_without_foundations_there_is_no_text() -> None:
    assert (await Scraped().text(), await Scraped().text(OPENMETRICS)) == ("", "# EOF\n")


async def test_a_change_shows_in_the_next_scrape_and_changes_nothing_else() -> None:
    scraped = Scraped("first", "second")
    before = samples_of(await scraped.text())
    scraped.foundations["second"].see(replace(HEALTHY, bbs=reading(reachable=False)))
    lines = (await scraped.text()).splitlines()

    assert FIRST + " 1.0" in lines
    assert FIRST.replace("first", "second") + " 0.0" in lines
    assert len(samples_of("\n".join(lines) + "\n")) == len(before)


@pytest.mark.parametrize("count", ["probed", "requested"])
async def test_what_was_counted_shows_in_the_next_scrape(count: str) -> None:
    scraped = Scraped("first")
    before = await scraped.text()
    assert await scraped.text() == before
    counts = scraped.foundations["first"].counts
    if count == "probed":
        counts.probed(Probe(ProbeResult.SUCCESS, at=NOW, duration=0.1))
    else:
        counts.requested("list", "503")

    assert await scraped.text() != before


async def test_a_value_that_is_too_old_vanishes_without_any_event() -> None:
    scraped = Scraped("first", view=replace(HEALTHY, bbs=reading(reachable=True, at=NOW - 30)))
    for age, known in ((0.0, True), (29.9, True), (30.1, False), (1000.0, False)):
        scraped.clock.time = NOW + age
        assert (FIRST + " 1.0" in await scraped.text()) is known, age


async def test_a_clock_that_is_set_back_brings_back_what_is_not_too_old_by_it() -> None:
    scraped = Scraped("first")
    scraped.clock.time = NOW + 61
    assert FIRST not in await scraped.text()
    scraped.clock.time = NOW + 1
    assert FIRST + " 1.0" in await scraped.text()


async def test_a_foundation_that_is_removed_or_added_is_so_in_the_next_scrape() -> None:
    scraped = Scraped("first", "second")
    await scraped.text()
    removed = scraped.foundations.pop("first")
    assert 'foundation="first"' not in await scraped.text()
    scraped.foundations["first"] = removed
    assert FIRST + " 1.0" in await scraped.text()


async def test_a_foundation_is_rendered_when_it_changes_and_not_when_another_does() -> None:
    scraped = Scraped("first", "second")
    await scraped.text()
    first = scraped.foundations["first"].text.texts
    scraped.foundations["second"].see(with_pods(LEADER, replicas=1))
    await scraped.text()

    assert scraped.foundations["first"].text.texts is first


async def test_others_have_their_turn_during_a_scrape_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SLICE", 0.0)
    scraped, counted = Scraped(*(f"f{number}" for number in range(50))), 0

    async def count() -> None:
        nonlocal counted
        while True:
            counted += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert (await scraped.text()).count("\ndiego_bbs_tcp_reachable{") == 50
    counting.cancel()

    assert counted >= 50


async def test_scrapes_at_once_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SLICE", 0.0)
    scraped = Scraped("first", "second")
    responses = await asyncio.gather(*(scraped.exposition.respond() for _ in range(5)))

    assert len({id(response) for response in responses}) == 1
