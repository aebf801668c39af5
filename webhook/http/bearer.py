"""The bearer token that Alertmanager sends: read from a file, and read again when the file changes."""

import hmac
import logging
import os

from exporter.config.errors import ConfigError, Problem

log = logging.getLogger(__name__)


class BearerToken:
    """What the file says now. Raises ConfigError where it can't be read at the start; later the last one stands."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._token = b""
        try:
            self._read()
        except OSError as error:
            raise ConfigError([self._problem(error.strerror or str(error))]) from error
        if not self._token:
            raise ConfigError([self._problem("is empty")])

    def matches(self, header: str | None) -> bool:
        """Whether an Authorization header carries the token; compared in constant time."""
        try:
            self._read()
        except OSError as error:
            log.warning("the bearer token can't be read again", extra={"file": self._path, "error": str(error)})
        scheme, _, token = (header or "").partition(" ")
        given = token.strip().encode(errors="surrogateescape")
        return scheme.lower() == "bearer" and bool(self._token) and hmac.compare_digest(given, self._token)

    def _read(self) -> None:
        status = os.stat(self._path)  # noqa: PTH116 - on every request
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        with open(self._path, "rb") as file:  # noqa: PTH123 - beside the stat above
            token = file.read(64 * 1024).strip()
        if token or self._stamp is None:
            self._token = token
        self._stamp = stamp

    def _problem(self, what: str) -> Problem:
        return Problem(file=self._path, line=None, path="webhook.bearer_token_file", message=what)
