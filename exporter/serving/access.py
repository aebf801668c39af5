"""Who may come in: one middleware, which asks for the bearer token first and then for what the web config wants.

Both are judged by the files as they are now, and a client certificate by what this connection has shown.
"""

import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.serving.address import Address, names_loopback
from exporter.serving.live_web_config import LiveWebConfig, Loaded
from exporter.serving.passwords import Passwords, TooManyPasswordsError, user_of
from exporter.serving.tls import certificate_name, client_is_allowed
from exporter.serving.web_config import WebConfig

log = logging.getLogger(__name__)

_OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
"""What a kubelet asks, which has no password."""
_METRICS: Final = "/metrics"
_REQUIRED: Final = "RequireAndVerifyClientCert"
_UNPROTECTED: Final = (
    "without webhook.bearer_token_file, or a web config with users or verified client certificates, "
    "it listens on loopback only, not on {}"
)


PERSON: Final = web.RequestKey("person", str)
"""The user, or the name of the client certificate, that a request has shown. A bearer token names nobody."""


class UnprotectedError(Exception):
    """Nothing would tell callers apart, on an address that others reach."""


class Token(Protocol):
    """A bearer token."""

    def matches(self, header: str | None) -> bool:
        """Whether an Authorization header has it."""


class Access:
    """Decides about each request. `/-/healthy` and `/-/ready` are open to everybody.

    Where `identify` is set, all paths but `/metrics` want to know who sends the request: by the token, or by a user or
    client certificate of the web config. With neither configured, callers on loopback may ask, and nobody else.
    """

    def __init__(
        self,
        web_config_file: str | None,
        *,
        identify: bool = False,
        token: Token | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigError, with every problem of the web config."""
        self._identify = identify
        self._token = token
        self._listens: Address | None = None
        self._web = LiveWebConfig(web_config_file, check=self._unprotected, monotonic=monotonic)
        self._passwords = Passwords()

    @property
    def authenticates(self) -> bool:
        """Whether the web config, as it is now, lets in none but those who have shown who they are."""
        return self._web.current().config.authenticates

    def secret(self) -> bytes:
        """A key that this server and its replicas share, and nobody else has: of the web config's own secrets."""
        config = self._web.current().config
        key_file = config.tls_server_config.key_file
        secrets = repr(sorted(config.basic_auth_users.items())).encode()
        return hashlib.sha256(secrets + (b"" if key_file is None else Path(key_file).read_bytes())).digest()

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context to listen with, which follows the files; None where the web config has no TLS."""
        return self._web.ssl_context()

    def listen(self, asked: Address) -> Address:
        """Where to listen. Raises UnprotectedError beyond loopback where nothing would tell callers apart."""
        if self._identify and self._token is None and not self.authenticates and asked.host is None:
            log.warning("no bearer token and no web config that authenticates: listening on loopback only")
            asked = asked._replace(host="127.0.0.1")
        self._listens = asked
        wrong = self._unprotected(self._web.current().config)
        if wrong is not None:
            raise UnprotectedError(wrong)
        return asked

    def replace_token(self, token: Token | None) -> None:
        """Continue with another token, or without. Raises UnprotectedError, and keeps the old one then."""
        old, self._token = self._token, token
        wrong = self._unprotected(self._web.current().config)
        if wrong is not None:
            self._token = old
            raise UnprotectedError(wrong)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the request through, or answer 401, 403 or 503; the configured headers are on every answer."""
        loaded = self._web.current()
        headers = loaded.config.http_server_config.headers.sent
        try:
            response = await self._refusal(request, loaded) or await handler(request)
        except web.HTTPException as error:
            error.headers.update(headers)
            raise
        if not response.prepared:
            response.headers.update(headers)
        return response

    async def _refusal(self, request: web.Request, loaded: Loaded) -> web.Response | None:
        if request.path in _OPEN_PATHS:
            return None
        refusal = _refuse_connection(request, loaded)
        if refusal is not None:
            return refusal
        identify = self._identify and request.path != _METRICS
        given = request.headers.get(hdrs.AUTHORIZATION, "")
        if identify and self._token is not None and self._token.matches(given):
            return None
        config = loaded.config
        if not client_is_allowed(config.tls_server_config, request.get_extra_info("peercert")):
            return _answer(HTTPStatus.FORBIDDEN, "the client's certificate has no allowed name")
        if config.basic_auth_users:
            refusal = await self._refuse_user(given, config)
            if refusal is None:
                request[PERSON] = user_of(given)
            return refusal
        if config.authenticates:
            request[PERSON] = certificate_name(request.get_extra_info("peercert"))
        return self._refuse_stranger(request) if identify and not config.authenticates else None

    async def _refuse_user(self, given: str, config: WebConfig) -> web.Response | None:
        try:
            if await self._passwords.fit(given, config.basic_auth_users):
                return None
        except TooManyPasswordsError:
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "too many passwords to check", {"Retry-After": "5"})
        challenge = {"WWW-Authenticate": 'Basic realm="diego-medic", charset="UTF-8"'}
        return _answer(HTTPStatus.UNAUTHORIZED, headers=challenge)

    def _refuse_stranger(self, request: web.Request) -> web.Response | None:
        if self._token is not None or self._listens is None or not self._listens.is_loopback:
            challenge = {"WWW-Authenticate": 'Bearer realm="diego-medic"'}
            return _answer(HTTPStatus.UNAUTHORIZED, headers=challenge)
        if not names_loopback(request.headers.get(hdrs.HOST, "")):
            # A browser on this machine reaches loopback for every page whose name is rebound to it.
            return _answer(HTTPStatus.FORBIDDEN, "without a bearer token only localhost is served")
        return None

    def _unprotected(self, config: WebConfig) -> str | None:
        listens = self._listens
        if not self._identify or listens is None or listens.is_loopback:
            return None
        return None if self._token is not None or config.authenticates else _UNPROTECTED.format(listens)


def _refuse_connection(request: web.Request, loaded: Loaded) -> web.Response | None:
    """Refuse a connection that was made under another policy for client certificates than the one in force.

    The handshake asks for a certificate once; a connection may be older than the policy.
    """
    if loaded.context is None or loaded.config.tls_server_config.client_auth_type != _REQUIRED:
        return None
    if not request.get_extra_info("peercert"):
        refusal = _answer(HTTPStatus.FORBIDDEN, "a client certificate is required")
    elif not _same_authorities(request.get_extra_info("ssl_object").context, loaded.context):
        # 503 and not 403: the client may well be allowed, and sends it again on a new connection.
        refusal = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "the client certificate must be verified again")
    else:
        return None
    refusal.force_close()
    return refusal


def _same_authorities(shown_to: ssl.SSLContext, in_force: ssl.SSLContext) -> bool:
    if shown_to is in_force:
        return True
    return set(shown_to.get_ca_certs(binary_form=True)) == set(in_force.get_ca_certs(binary_form=True))


def _answer(status: HTTPStatus, detail: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    text = f"{status.phrase}: {detail}\n" if detail else f"{status.phrase}\n"
    return web.Response(status=status, text=text, headers=headers)
