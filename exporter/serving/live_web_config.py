"""The web config in force: re-read when its files change, and the TLS context that goes with it.

TLS itself cannot be switched on or off while the server listens: that asks for a restart.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exporter.config.errors import ConfigError, Problem
from exporter.serving.followed import FollowedFile
from exporter.serving.tls import TlsError, build_context
from exporter.serving.web_config import WebConfig, read_web_config


def load_web_config(path: str) -> WebConfig:
    """Read and validate the web config with the certificates that it names.

    Raises:
        ConfigError: with every problem; never anything else.

    """
    return _load(path).config


@dataclass(frozen=True, slots=True)
class Loaded:
    """A web config with its TLS context, if it has one."""

    config: WebConfig
    context: ssl.SSLContext | None = None


def _load(path: str) -> Loaded:
    config = read_web_config(path)
    try:
        return Loaded(config, build_context(config.tls_server_config))
    except TlsError as error:
        raise ConfigError([error.problem(path)]) from None


class LiveWebConfig:
    """The web config of one server."""

    def __init__(
        self,
        path: str | None,
        *,
        check: Callable[[WebConfig], str | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file; without one nothing is asked of anybody.

        Args:
            path: the file of ``--web.config.file``, or None.
            check: what is wrong with a new config for this server, or None.
            monotonic: seconds of a clock that never goes back.

        Raises:
            ConfigError: with every problem of the file.

        """
        self._path = path or ""
        self._check = check
        self._tls: bool | None = None
        self._file = FollowedFile(path, self._read, monotonic=monotonic) if path else None

    def current(self) -> Loaded:
        """What is in force now, after a look at the files."""
        return Loaded(WebConfig()) if self._file is None else self._file.current()

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context to listen with, which follows the files; None where the config has no TLS."""
        if self.current().context is None:
            return None
        context = _FollowingContext(ssl.PROTOCOL_TLS_SERVER)
        context.follow(lambda: self.current().context)
        return context

    def _read(self) -> tuple[Loaded, tuple[str, ...]]:
        loaded = _load(self._path)
        if self._tls not in (None, loaded.config.tls):
            message = "cannot be switched on or off without a restart"
            raise ConfigError([Problem(self._path, None, "tls_server_config", message)])
        wrong = self._check(loaded.config)
        if wrong is not None:
            raise ConfigError([Problem(self._path, None, "", wrong)])
        self._tls = loaded.config.tls
        tls = loaded.config.tls_server_config
        files = (tls.cert_file, tls.key_file, tls.client_ca_file)
        return loaded, tuple(file for file in files if file is not None)


class _FollowingContext(ssl.SSLContext):
    """A context that hands each new connection to the one in force, with its certificate, authorities and policy.

    Loading a new certificate into a live context would do for the certificate, but no call takes an authority away.
    """

    _in_force: Callable[[], ssl.SSLContext | None]

    def follow(self, in_force: Callable[[], ssl.SSLContext | None]) -> None:
        self._in_force = in_force

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        context = self._in_force()
        if context is None:
            raise ssl.SSLError("TLS has no certificate")
        return context.wrap_bio(*args, **kwargs)
