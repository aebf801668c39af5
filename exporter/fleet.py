"""The foundations of the config, each with its observer. What hangs for one delays no other."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from exporter.clock import Clock
from exporter.config.model import Config, Foundation
from exporter.foundation.call import Caller, bbs_client
from exporter.foundation.observer import Observer, observed
from exporter.foundation.probe import Dialer, dial_tcp
from exporter.gauges import ViewAt
from exporter.kubernetes.api import Kubernetes
from exporter.metrics import Counts, FoundationText
from exporter.serving.per_foundation import OnCrash, PerFoundation

MANY: Final = 500
"""Foundations whose first probes are spread over the whole interval; those of fewer over less."""
LEAST_SPREAD: Final = 0.1

Call = Callable[[Foundation], Caller | None]
"""Makes what calls the BBS of a foundation; None: it is not called."""
Connect = Callable[[Foundation, Callable[[str, str], None]], Kubernetes]
"""Makes the reader of a foundation, which tells (verb, code) of each of its requests."""


class Fleet:
    """Observes all foundations of a config, while `run` runs."""

    def __init__(
        self,
        config: Config,
        *,
        connect: Connect,
        clock: Clock,
        random: Random,
        dial: Dialer = dial_tcp,
        call: Call = bbs_client,
        on_crash: OnCrash | None = None,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._random = random
        self._counts: dict[str, Counts] = {}
        self._texts: dict[Observer, FoundationText] = {}
        self._dial = dial
        self._call = call
        self._observers = PerFoundation(build=self._observer, run=Observer.run, on_crash=on_crash)
        self._spread = LEAST_SPREAD
        self._was_ready = False
        self.apply(config)

    @property
    def observers(self) -> tuple[Observer, ...]:
        return tuple(self._observers.works.values())

    def looks(self) -> Iterator[ViewAt]:
        """Each foundation as it is seen now."""
        now = self._clock.now()
        for observer in self.observers:
            yield ViewAt(observer.foundation, observer.view, now)

    def texts(self) -> list[FoundationText]:
        """What is exposed of each foundation."""
        return [self._texts[observer] for observer in self.observers]

    def not_ready(self) -> str | None:
        """Which foundations were not asked yet. Once all were it stays ready: a dead API server is not our defect."""
        waiting = [observer.foundation.name for observer in self.observers if not observer.tried]
        if waiting and not self._was_ready:
            return f"the first read of {', '.join(waiting)} is in progress"
        self._was_ready = True
        return None

    async def run(self) -> None:
        """Observe until cancelled."""
        await self._observers.run()

    def apply(self, config: Config) -> None:
        """Continue with this config: a foundation that is the same in both stays as it is."""
        self._spread = min(1.0, max(LEAST_SPREAD, len(config.foundations) / MANY))
        self._observers.apply(map(observed, config.foundations))
        observers = self.observers
        self._texts = {observer: self._text(observer) for observer in observers}
        self._counts = {name: self._counts[name] for name in self._observers.works}

    def _observer(self, foundation: Foundation) -> Observer:
        # Counters go on where another config only changes the foundation.
        counts = self._counts.setdefault(foundation.name, Counts())
        return Observer(
            foundation,
            self._connect(foundation, counts.requested),
            clock=self._clock,
            random=self._random,
            dial=self._dial,
            caller=self._call(foundation),
            probed=counts.probed,
            leader_changed=counts.leader_changed,
            spread=self._spread,
        )

    def _text(self, observer: Observer) -> FoundationText:
        return self._texts.get(observer) or FoundationText(observer, self._counts[observer.foundation.name])
