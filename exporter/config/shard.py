"""`--shard`: the foundations of a config, split over several exporters that read the same config."""

from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from exporter.config.model import Config


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `total` parts, counted from 0 as in kube-state-metrics; by default the whole."""

    number: int = 0
    total: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def part(self, config: Config) -> Config:
        """The config with the foundations of this shard alone, which may be none."""
        if self.total == 1:
            return config
        return msgspec.structs.replace(
            config, foundations=tuple(each for each in config.foundations if self.has(each.name))
        )

    def has(self, name: str) -> bool:
        """Whether the foundation of this name belongs here: by the name alone, so that all exporters agree."""
        digest = blake2b(name.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.total == self.number


def parse_shard(text: str) -> Shard:
    """`0/3`, `1/3` and `2/3` are the three shards of three. Raises ValueError."""
    number, slash, total = text.partition("/")
    if not slash or not all(each.isascii() and each.isdecimal() for each in (number, total)):
        raise ValueError(f"must be I/N, as in 0/3, not {text!r}")
    if int(number) >= int(total):
        raise ValueError(f"of N shards the first is 0 and the last N-1: {text!r} is none of them")
    return Shard(int(number), int(total))
