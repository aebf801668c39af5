"""What is costly to make and is the same for several tests: made by one worker, read by the others."""

import fcntl
import json
import os
from collections.abc import Callable
from typing import Any

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Any]) -> Any:
    """What `make` returns, as it comes back from JSON; `make` is called once in a test run, however many workers ask.

    pytest-xdist's own way to keep tests on one worker (`--dist loadgroup`) does nothing under pytest 9.2: the marks are
    ignored without a word (pytest-xdist issue 1386).
    """
    base = factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    file = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(json.dumps(make()))
    return json.loads(file.read_text())
