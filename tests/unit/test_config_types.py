"""The scalars of the config: Prometheus' durations, Kubernetes' names and labels, hosts."""

import pytest

from exporter.config.check import validated
from exporter.config.errors import ConfigError
from exporter.config.model import Bbs, DiegoApi, Foundation, HostPort
from exporter.config.remediation import Breaker, Verify
from exporter.config.types import (
    Label,
    format_duration,
    parse_duration,
    printable,
    quoted,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("500ms", 0.5),
        ("10s", 10.0),
        ("1m", 60.0),
        ("1h30m", 5_400.0),
        ("1d", 86_400.0),
        ("1w", 604_800.0),
        ("1y", 31_536_000.0),
        ("1y2w3d4h5m6s7ms", 33_019_506.007),
        ("90s", 90.0),
        ("007s", 7.0),
    ],
)
def test_durations_are_prometheus(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "10", "1.5h", "-1s", "+1s", "1 s", "s", "1S", "1us", "1m1h", "1s1s", "1s ", "1,5s", "٣s", "1s\n"]
)
def test_what_prometheus_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a duration|needs a unit"):
        parse_duration(text)


@pytest.mark.parametrize("value", [10, True, None, ("10s",)])
def test_only_a_text_with_a_unit_is_a_duration(value: object) -> None:
    """A number in a file says neither seconds nor milliseconds."""
    with pytest.raises(ValueError, match=r"must be a duration|needs a unit"):
        parse_duration(value)


def test_code_gives_seconds() -> None:
    """A float never comes from a file, so it is how the house's own code writes a duration."""
    assert validated(Bbs, {"interval": 2.5, "timeout": 0.5}).interval == 2.5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.5, "500ms"), (90.0, "1m30s"), (5_400.0, "1h30m"), (694_861.5, "1w1d1h1m1s500ms")],
)
def test_a_duration_is_written_as_it_is_read(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "host",
    [
        "diego-api",
        "diego-api.cf.svc.cluster.local",
        "BBS.Example.COM.",
        "10.0.0.1",
        "::1",
        "fd00::1",
        "1.example",
        "a1",
    ],
)
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert validated(HostPort, {"host": host, "port": 1}).host == host


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        "-a",
        "a-",
        "a_b",
        "a b",
        "a/b",
        "a:1",
        "10.0.0.1:80",
        "[::1]",
        "http://a",
        "1.2.3",
        "a" * 64,
        "ä",
    ],
)
def test_anything_else_is_no_host(host: str) -> None:
    with pytest.raises(ConfigError):
        validated(HostPort, {"host": host, "port": 1})


@pytest.mark.parametrize("name", ["a", "cf", "cf-1", "1", "a" * 40])
def test_a_foundations_name_is_a_short_label(name: str) -> None:
    assert validated(Foundation, {"name": name}).name == name


@pytest.mark.parametrize("name", ["", "a" * 41, "-a", "a-", "A", "a.b", "a_b", "cf\n", "ü"])
def test_nothing_else_becomes_a_label_value_everywhere(name: str) -> None:
    with pytest.raises(ConfigError):
        validated(Foundation, {"name": name})


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("skiff-role-active=true", "skiff-role-active", "true"),
        ("quarks.cloudfoundry.org/pod-active=active", "quarks.cloudfoundry.org/pod-active", "active"),
        ("active=", "active", ""),
    ],
)
def test_a_label_is_split_at_its_first_equals(text: str, key: str, value: str) -> None:
    label = validated(DiegoApi, {"active_label": text}).active_label
    assert label == Label(key=key, value=value)
    assert str(label) == text


@pytest.mark.parametrize(
    "text", ["", "a", "=b", "a=b=c", "a b=c", "a=b c", "/a=b", "A_/a=b", "a!=b", "a==b", "a/b/c=d"]
)
def test_what_kubernetes_refuses_as_a_label_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        validated(DiegoApi, {"active_label": text})


def test_a_shorter_interval_shortens_a_timeout_nobody_set() -> None:
    """As Prometheus does with its scrape timeout; one that was set is held to the rule instead."""
    assert validated(Bbs, {"interval": "2s"}).timeout == 2.0
    assert validated(Bbs, {"interval": "30s"}).timeout == 5.0
    with pytest.raises(ConfigError, match="must not exceed the interval"):
        validated(Bbs, {"interval": "2s", "timeout": "2100ms"})


def test_the_rules_between_keys_hold_at_their_edges() -> None:
    assert validated(Verify, {"attempts": 60, "interval": "2s"}).timeout == 120.0
    assert validated(Breaker, {"window": "60s"}).window == 60.0
    assert validated(Foundation, {"name": "cf", "bbs": {"interval": "60s"}}).staleness == 60.0
    with pytest.raises(ConfigError):
        validated(Verify, {"attempts": 61, "interval": "2s"})
    with pytest.raises(ConfigError):
        validated(Foundation, {"name": "cf", "bbs": {"interval": "60100ms"}})


def test_models_are_frozen() -> None:
    """A snapshot of the config may be held by whoever runs."""
    with pytest.raises(AttributeError, match="immutable"):
        Bbs().port = 1  # type: ignore[misc]


def test_what_is_quoted_cannot_act_on_a_terminal() -> None:
    """Config files come from elsewhere, and their text ends in logs."""
    assert quoted('a"b\\c\x1b[2J\n') == '"a\\"b\\\\c\\x1b[2J\\n"'
    assert quoted("ü" * 61) == '"' + "ü" * 57 + '..."'
    assert printable("\u202e\ud800") == "\\u202e\\ud800"
