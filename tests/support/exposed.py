"""What the exporter exposes of one foundation: a view that a test gives, and the text that is made of it."""

from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from exporter.config.model import Foundation
from exporter.foundation.view import FoundationView
from exporter.metrics import Counts, FoundationText


@dataclass
class Observed:
    """Stands in for an observer. Whoever changes the view raises the version."""

    foundation: Foundation
    view: FoundationView
    version: int = 0


@dataclass
class Exposed:
    """One foundation with its counters and its text."""

    observed: Observed
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.text = FoundationText(self.observed, self.counts)

    def see(self, view: FoundationView) -> None:
        self.observed.view = view
        self.observed.version += 1

    def samples(self, now: float) -> dict[str, float]:
        self.text.refresh(now)
        return samples_of("".join(self.text.texts))


def samples_of(text: str) -> dict[str, float]:
    """Each sample by `name` or `name{key=value,…}`, without the name of the foundation; the keys in their order."""
    found = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in each.labels.items() if key != "foundation")
            found[each.name + (f"{{{labels}}}" if labels else "")] = each.value
    return found
