"""The measures of `make bench` can be taken; what they come to is no business of a test."""

import re
from pathlib import Path

import pytest

from bench import many
from bench.__main__ import _TABLE, MEASURES, PAGE
from bench.measure import Row, percentile, table


def test_foundations_are_observed_and_scraped_by_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "SETTLE", 0.0)
    rows = many.measure(foundations=2, seconds=0.1)

    assert [row.figure for row in rows if row.figure.startswith("scrape p99")] == ["scrape p99 of 1"]


def test_each_measure_is_described_and_has_its_place() -> None:
    page = PAGE.read_text()

    assert set(re.findall(r"^\| `bench\.(\w+)` \|", page, re.MULTILINE)) == set(MEASURES)
    assert len(_TABLE.findall(page)) == 1
    assert {path.stem for path in Path(many.__file__).parent.glob("*.py")} > set(MEASURES)


def test_a_row_says_by_how_much_and_whether_that_is_enough() -> None:
    rows = [Row("scrape", "p50", "1 ms", "4 ms", 0.25, "≤ 0.3 ×", reached=True), Row("memory", "one", "2 MiB")]

    assert table(rows).splitlines()[2:] == [
        "| scrape | p50 | 1 ms | 4 ms | 0.25 × | ≤ 0.3 × | reached |",
        "| memory | one | 2 MiB | – |  |  |  |",
    ]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected
