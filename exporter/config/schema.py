"""The JSON Schema of diego.yaml, for editors: it completes keys, shows what they mean, and marks most mistakes.

It is made of the models that the programs check a file with. What one value demands of another one (a timeout and its
interval, say), and what needs the disk, only `--config.check` reports.
"""

import json
from typing import Any, get_args, get_origin

from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from exporter.config.docstrings import below_fields
from exporter.config.kinds import Kind, as_written, kind_of, presets
from exporter.config.load import File
from exporter.config.remediation import Mode
from exporter.config.types import Strict

URL = "https://raw.githubusercontent.com/diego-medic/diego-medic/main/docs/diego.schema.json"


def schema() -> dict[str, Any]:
    """The whole document. The texts are read from the source, beside which the programs are installed."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",  # the draft that the editors' YAML language server knows
        "$id": URL,
        "title": "diego.yaml",
        **_model(File, path=""),
    }


def schema_text() -> str:
    """The file docs/diego.schema.json, and what `diego-runbook schema` prints."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _model(model: type[Strict], *, path: str) -> dict[str, Any]:
    texts = below_fields(model)
    required = [each.encode_name for each in fields(model) if each.required]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {each.encode_name: _field(each, texts.get(each.name, ""), path=path) for each in fields(model)},
    }


def _field(field: FieldInfo, text: str, *, path: str) -> dict[str, Any]:
    kind, here = kind_of(field.type), f"{path}.{field.encode_name}".removeprefix(".")
    described = {"description": text, **({} if here in presets() else _default(field, kind))}
    of = _value(kind, path=here)
    if kind.optional or kind.model is not None:  # a block that is left empty counts as not given
        return {**described, "anyOf": [of, {"type": "null"}]}
    return {**described, **of}


def _value(kind: Kind, *, path: str) -> dict[str, Any]:
    if kind.written is not None:
        return dict(kind.written.schema)
    if kind.model is not None:
        return _model(kind.model, path=path)
    if kind.inner is bool:
        return {"type": "boolean"}
    if kind.inner is Mode:
        return {"enum": [each.value for each in Mode]}
    if get_origin(kind.inner) is tuple:
        return {"type": "array", "minItems": 1, "items": _value(kind_of(get_args(kind.inner)[0]), path=f"{path}[]")}
    raise TypeError(f"{kind.inner} needs a `Written` beside it: how is it written in the file?")


def _default(field: FieldInfo, kind: Kind) -> dict[str, Any]:
    """The default, where it is one value that holds for every profile: editors put it in where a key is completed."""
    value = field.default
    if value is NODEFAULT or value is None or isinstance(value, Strict | tuple):
        return {}
    return {"default": value if isinstance(value, bool | int) else as_written(value, kind)}
