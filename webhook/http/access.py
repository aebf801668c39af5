"""Who may come in: the bearer token, or what the web config asks."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.serving.access import WebAccess, is_open
from exporter.serving.server import Address
from webhook.http.bearer import BearerToken

log = logging.getLogger(__name__)


class Doors:
    """Who may come in. `/alerts`, `/-/reload`, `/api/v1/*` and `/` want the bearer token, or what the web config asks.

    `/metrics` follows the web config alone. Without a token and without users or verified client certificates nobody
    can be told apart, and the program listens on loopback only.
    """

    def __init__(self, *, web_config_file: str | None, bearer_token_file: str | None) -> None:
        """Raises ConfigError where a file can't be used."""
        self._bearer = BearerToken(bearer_token_file) if bearer_token_file else None
        self._loopback = False
        self.access = WebAccess(web_config_file, exempt=self._exempt)

    def listen(self, asked: Address) -> Address:
        """Where to listen. Raises ValueError for an address beyond loopback with nothing to tell callers apart."""
        if self._bearer is None and not self.access.authenticates:
            if asked.host is None:
                log.warning("no bearer token and no web config that authenticates: listening on loopback only")
                asked = asked._replace(host="127.0.0.1")
            elif not asked.is_loopback:
                raise ValueError(
                    f"without webhook.bearer_token_file, or a web config with users or verified client certificates, "
                    f"it listens on loopback only, not on {asked}"
                )
        self._loopback = asked.is_loopback
        return asked

    def replace_token(self, bearer_token_file: str | None) -> None:
        """Goes on with another file. Raises ConfigError, and keeps the old one then."""
        self._bearer = BearerToken(bearer_token_file) if bearer_token_file else None

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stands inside of the web config's own middleware, which has let the request through."""
        if not _guarded(request) or self._has_token(request) or self.access.authenticates:
            return await handler(request)
        if self._bearer is None and self._loopback:
            return await handler(request)
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="diego-medic"'})

    def _exempt(self, request: web.Request) -> bool:
        return is_open(request) or (_guarded(request) and self._has_token(request))

    def _has_token(self, request: web.Request) -> bool:
        return self._bearer is not None and self._bearer.matches(request.headers.get("Authorization"))


def _guarded(request: web.Request) -> bool:
    return not is_open(request) and request.path != "/metrics"
