"""An observer that runs for as long as a test looks at it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from exporter.config.model import Foundation
from exporter.foundation import assess
from exporter.foundation.observer import Observer
from tests.support.clocks import LoopClock
from tests.support.foundations import Dials, foundation
from tests.support.inprocess import InProcessWriter

FIRST, SECOND = "10.0.0.1", "10.0.0.2"
"""The addresses of the diego-api pods."""


@asynccontextmanager
async def observing(
    kubernetes: InProcessWriter, dials: Dials, config: Foundation | None = None, **options: Any
) -> AsyncIterator[Observer]:
    seams: dict[str, Any] = {"clock": LoopClock(), "random": Random(1), "dial": dials} | options
    observer = Observer(config or foundation(), kubernetes, **seams)
    task = asyncio.create_task(observer.run())
    try:
        await asyncio.sleep(1.5)  # the first round, jitter included
        yield observer
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def serving(observer: Observer) -> list[str]:
    seen = assess.serving(observer.view, observer.foundation, now=LoopClock().now())
    return [each.name for each in seen.pods]


def leaders(observer: Observer) -> list[str]:
    return [each.name for each in assess.leaders(observer.view, observer.foundation)]
