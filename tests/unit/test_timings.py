"""What must hold between the time-outs of the webhook, so that two processes never act at once.

It holds of the product's, and of the shorter ones of the sandbox's tests.
"""

from dataclasses import asdict

import pytest

from tests.support.fast_webhook import SHORTER
from webhook.runbook.cloud_controller import CONNECT_TIMEOUT
from webhook.timings import DEFAULT, Timings

both = pytest.mark.parametrize("timings", [DEFAULT, SHORTER], ids=["the product's", "shorter"])


@both
def test_a_holder_stops_trusting_its_lease_before_another_may_take_it(timings: Timings) -> None:
    assert timings.lease_trusted < timings.lease_duration


@both
def test_a_renewal_that_hangs_leaves_time_for_a_second_one(timings: Timings) -> None:
    assert timings.lease_renew + timings.lease_attempt + timings.lease_retry < timings.lease_trusted


@both
def test_a_renewed_lease_lasts_for_a_delete(timings: Timings) -> None:
    """Else no licence would ever permit one just before the next renewal."""
    assert timings.lease_trusted - timings.lease_renew > timings.delete


@both
def test_a_new_holder_waits_for_longer_than_a_delete_is_waited_for(timings: Timings) -> None:
    """The wait is for what the API server may still do with a DELETE, after its sender gave up."""
    assert timings.outstanding > timings.delete


@both
def test_an_exec_has_time_for_two_addresses_and_a_resolver(timings: Timings) -> None:
    assert timings.exec >= 3 * CONNECT_TIMEOUT


def test_the_shorter_ones_are_never_longer() -> None:
    product = asdict(DEFAULT)
    shorter = asdict(SHORTER)
    assert all(0 < seconds <= product[name] for name, seconds in shorter.items())
    assert shorter != product
