"""`make soak`: a week in virtual time and a minute in real time, as tables; exit status 1 where something grew."""

import argparse
import asyncio
import logging
import sys
import time
from dataclasses import astuple, fields

from tests.soak.minute import Held, minute
from tests.soak.week import Count, Week

WARM_UP = 3
"""Days: then the journal has as many runs as it keeps."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60.0, help="of real time; 0: none")
    flags = parser.parse_args()
    logging.disable(logging.CRITICAL)
    grown: list[str] = []
    began = time.perf_counter()
    _row(*(field.name for field in fields(Count)))
    counts = Week(days=flags.days).run(tell=lambda count: _row(*astuple(count)))
    grown += counts[-1].grown_since(counts[min(WARM_UP, len(counts)) - 1])
    _print(f"{flags.days} days in {time.perf_counter() - began:.0f} s\n")
    if flags.seconds:
        _row(*(field.name for field in fields(Held)), "when")
        before, after = asyncio.run(minute(flags.seconds))
        for first, last in zip(before, after, strict=True):
            _row(*astuple(first), "before")
            _row(*astuple(last), "after")
            grown += last.grown_since(first)
    for each in grown:
        _print(f"GROWN: {each}")
    return 1 if grown else 0


def _row(*values: object) -> None:
    _print("".join(f"{value:>15}" for value in values))


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
