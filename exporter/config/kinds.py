"""What the models of the config file say of a field, for who describes the file: the reference, and the JSON Schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from exporter.config.profiles import Profile
from exporter.config.types import Label, Strict, format_duration
from exporter.config.written import DURATION, POSITIVE_DURATION, Written


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a field: how it is written, or the model or enum below it; and whether `null` is a value of it."""

    written: Written | None
    inner: Any
    optional: bool

    @property
    def model(self) -> type[Strict] | None:
        """The model, where the field is a block of keys."""
        is_block = self.written is None and isinstance(self.inner, type) and issubclass(self.inner, Strict)
        return self.inner if is_block else None


def kind_of(annotation: Any, *, written: Written | None = None, optional: bool = False) -> Kind:
    """What an annotation of the models says."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        found = [each for each in arguments[1:] if isinstance(each, Written)]
        return kind_of(arguments[0], written=written or (found[-1] if found else None), optional=optional)
    if origin in (Union, UnionType):
        inner = next(each for each in arguments if each is not NoneType)
        return kind_of(inner, written=written, optional=True)
    return Kind(written, annotation, optional)


def as_written(value: object, kind: Kind) -> str:
    """A value of the models as a person writes it in the file."""
    match value:
        case bool():
            return str(value).lower()
        case float() if kind.written in (DURATION, POSITIVE_DURATION):
            return format_duration(value)
        case tuple() | list():
            names = ", ".join(map(str, value))
            return (
                names if len(value) == 1 and kind.written is not None and "or" in kind.written.words else f"[{names}]"
            )
        case Strict() if not isinstance(value, Label):
            return "{}"
        case _:
            return str(value)


def presets() -> dict[str, object]:
    """What the default profile sets, by the path; NAMESPACE stands for the foundation's."""

    def flat(path: str, value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, Mapping):
            for key, each in value.items():
                yield from flat(f"{path}.{key}", each)
        else:
            yield path, value

    found = dict(flat("foundations[]", Profile().preset(namespace="NAMESPACE", diego_api=())))
    general = "foundations[].remediation."
    return found | {key.removeprefix("foundations[]."): found[key] for key in found if key.startswith(general)}
