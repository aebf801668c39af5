"""The shorter time-outs of the tests stand in the same order as the product's own."""

import pytest

from tests.support.fast_webhook import SHORTER
from webhook.record import lease
from webhook.runbook import cloud_controller


@pytest.mark.parametrize("times", [vars(lease), SHORTER[lease]], ids=["the product's", "shorter"])
def test_a_lease_is_renewed_well_before_it_is_not_trusted_and_that_well_before_another_takes_it(
    times: dict[str, float],
) -> None:
    assert times["RENEW_INTERVAL"] + times["ATTEMPT"] < times["RENEW_DEADLINE"] < times["DURATION"]
    assert times["RETRY_INTERVAL"] < times["RENEW_INTERVAL"]


@pytest.mark.parametrize("times", [vars(cloud_controller), SHORTER[cloud_controller]], ids=["the product's", "shorter"])
def test_nc_gives_up_well_before_the_exec_does(times: dict[str, float]) -> None:
    assert 2 * times["CONNECT_TIMEOUT"] < times["EXEC_TIMEOUT"]


def test_each_is_shorter_and_of_a_constant_that_exists() -> None:
    for module, times in SHORTER.items():
        for name, seconds in times.items():
            assert 0 < seconds <= getattr(module, name), f"{module.__name__}.{name}"
