"""How the values of the config file are written: in words for the reference, and as JSON Schema for editors.

Nothing is checked here: the rules beside these annotations do that. What they accept, the schema accepts as well; what
it cannot say (that one value is longer than another, say) only the programs report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, eq=False)  # equal if it is the same one: a mapping has no hash, which annotations need
class Written:
    """In an annotation: how a value of this type is written; the last one counts."""

    words: str
    """As in "a TCP port from 1 to 65535", with the unit where there is one."""
    schema: Mapping[str, Any]


_UNITS: Final = "".join(f"([0-9]{{1,12}}{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_HOST: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_IPV6: Final = r"(?=(.*:){2})[0-9A-Fa-f:.]+(%[^ /]+)?"
_QUALIFIED: Final = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"


def _text(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$", **more}


DURATION: Final = Written("duration", _text(f"(?=[0-9]){_UNITS}"))
POSITIVE_DURATION: Final = Written("duration", _text(f"(?=.*[1-9]){_UNITS}"))
COUNT: Final = Written("number, at least 1", {"type": "integer", "minimum": 1})
PORT: Final = Written("port, 1 to 65535", {"type": "integer", "minimum": 1, "maximum": 65_535})
HOST: Final = Written("host name or IP address", _text(rf"({_HOST}(\.{_HOST})*\.?|{_IPV6})", maxLength=254))
FOUNDATION_NAME: Final = Written("name, at most 40 characters", _text(_LABEL, maxLength=40))
DNS_LABEL: Final = Written("name", _text(_LABEL))
OBJECT_NAME: Final = Written("name", _text(_SUBDOMAIN, maxLength=253))
PLAIN_TEXT: Final = Written("text", _text(r"[^\x00-\x1f\x7f-\x9f]+"))
LABEL: Final = Written("label, as in `key=value`", _text(rf"({_SUBDOMAIN}/)?{_QUALIFIED}=({_QUALIFIED})?"))

_LIST: Final = {"type": "array", "items": OBJECT_NAME.schema, "minItems": 1, "uniqueItems": True}
NAMES: Final = Written("list of names", _LIST)
ONE_OR_MORE_NAMES: Final = Written("name, or list of names", {"anyOf": [OBJECT_NAME.schema, _LIST]})
