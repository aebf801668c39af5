"""What must hold between the time-outs of the webhook, so that two processes never act at once."""

from webhook.runbook.cloud_controller import CONNECT_TIMEOUT
from webhook.timings import DEFAULT


def test_a_holder_stops_trusting_its_lease_before_another_may_take_it() -> None:
    assert DEFAULT.lease_trusted < DEFAULT.lease_duration


def test_a_renewal_that_hangs_leaves_time_for_a_second_one() -> None:
    assert DEFAULT.lease_renew + DEFAULT.lease_attempt + DEFAULT.lease_retry < DEFAULT.lease_trusted


def test_a_renewed_lease_lasts_for_a_delete() -> None:
    """Else no licence would ever permit one just before the next renewal."""
    assert DEFAULT.lease_trusted - DEFAULT.lease_renew > DEFAULT.delete


def test_an_exec_has_time_for_two_addresses_and_a_resolver() -> None:
    assert DEFAULT.exec >= 3 * CONNECT_TIMEOUT
