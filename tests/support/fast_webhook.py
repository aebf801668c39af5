"""`diego-webhook` with shorter time-outs: the same program, flags and exit codes, and nothing else is changed.

    python -m tests.support.fast_webhook --config.file …

Only for tests that would wait for a time-out of the product. What the time-outs are is tested elsewhere, under virtual
time. The shorter ones keep the order that the product relies on: an attempt to renew is shorter than the time for which
the lease is trusted, which is shorter than the time after which another may take it.
"""

import sys
from collections.abc import Mapping
from types import ModuleType

from webhook import main
from webhook.medic import intake, medic
from webhook.record import lease
from webhook.runbook import cloud_controller, deletion, execution, proof

LEASE_TRUSTED = 4.0
"""Seconds for which the holder trusts its lease without a renewal."""
SHORTER: Mapping[ModuleType, Mapping[str, float]] = {
    lease: {
        "DURATION": 6.0,
        "RENEW_INTERVAL": 1.5,
        "RENEW_DEADLINE": LEASE_TRUSTED,
        "RETRY_INTERVAL": 0.5,
        "ATTEMPT": 1.25,
    },
    execution: {"RENEW_DEADLINE": LEASE_TRUSTED},  # imported by its name
    medic: {"POLL_INTERVAL": 0.5},
    intake: {"TIMEOUT": 3.0},
    proof: {"LOOK_PAUSE": 0.5},
    deletion: {"_WAIT": 0.5},
    cloud_controller: {"CONNECT_TIMEOUT": 2, "EXEC_TIMEOUT": 6.0},  # nc takes whole seconds
}
"""Seconds, by the module and the name of the constant."""


def shorten() -> None:
    """Sets the shorter time-outs; AttributeError where the product has no such constant, so that none is lost."""
    for module, times in SHORTER.items():
        for name, seconds in times.items():
            assert seconds <= getattr(module, name), f"{module.__name__}.{name} is shorter already"
            setattr(module, name, seconds)


if __name__ == "__main__":
    shorten()
    sys.exit(main.main())
