"""The bearer token that Alertmanager sends: read from a file, and read again when the file changes."""

import hmac

from exporter.config.errors import ConfigError, Problem
from exporter.serving.followed import FollowedFile


class BearerToken:
    """What the file says now; while it cannot be read, or is empty, the last token stays in force."""

    def __init__(self, path: str) -> None:
        """Raises ConfigError where the file cannot be read or is empty."""
        self._path = path
        self._file = FollowedFile(path, self._read)

    def matches(self, header: str | None) -> bool:
        """Whether an Authorization header has the token; compared in constant time."""
        scheme, _, token = (header or "").partition(" ")
        given = token.strip().encode(errors="surrogateescape")
        return hmac.compare_digest(given, self._file.current()) and scheme.lower() == "bearer"

    def _read(self) -> tuple[bytes, tuple[str, ...]]:
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123 - pathlib reads the whole of a file, however large
                token = file.read(64 * 1024).strip()
        except OSError as error:
            raise ConfigError([self._problem(error.strerror or str(error))]) from error
        if not token:
            raise ConfigError([self._problem("is empty")])
        return token, ()

    def _problem(self, what: str) -> Problem:
        return Problem(file=self._path, line=None, path="webhook.bearer_token_file", message=what)
