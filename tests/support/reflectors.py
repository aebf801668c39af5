"""Reflectors of the pods on a shelf."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from exporter.foundation.pulse import Pulse
from exporter.kubernetes.api import PODS
from exporter.kubernetes.objects import Pod
from exporter.kubernetes.reflector import Pace, Reflector
from tests.support.clocks import LoopClock

PACE = Pace(window=30, silence=40)
START = 1_000_000.0


@asynccontextmanager
async def following(
    kubernetes: Any, *, pace: Pace = PACE, labels: str = "app=diego"
) -> AsyncIterator[tuple[Reflector[Pod], Pulse]]:
    pulse = Pulse()
    reflector = Reflector(
        kubernetes, PODS, labels=labels, pace=pace, clock=LoopClock(START), random=Random(1), changed=pulse
    )
    task = asyncio.create_task(reflector.run())
    try:
        await asyncio.sleep(0.1)
        yield reflector, pulse
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def pod(name: str, *, app: str = "diego", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": app, **labels}}}
