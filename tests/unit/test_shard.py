"""`--shard`: which exporter observes which foundation."""

import pytest

from exporter.config.model import Config
from exporter.config.shard import Shard, parse_shard
from tests.support.foundations import foundation

NAMES = [f"cf-{number}" for number in range(3000)]


def test_each_foundation_belongs_to_one_shard_and_each_shard_has_its_share() -> None:
    shards = [Shard(number, 3) for number in range(3)]
    assert [sum(shard.has(name) for shard in shards) for name in NAMES] == [1] * len(NAMES)
    assert all(900 < sum(shard.has(name) for name in NAMES) < 1100 for shard in shards)


def test_the_shard_of_a_name_stays_the_same_in_every_version() -> None:
    """Else two exporters of different versions observe a foundation twice, or not at all. As `b2sum -l 64` has it."""
    names = ("cf", "prod-eu", "prod-us", "é")
    assert [next(n for n in range(8) if Shard(n, 8).has(name)) for name in names] == [5, 3, 1, 7]


def test_a_part_of_a_config_keeps_the_rest_and_the_order() -> None:
    config = Config(foundations=tuple(foundation(name=name) for name in NAMES[:20]))
    parts = [Shard(number, 2).part(config) for number in range(2)]
    assert sorted(each.name for part in parts for each in part.foundations) == sorted(NAMES[:20])
    for part in parts:
        assert [each for each in config.foundations if each in part.foundations] == list(part.foundations)
        assert part.webhook is config.webhook
    assert Shard().part(config) is config


@pytest.mark.parametrize("text", ["0/1", "0/3", "2/3", "99/100"])
def test_what_is_a_shard(text: str) -> None:
    assert str(parse_shard(text)) == text


@pytest.mark.parametrize("text", ["", "1", "3/3", "1/1", "0/0", "-1/3", "1/-3", "a/b", "1/3/5", "²/3", " 1/3", "1/"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be I/N|is none of them"):
        parse_shard(text)
