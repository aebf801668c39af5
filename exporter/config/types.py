"""The scalar types of the config files: durations, names, hosts, labels, each with its rule and its message.

A type is annotated with its rules, in their order; `exporter.config.check` applies them. Every rule raises a
`RuleError` whose text reads well after a path, as in `bbs.port: must be …`, so that one report can name every mistake
of a file at once.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final

import msgspec

from exporter.config import written

# Prometheus' units and their order: a week is seven days and a year 365, whatever the calendar says.
_UNITS: Final = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION: Final = re.compile("".join(rf"(?:([0-9]{{1,12}}){unit})?" for unit in _UNITS))
_LONGEST: Final = 100 * _UNITS["y"]

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


class RuleError(ValueError):
    """A value breaks a rule."""


class WrongTypeError(RuleError):
    """A value does not have the type that is wanted; whoever reports it adds what was given instead."""


@dataclass(frozen=True, slots=True)
class Parse:
    """In an annotation: makes the value from what is in the file, before its type is checked."""

    apply: Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Rule:
    """In an annotation: checks a value of the right type. It raises RuleError."""

    apply: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Between:
    """In the annotation of a key: checks its value, or its default, beside the keys above it that are right."""

    apply: Callable[[Any, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Derived:
    """In the annotation of a key: its default in a file, which depends on the keys above it that are right."""

    apply: Callable[[Mapping[str, Any]], object]


def quoted(text: str, *, longest: int = 60) -> str:
    """The text in double quotes, shortened, with nothing in it that a terminal or a log would act upon."""
    shown = text if len(text) <= longest else text[: longest - 3] + "..."
    return '"' + printable(shown.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def printable(text: str) -> str:
    """The text with escapes for what a terminal or a log would act upon."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def format_duration(seconds: float) -> str:
    """A duration in Prometheus' notation, such as `1h30m`."""
    left = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS.items():
        count, left = divmod(left, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_duration(value: object) -> float:
    """Seconds of a duration as Prometheus writes it (`10s`, `1h30m`); a float is taken as seconds already.

    A file never yields a float (see `exporter.config.reader`), so a bare number in it is refused: is it
    seconds or milliseconds?
    """
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        raise RuleError(f"needs a unit, e.g. {value}s")
    if not isinstance(value, str):
        raise WrongTypeError("must be a duration with a unit, e.g. 10s, 5m or 1h30m")
    match = _DURATION.fullmatch(value)
    if match is None or not value:
        if value.replace(".", "", 1).isdecimal():
            raise RuleError(f"needs a unit, e.g. {value}s")
        raise RuleError(
            f"must be a duration such as 10s, 5m or 1h30m (units y w d h m s ms, in this order), not {quoted(value)}"
        )
    seconds = sum(int(count) * size for count, size in zip(match.groups(), _UNITS.values(), strict=True) if count)
    if seconds > _LONGEST:
        raise RuleError(f"must be at most {format_duration(_LONGEST)}, not {quoted(value)}")
    return seconds


def at_least(least: float) -> Callable[[float], None]:
    """A duration of no less than so many seconds."""

    def check(value: float) -> None:
        if value < least:
            raise RuleError(f"must be at least {format_duration(least)}, not {format_duration(value)}")

    return check


def _positive(value: float) -> None:
    if value <= 0:
        raise RuleError("must be longer than 0s")


def _count(value: int) -> None:
    if value < 1:
        raise RuleError(f"must be at least 1, not {value}")


def _port(value: int) -> None:
    if not 1 <= value <= 65_535:
        raise RuleError(f"must be a port from 1 to 65535, not {value}")


def _is_dns_name(value: str) -> bool:
    """Whether the text is a DNS subdomain in the sense of RFC 1123, as Kubernetes checks names."""
    return len(value) <= 253 and all(_DNS_LABEL.fullmatch(part) for part in value.split("."))


def _foundation_name(value: str) -> None:
    # 40 characters leave room in the names that are made from it and in the width of a dashboard.
    if not _DNS_LABEL.fullmatch(value) or len(value) > 40:
        raise RuleError(
            "must be at most 40 lower case letters, digits and hyphens, with a letter or digit at both ends, "
            f"not {quoted(value)}"
        )


def _namespace(value: str) -> None:
    if not _DNS_LABEL.fullmatch(value):
        raise RuleError(f"must be a Kubernetes namespace (an RFC 1123 label), not {quoted(value)}")


def _object_name(value: str) -> None:
    if not _is_dns_name(value):
        raise RuleError(f"must be a Kubernetes name (an RFC 1123 subdomain), not {quoted(value)}")


def _container(value: str) -> None:
    if not _DNS_LABEL.fullmatch(value):
        raise RuleError(f"must be the name of a container (an RFC 1123 label), not {quoted(value)}")


def _host(value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        _host_name(value)


def _host_name(value: str) -> None:
    if "://" in value:
        raise RuleError(f"must be a host alone, without a scheme, not {quoted(value)}")
    if value.startswith("["):
        raise RuleError(f"must be a host alone, an IPv6 address without brackets, not {quoted(value)}")
    if ":" in value:
        raise RuleError(f"must be a host alone, the port has a key of its own, not {quoted(value)}")
    # A trailing dot is the resolver's way to say "no search list", which saves look-ups in a cluster.
    name = value.removesuffix(".").lower()
    if not _is_dns_name(name) or name.rpartition(".")[2].isdecimal():
        raise RuleError(f"must be a DNS name or an IP address, not {quoted(value)}")


def _plain_text(value: str) -> None:
    if not value or not value.isprintable():
        raise RuleError(f"must be printable text and not empty, not {quoted(value)}")


def _one_or_many(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, tuple):
        raise WrongTypeError("must be a name or a list of names")
    return value


def _names(value: tuple[str, ...]) -> None:
    if not value:
        raise RuleError("must name at least one StatefulSet")
    twice = sorted({name for name in value if value.count(name) > 1})
    if twice:
        raise RuleError(f"must name each StatefulSet once; {', '.join(map(quoted, twice))} is there more than once")


Duration = Annotated[float, Parse(parse_duration), written.DURATION]
PositiveDuration = Annotated[Duration, Rule(_positive), written.POSITIVE_DURATION]
Count = Annotated[int, Rule(_count), written.COUNT]
Port = Annotated[int, Rule(_port), written.PORT]
Host = Annotated[str, Rule(_host), written.HOST]
FoundationName = Annotated[str, Rule(_foundation_name), written.FOUNDATION_NAME]
Namespace = Annotated[str, Rule(_namespace), written.DNS_LABEL]
ObjectName = Annotated[str, Rule(_object_name), written.OBJECT_NAME]
ContainerName = Annotated[str, Rule(_container), written.DNS_LABEL]
PlainText = Annotated[str, Rule(_plain_text), written.PLAIN_TEXT]
OneOrMoreNames = Annotated[tuple[ObjectName, ...], Parse(_one_or_many), Rule(_names), written.ONE_OR_MORE_NAMES]
Names = Annotated[tuple[ObjectName, ...], Rule(_names), written.NAMES]


class Strict(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every config model. Its values are checked where it is made of a file, by `check` or `validated`."""

    not_supported: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Keys that are refused although the format has them, and what to do instead."""


class Label(Strict, frozen=True, kw_only=True):
    """One Kubernetes label and its value; as text, and as a selector, `key=value`."""

    key: str
    """A label key, with or without a prefix."""

    value: str
    """The value; it may be empty."""

    def __str__(self) -> str:
        """The label as a selector: `key=value`."""
        return f"{self.key}={self.value}"


def parse_label(value: object) -> Label:
    """The label of the text `key=value`, by Kubernetes' syntax for both."""
    if isinstance(value, Label):
        return value
    if not isinstance(value, str):
        raise WrongTypeError("must be a label such as skiff-role-active=true")
    key, equals, text = value.partition("=")
    if not equals:
        raise RuleError(f"must be a label with its value, such as skiff-role-active=true, not {quoted(value)}")
    prefix, slash, name = key.rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (slash and not _is_dns_name(prefix)):
        raise RuleError(f"must have a valid label key before the =, not {quoted(key)}")
    if text and not _LABEL_NAME.fullmatch(text):
        raise RuleError(f"must have a valid label value after the =, not {quoted(text)}")
    return Label(key=key, value=text)


LabelText = Annotated[Label, Parse(parse_label), written.LABEL]
