"""What a worker process plays: by a module's name, since a process that is not forked cannot import `__main__`."""

import gc
import logging
import sys

from sandbox.simulation.faults import Plan
from sandbox.simulation.incident import Incident, Report


def quiet() -> None:
    """Simulated programs log thousands of lines, and coroutines of killed ones complain when they are collected."""
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _error: None


def begin() -> None:
    """In a worker process, which ends soon: collecting an incident takes longer than playing it without."""
    gc.disable()
    quiet()


def play(plan: Plan) -> Report:
    return Incident(plan).play()
