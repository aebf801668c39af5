"""The medics of a config, one for each foundation. What hangs or crashes for one delays no other."""

import logging
from collections.abc import Callable, Mapping

from exporter.config.model import Config, Foundation
from exporter.serving.per_foundation import OnCrash, PerFoundation
from webhook.medic.medic import Medic
from webhook.record.journal import Journal
from webhook.record.store import journal_name
from webhook.timings import DEFAULT, Timings

log = logging.getLogger(__name__)


class Medics:
    """Works on all foundations of a config, while `run` runs."""

    def __init__(
        self,
        config: Config,
        *,
        build: Callable[[Foundation], Medic],
        on_crash: OnCrash | None = None,
        on_remove: Callable[[str], None] = lambda _foundation: None,
        timings: Timings = DEFAULT,
    ) -> None:
        """`on_remove` is called with the name of a foundation that a new config does not have any more."""
        self._on_remove = on_remove
        self._journal_shown = timings.journal_shown
        self._medics = PerFoundation(build=build, run=Medic.run, on_crash=on_crash, on_drop=Medic.retire)
        self.apply(config)

    @property
    def by_foundation(self) -> Mapping[str, Medic]:
        """Always the medics of the config in force."""
        return self._medics.works

    def foundations(self) -> tuple[Foundation, ...]:
        return tuple(medic.foundation for medic in self._medics.works.values())

    def journals(self) -> dict[str, Journal]:
        """The journals by foundation, without those that were not read for `Timings.journal_shown`."""
        seen = {name: self.journal(name) for name in self._medics.works}
        return {name: journal for name, journal in seen.items() if journal is not None}

    def journal(self, name: str) -> Journal | None:
        """The journal of one foundation; None where it was not read for so long. Raises KeyError."""
        return self._medics.works[name].store.recent(self._journal_shown)

    def not_ready(self) -> str | None:
        """Which journals were not tried yet. A dead API server is not our defect: it was tried."""
        waiting = [name for name, medic in self._medics.works.items() if not medic.tried]
        return f"the journals of {', '.join(waiting)} were not read yet" if waiting else None

    def unhealthy(self) -> str | None:
        """Which medics crash again and again, and so do not hear what is asked of them."""
        crashing = self._medics.crashing()
        return f"the medics of {', '.join(crashing)} keep crashing" if crashing else None

    async def run(self) -> None:
        """Work until cancelled. An open run stays open in its journal, for whoever holds the lease next."""
        await self._medics.run()

    def apply(self, config: Config) -> None:
        """Continue with this config: a foundation that is the same in both stays as it is."""
        before = dict(self._medics.works)
        self._medics.apply(config.foundations)
        for name, old in before.items():
            new = self._medics.works.get(name)
            if new is None:
                self._on_remove(name)
            elif _place(new.foundation) != _place(old.foundation):
                self._tell_moved(name, old, new)

    def _tell_moved(self, name: str, old: Medic, new: Medic) -> None:
        """A pause, an open run and the breaker stay in the old journal: nobody would look for them there."""
        left = old.store.recent(self._journal_shown)
        run = left.open_run if left is not None else None
        fields = {
            "foundation": name,
            "old": _words(old.foundation),
            "new": _words(new.foundation),
            "paused": left is not None and left.paused is not None,
            "open_run": run.id if run is not None else "none",
        }
        log.warning("the journal has another place: what the old one records does not count any more", extra=fields)


def _place(foundation: Foundation) -> tuple[str | None, ...]:
    """Where its journal and Lease are."""
    return foundation.kubeconfig, foundation.context, foundation.namespace, journal_name(foundation)


def _words(foundation: Foundation) -> str:
    cluster = " ".join(each for each in (foundation.kubeconfig, foundation.context) if each is not None)
    return f"{foundation.namespace}/{journal_name(foundation)}" + (f" ({cluster})" if cluster else "")
