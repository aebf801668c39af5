"""Who may come in: the web config at work, on each request and each handshake, re-read when its files change.

A change that can't be used keeps what was there and says so in the log. TLS itself can't be switched on or off while
the server listens: that asks for a restart.
"""

import asyncio
import base64
import binascii
import dataclasses
import hashlib
import logging
import os
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import bcrypt
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.config.errors import ConfigError
from exporter.serving.tls import TlsError, build_context, client_is_allowed
from exporter.serving.web_config import WebConfig, read_web_config

logger = logging.getLogger(__name__)

# After a change that could not be used, the files are looked at again this often (seconds), changed or not: what was
# missing may be a file that the config in force does not name.
_RETRY: Final = 5.0
# bcrypt's hash of nothing: no password fits, and finding that out takes as long as with a real one.
_NOBODY: Final = "." * 53
_MAX_WAITING: Final = 64
_OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})


def is_open(request: web.Request) -> bool:
    """Tell whether the path is one that a kubelet asks, which has no password: health and readiness."""
    return request.path in _OPEN_PATHS


def load_web_config(path: str) -> WebConfig:
    """Read and check the web config with the certificates that it names.

    Raises:
        ConfigError: with every problem; never anything else.

    """
    return _load(path).config


@dataclasses.dataclass(frozen=True)
class _Loaded:
    config: WebConfig
    context: ssl.SSLContext | None
    signature: tuple[object, ...]


def _load(path: str) -> _Loaded:
    # The signature first: what changes while it is read is then read again.
    before = _signature(path, None)
    config = read_web_config(path)
    signature = before + _signature(None, config)
    try:
        context = build_context(config.tls_server_config)
    except TlsError as error:
        raise ConfigError([error.problem(path)]) from None
    return _Loaded(config, context, signature)


def _signature(path: str | None, config: WebConfig | None) -> tuple[object, ...]:
    """Return what changes when one of the files does. A mounted secret changes by a link, so links are followed."""
    tls = config.tls_server_config if config else None
    files = [path, *((tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ())]
    found: list[object] = []
    for file in files:
        if file is None:
            continue
        try:
            seen = os.stat(file)  # noqa: PTH116 - on every request; pathlib would cost more than the call
            found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


class WebAccess:
    """The web config of one server: its TLS context, and the middleware that guards its handlers."""

    def __init__(
        self,
        path: str | None,
        *,
        exempt: Callable[[web.Request], bool] = is_open,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file; without one nothing is asked of anybody.

        Args:
            path: the file of ``--web.config.file``, or None.
            exempt: requests that users and allowed SANs don't apply to, such as those that another
                scheme has authenticated. A client certificate is asked for in the handshake all the same.
            monotonic: seconds of a clock that never goes back.

        Raises:
            ConfigError: with every problem of the file.

        """
        self._path = path or None
        self._exempt = exempt
        self._monotonic = monotonic
        self._loaded = _Loaded(WebConfig(), None, ()) if self._path is None else _load(self._path)
        self._failed_at: float | None = None
        self._failure = ""
        self._passwords = _Passwords()

    @property
    def authenticates(self) -> bool:
        """Whether every request that the middleware lets through, but for the exempt, has shown who sends it.

        It follows the file: ask on each request, not once.
        """
        return self._current().config.authenticates

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context to listen with, which follows the files; None where the config has no TLS."""
        if self._loaded.context is None:
            return None
        context = _FollowingContext(ssl.PROTOCOL_TLS_SERVER)
        context.follow(self._current_context)
        return context

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the request through to the handler, or answer 401 or 403, always with the configured headers."""
        config = self._current().config
        headers = config.http_server_config.headers.model_dump(by_alias=True, exclude_none=True)
        try:
            refusal = None if self._exempt(request) else await self._refusal(request, config)
            response = refusal or await handler(request)
        except web.HTTPException as error:
            error.headers.update(headers)
            raise
        if not response.prepared:
            response.headers.update(headers)
        return response

    async def _refusal(self, request: web.Request, config: WebConfig) -> web.Response | None:
        certificate = request.get_extra_info("peercert")
        if not client_is_allowed(config.tls_server_config, certificate):
            return web.Response(status=403, text="Forbidden: the client's certificate has no allowed name\n")
        if not config.basic_auth_users:
            return None
        given = _basic_auth(request.headers.get(hdrs.AUTHORIZATION, ""))
        try:
            if given and await self._passwords.fit(user=given[0], password=given[1], users=config.basic_auth_users):
                return None
        except _TooManyError:
            return web.Response(status=503, text="Too many passwords to check\n", headers={hdrs.RETRY_AFTER: "5"})
        challenge = {hdrs.WWW_AUTHENTICATE: 'Basic realm="diego-medic", charset="UTF-8"'}
        return web.Response(status=401, text="Unauthorized\n", headers=challenge)

    def _current(self) -> _Loaded:
        """Return what is in force now, after a look at the files."""
        if self._path is None:
            return self._loaded
        if self._failed_at is None:
            if _signature(self._path, self._loaded.config) == self._loaded.signature:
                return self._loaded
        elif self._monotonic() - self._failed_at < _RETRY:
            return self._loaded
        try:
            new = _load(self._path)
        except ConfigError as error:
            self._keep(str(error))
            return self._loaded
        if (new.context is None) != (self._loaded.context is None):
            self._keep("TLS can't be switched on or off without a restart")
            return self._loaded
        self._failed_at = None
        if new.signature != self._loaded.signature:
            logger.info("web config reloaded from %s", self._path)
        self._loaded = new
        return new

    def _keep(self, reason: str) -> None:
        if self._failed_at is None or reason != self._failure:
            logger.error("web config not reloaded, the previous one stays in force: %s", reason)
        self._failed_at, self._failure = self._monotonic(), reason

    def _current_context(self) -> ssl.SSLContext | None:
        return self._current().context


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


class _TooManyError(Exception):
    """A flood of passwords."""


class _Passwords:
    """bcrypt off the event loop, one at a time, and a memory of what fitted: a scraper comes every few seconds."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._fitted: set[bytes] = set()
        self._secret = secrets.token_bytes(32)

    async def fit(self, *, user: str, password: bytes, users: Mapping[str, str]) -> bool:
        """Tell whether the user is known by that password; for an unknown one it takes as long to say no.

        Raises:
            _TooManyError: so many checks wait that another would only keep its sender waiting.

        """
        hashed = users.get(user)
        if hashed is None:
            hashed = max(users.values(), key=lambda each: each[4:6])[:7] + _NOBODY
        # Parts of fixed length, and the whole keyed: what leaks from memory is of no use elsewhere.
        parts = (user.encode(errors="surrogateescape"), password, hashed.encode())
        joined = b"".join(hashlib.sha256(part).digest() for part in parts)
        key = hashlib.blake2b(joined, key=self._secret).digest()
        if key in self._fitted:
            return True
        if self._waiting >= _MAX_WAITING:
            raise _TooManyError
        self._waiting += 1
        try:
            async with self._lock:
                # As Go does it: bcrypt reads 72 bytes at most.
                fits = await asyncio.to_thread(bcrypt.checkpw, password[:72], hashed.encode())
        finally:
            self._waiting -= 1
        if fits and user in users:
            if len(self._fitted) > len(users):
                self._fitted.clear()  # left from hashes that were changed
            self._fitted.add(key)
            return True
        return False


def _basic_auth(header: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user.decode(errors="surrogateescape"), password) if colon else None
