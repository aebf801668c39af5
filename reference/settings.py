"""The settings of the config file, read from its models: path, type, default, who uses it, and a sentence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from exporter.config.docstrings import below_fields
from exporter.config.kinds import Kind, as_written, kind_of, presets
from exporter.config.model import Foundation
from exporter.config.remediation import Mode, Remediation, Webhook
from exporter.config.types import Strict
from reference.pages import code, table

SECTIONS: Mapping[str, type[Strict]] = {"foundations[]": Foundation, "remediation": Remediation, "webhook": Webhook}
"""The parts of the file, each with its model."""

_ALL = ("exporter", "webhook", "runbook")
_USED_BY: Mapping[str, tuple[str, ...]] = {
    "foundations[].bbs.interval": ("exporter", "webhook"),
    "foundations[].bbs.tls": ("exporter",),
    "foundations[].cloud_controller.container": ("webhook", "runbook"),
    "foundations[].remediation": ("webhook", "runbook"),
    "remediation": ("webhook", "runbook"),
    "webhook": ("webhook",),
}
"""Which programs use a setting, and all below it; the others are used by all three."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One key of the file, as docs/configuration.md shows it."""

    path: str
    kind: str
    """Its type in words, with the unit."""
    default: str
    text: str
    """What it means; empty where nobody has written it."""

    @property
    def used_by(self) -> tuple[str, ...]:
        above = [key for key in _USED_BY if self.path == key or self.path.startswith(f"{key}.")]
        return _USED_BY[max(above, key=len)] if above else _ALL


def settings(section: str) -> list[Setting]:
    """The settings of a part of the file, in the order of its model."""
    return list(_settings(SECTIONS[section], path=section, presets=presets()))


def settings_table(section: str) -> str:
    """The table of a part of the file."""
    prefix = f"{section}." if section == "foundations[]" else ""
    return table(
        ["key", "type", "default", "used by", "meaning"],
        [
            [code(each.path.removeprefix(prefix)), each.kind, each.default, _programs(each), each.text]
            for each in settings(section)
        ],
    )


def _programs(setting: Setting) -> str:
    return "all" if setting.used_by == _ALL else ", ".join(setting.used_by)


def _settings(model: type[Strict], *, path: str, presets: Mapping[str, object]) -> Iterator[Setting]:
    texts = below_fields(model)
    for field in fields(model):
        below, kind = f"{path}.{field.encode_name}", kind_of(field.type)
        whole = below.endswith("[].remediation")  # listed where it is general
        if kind.model is None or kind.optional or whole:
            by_profile = below in presets
            default = _default(presets[below] if by_profile else field, kind)
            yield Setting(
                path=below,
                kind=_words(kind),
                default=f"{default}, by profile" if by_profile else default,
                text=texts.get(field.name, ""),
            )
        if kind.model is not None and not whole:
            yield from _settings(kind.model, path=below, presets=presets)


def _words(kind: Kind) -> str:
    if kind.written is not None:
        return kind.written.words
    if kind.inner is bool:
        return "`true` or `false`"
    if kind.inner is Mode:
        return ", ".join(map(code, Mode))
    if kind.model is not None:
        return "block"
    if get_origin(kind.inner) is Literal:
        return ", ".join(map(code, get_args(kind.inner)))
    raise TypeError(f"{kind.inner} needs a `Written` beside it: how is it written in the file?")


def _default(field: object, kind: Kind) -> str:
    value = field.default if isinstance(field, FieldInfo) else field
    if value is NODEFAULT:
        return "required"
    return "none" if value is None else code(as_written(value, kind))
