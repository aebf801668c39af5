"""Whether a form was sent by the page that we made for this person: against cross-site request forgery.

A browser sends a person's password, or certificate, with every request to us, whichever page has caused it. So a form
carries a token that only this server and its replicas can make, for this person and this action; and a browser that
says from where the request comes must say: from us.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

LIFETIME = 3600.0
"""Seconds for which a confirmation page may stay open."""


class FormTokens:
    """Tokens of a server's forms. `secret` is what the replicas share; a change of it invalidates what is open."""

    def __init__(self, secret: Callable[[], bytes], now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._now = now

    def make(self, person: str, action: str) -> str:
        """For a form that this person may send, for this action and no other."""
        issued = f"{self._now():.0f}"
        return f"{issued}.{self._sign(issued, person, action)}"

    def fits(self, token: str, person: str, action: str) -> bool:
        """Whether it was made for this person and this action, and not too long ago."""
        issued, _, signature = token.partition(".")
        expected = self._sign(issued, person, action)
        if not hmac.compare_digest(signature.encode(errors="replace"), expected.encode()):
            return False
        return -60 <= self._now() - float(issued) <= LIFETIME

    def _sign(self, issued: str, person: str, action: str) -> str:
        parts = (issued, person, action)
        message = b"".join(hashlib.sha256(part.encode(errors="surrogateescape")).digest() for part in parts)
        return hmac.new(self._secret(), message, hashlib.sha256).hexdigest()


def from_own_page(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that one of our pages sent this. Without either header it is no browser.

    `Sec-Fetch-Site` cannot be set by a page, and does not depend on names that a proxy changes; older browsers, and
    all of them over plain HTTP, send only the Origin.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == headers.get("Host", "")
