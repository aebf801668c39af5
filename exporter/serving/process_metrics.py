"""The metrics that every program has: its build, its last reload, its process."""

import platform
import time
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector

from exporter.clock import Clock
from exporter.serving.exposition import CachedCollectors

OFTEN: Final = 1.0
"""Seconds for which the metrics of the process stand."""


class CommonMetrics:
    """`diego_<program>_build_info`, the pair about the last reload, and the usual ones of Python."""

    def __init__(self, name: str, *, version: str, clock: Clock) -> None:
        self._clock = clock
        self._reloads = 0
        registry = CollectorRegistry()
        prefix = name.replace("-", "_")
        build = Gauge(
            f"{prefix}_build_info", "The version of the program; always 1.", ("version", "python"), registry=registry
        )
        build.labels(version, platform.python_version()).set(1)
        self._successful = Gauge(
            f"{prefix}_config_last_reload_successful",
            "Whether the last reload of the config file succeeded (1) or not (0).",
            registry=registry,
        )
        self._success_at = Gauge(
            f"{prefix}_config_last_reload_success_timestamp_seconds",
            "Unix time of the last successful load of the config file.",
            registry=registry,
        )
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._read_at = time.monotonic()
        self.collectors = CachedCollectors((registry,), key=self._key)
        self.reloaded(successful=True)

    def reloaded(self, *, successful: bool) -> None:
        """The config was loaded, at the start or again, or could not be."""
        self._reloads += 1
        self._successful.set(successful)
        if successful:
            self._success_at.set(self._clock.now())

    def _key(self) -> tuple[float, int]:
        """A process uses up time even while nothing happens: to read that once a second is often enough."""
        now = time.monotonic()
        if now - self._read_at >= OFTEN:
            self._read_at = now
        return self._read_at, self._reloads
