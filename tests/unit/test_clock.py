"""A moment by two clocks: safety counts by whichever says that more time has passed."""

import pytest

from exporter.clock import Instant, SystemClock

START = Instant(wall=1_000_000.0, boot=5_000.0)


@pytest.mark.parametrize(
    ("wall", "boot", "age", "drift"),
    [
        (10, 10, 10, 0),
        (3600, 10, 3600, 3590),
        (10, 3600, 3600, 3590),
        (-3600, 10, 10, 3610),
        (-5, -5, -5, 0),
    ],
)
def test_age_is_by_the_clock_that_moved_further_and_drift_is_what_they_disagree_about(
    wall: float, boot: float, age: float, drift: float
) -> None:
    """Both run on, the wall clock is set ahead, only the boot time tells, set back, and a moment of the future."""
    now = Instant(wall=START.wall + wall, boot=START.boot + boot)

    assert (START.age(now), START.drift(now)) == (age, drift)


def test_the_clocks_of_the_machine_agree_about_how_long_a_moment_is_ago() -> None:
    clock = SystemClock()
    earlier = Instant.of(clock)
    later = Instant.of(clock)

    assert later.boot >= earlier.boot
    assert earlier.drift(later) < 60
