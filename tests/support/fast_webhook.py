"""`diego-webhook` with shorter time-outs: the same program, flags and exit codes, and nothing else is changed.

    python -m tests.support.fast_webhook --config.file …

Only for tests that would wait for a time-out of the product. What the time-outs are is tested elsewhere, under virtual
time. The shorter ones keep the order that the product relies on: `tests/unit/test_timings.py`.
"""

import sys

from webhook import main
from webhook.timings import Timings

SHORTER = Timings(
    lease_duration=6,
    lease_trusted=4,
    lease_renew=1.5,
    lease_retry=0.5,
    lease_attempt=1.25,
    poll=0.5,
    notification=3,
    delete=2,
    outstanding=3,
)

if __name__ == "__main__":
    sys.exit(main.main(timings=SHORTER))
