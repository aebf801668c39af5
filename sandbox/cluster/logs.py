"""A container's log, and the options that the API reads it with."""

from datetime import UTC, datetime

LIMIT = 1000
"""Lines that are kept."""


class ContainerLog:
    """Lines with their times; what the container before the last restart wrote is kept as well."""

    def __init__(self) -> None:
        self._lines: list[tuple[float, str]] = []
        self._previous: list[tuple[float, str]] | None = None

    def write(self, now: float, line: str) -> None:
        self._lines.append((now, line))
        del self._lines[:-LIMIT]

    def rotate(self) -> None:
        self._previous, self._lines = self._lines, []

    @property
    def has_previous(self) -> bool:
        return self._previous is not None

    def read(
        self,
        *,
        previous: bool = False,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        since: float | None = None,
        timestamps: bool = False,
    ) -> bytes:
        """As the API's query parameters of these names say; `since` is in epoch seconds."""
        lines = (self._previous or []) if previous else self._lines
        if since is not None:
            lines = [line for line in lines if line[0] >= since]
        if tail_lines is not None:
            lines = lines[len(lines) - min(tail_lines, len(lines)) :]
        text = "".join(f"{_stamp(when)} {line}\n" if timestamps else f"{line}\n" for when, line in lines)
        content = text.encode()
        return content if limit_bytes is None else content[:limit_bytes]


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
