"""Some hours of a foundation in virtual time: what the programs keep does not grow. `make soak` plays a week."""

import dataclasses

import pytest

from tests.soak.week import Count, Week


def test_nothing_grows_from_hour_to_hour() -> None:
    """Each hour has an incident, and one of them a reload that changes the foundations."""
    counts = Week(days=3, hours=1).run()

    first, *_, last = counts
    assert last.runs > first.runs > 0, "nothing was repaired: the test proves little"
    assert last.grown_since(first) == []


@pytest.mark.parametrize("name", ["rss", "objects", "tasks", "timers", "series", "journal", "files"])
def test_what_grows_is_told(name: str) -> None:
    """The control."""
    before = Count(day=1, rss=10**8, objects=10**5, tasks=30, timers=20, series=500, journal=10**5, files=6, runs=1)
    after = dataclasses.replace(before, **{name: getattr(before, name) * 3, "day": 7})

    assert len(after.grown_since(before)) == 1
    assert after.grown_since(before)[0].startswith(f"{name}: ")
    assert dataclasses.replace(before, day=7).grown_since(before) == []
