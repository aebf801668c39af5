"""The exporter's metrics as text: the gauges of each foundation, and the counters of what this process did for it.

The text of a foundation is kept until it changes. What is exposed is ordered by metric and then by foundation, so it is
kept by both.
"""

import itertools
import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from exporter.clock import Clock
from exporter.config.model import Foundation
from exporter.foundation.view import FoundationView, Probe, ProbeResult
from exporter.gauges import GAUGES, Gauge, ViewAt, expires, still
from exporter.serving.text import Format, escaped, header, number, template
from exporter.serving.turns import Turns

log = logging.getLogger(__name__)

VANTAGE: Final = "exporter"
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a connect within a cluster takes about one millisecond, a time-out five seconds by default."""
_AT_ONCE: Final = 200
"""Foundations in a block of text."""
_EARLY: Final = 0.001
"""Seconds before a value expires at which it is no longer taken from the kept text: rounding must not decide."""


class Counts:
    """What this process did for one foundation. Every result exists from the start: the first is an increase."""

    def __init__(self) -> None:
        self.version = 0
        """Counts the changes."""
        self.probes = dict.fromkeys(ProbeResult, 0)
        self.durations = [0] * (len(BUCKETS) + 1)
        """Number of probes in each bucket alone; the last is for what took longer than all of them."""
        self.seconds = 0.0
        self.requests: dict[tuple[str, str], int] = {}
        self.leader_changes = 0

    def probed(self, probe: Probe) -> None:
        self.probes[probe.result] += 1
        self.durations[bisect_left(BUCKETS, probe.duration)] += 1
        self.seconds += probe.duration
        self.version += 1

    def leader_changed(self) -> None:
        self.leader_changes += 1
        self.version += 1

    def requested(self, verb: str, code: str) -> None:
        self.requests[verb, code] = self.requests.get((verb, code), 0) + 1
        self.version += 1


class Observed(Protocol):
    """A foundation that is observed: its view, and a number that grows whenever the view changes."""

    @property
    def foundation(self) -> Foundation: ...

    @property
    def version(self) -> int: ...

    @property
    def view(self) -> FoundationView: ...


class _Family(NamedTuple):
    """The header of a metric."""

    name: str
    help: str
    kind: str


_COUNTED: Final = (
    _Family("diego_bbs_probes", "Number of probes of the BBS, by result.", "counter"),
    _Family("diego_bbs_probe_duration_seconds", "Duration of probes of the BBS, whatever their result.", "histogram"),
    _Family(
        "diego_kubernetes_requests",
        "Number of requests to the API server, by verb and HTTP status code (timeout or error without a response).",
        "counter",
    ),
    _Family(
        "diego_bbs_leader_changes",
        "Number of times that the diego-api pod labelled active was known to be so no longer: another was, or none.",
        "counter",
    ),
)
FAMILIES: Final = (
    *(_Family(gauge.name.removesuffix("_total"), gauge.help, gauge.kind) for gauge in GAUGES),
    *_COUNTED,
)
"""All metrics of a foundation, in the order in which they are exposed."""


_PROBES: Final = "".join(
    template("diego_bbs_probes_total", foundation=None, result=result.value, vantage=VANTAGE) for result in ProbeResult
)
_HISTOGRAM: Final = "diego_bbs_probe_duration_seconds"
_DURATIONS: Final = "".join(
    [
        *(
            template(f"{_HISTOGRAM}_bucket", foundation=None, le=number(limit), vantage=VANTAGE)
            for limit in (*BUCKETS, math.inf)
        ),
        template(f"{_HISTOGRAM}_count", foundation=None, vantage=VANTAGE),
        template(f"{_HISTOGRAM}_sum", foundation=None, vantage=VANTAGE),
    ]
)
_REQUESTS: Final = template("diego_kubernetes_requests_total", foundation=None, verb=None, code=None)
_LEADER_CHANGES: Final = template("diego_bbs_leader_changes_total", foundation=None)
_GAUGES: Final = tuple(
    (gauge, template(gauge.name, foundation=None, **dict.fromkeys(gauge.labels))) for gauge in GAUGES
)


class FoundationText:
    """The lines of one foundation, by metric, as of the last `refresh`."""

    def __init__(self, observed: Observed, counts: Counts) -> None:
        self.texts: Sequence[str] = ("",) * len(FAMILIES)
        """In the order of `FAMILIES`; empty where nothing is known."""
        self._observed = observed
        self._counts = counts
        self._made_of: tuple[int, int] | None = None
        self._made_at = 0.0
        self._expires = 0.0
        self._known: FoundationView | None = None

    def refresh(self, now: float) -> bool:
        """Makes the text again if it may be another now, in Unix time; whether it did."""
        made_of = (self._observed.version, self._counts.version)
        if made_of == self._made_of and self._made_at <= now < self._expires - _EARLY:
            return False
        at = ViewAt(self._observed.foundation, self._observed.view, now)
        known = still(at)
        changed, texts = known.view != self._known, list(self.texts)
        for index, (gauge, text) in enumerate(_GAUGES):
            if gauge.shows_time:
                texts[index] = _gauge(gauge, text, at)
            elif changed:
                texts[index] = _gauge(gauge, text, known)
        texts[len(_GAUGES) :] = _counted(at.foundation.name, self._counts)
        self.texts, self._known = texts, known.view
        self._made_of, self._made_at, self._expires = made_of, now, expires(at)
        return True


class FoundationMetrics:
    """The metrics of all foundations, as a part of the exposition."""

    def __init__(self, texts: Callable[[], Sequence[FoundationText]], clock: Clock) -> None:
        self._texts = texts
        self._clock = clock
        self._changes = 0

    async def refresh(self, turns: Turns) -> Hashable:
        now, texts = self._clock.now(), self._texts()
        for text in texts:
            if text.refresh(now):
                self._changes += 1
                await turns.turn()
        return self._changes, tuple(texts)

    def blocks(self, format_: Format) -> Iterator[str]:
        known = [text.texts for text in self._texts()]
        for index, family in enumerate(FAMILIES):
            above = header(format_, *family)  # not for a metric that is unknown for all foundations
            for start in range(0, len(known), _AT_ONCE):
                lines = "".join([texts[index] for texts in known[start : start + _AT_ONCE]])
                if lines:
                    yield above + lines
                    above = ""


def _gauge(gauge: Gauge, template_: str, at: ViewAt) -> str:
    name = escaped(at.foundation.name)
    try:
        return "".join(
            [template_ % (name, *map(escaped, values), number(value)) for values, value in gauge.samples(at)]
        )
    except Exception:  # a defect in one gauge must not hide the others
        log.exception("gauge failed", extra={"metric": gauge.name, "foundation": at.foundation.name})
        return ""


def _counted(foundation: str, counts: Counts) -> tuple[str, ...]:
    """The lines of `_COUNTED`."""
    name = escaped(foundation)
    durations = [*itertools.accumulate(counts.durations), sum(counts.durations), counts.seconds]
    requests = [
        _REQUESTS % (escaped(code), name, escaped(verb), number(count))
        for (verb, code), count in counts.requests.items()
    ]
    return (
        _filled(_PROBES, name, counts.probes.values()),
        _filled(_DURATIONS, name, durations),
        "".join(requests),
        _filled(_LEADER_CHANGES, name, (counts.leader_changes,)),
    )


def _filled(template_: str, name: str, values: Iterable[float]) -> str:
    return template_ % tuple([part for value in values for part in (name, number(value))])
