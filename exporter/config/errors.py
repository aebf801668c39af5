"""The mistakes of a config file, all of them at once, each with its place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: where it is, and what is wrong there."""

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        """One line as compilers write it: `diego.yaml:12: foundations[0].bbs.port: must be …`."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(Exception):
    """A file that cannot be used, with all its problems in the order of their lines."""

    def __init__(self, problems: list[Problem]) -> None:
        in_order = sorted(dict.fromkeys(problems), key=lambda each: (each.line or 0, each.path, each.message))
        super().__init__("\n".join(map(str, in_order)))
        self.problems: tuple[Problem, ...] = tuple(in_order)
