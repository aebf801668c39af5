"""Certificates and keys in PEM files: read into a TLS context, each mistake in words for a person."""

import ssl
from collections.abc import Callable
from typing import Final, Literal

from exporter.config.types import quoted

PemPart = Literal["certificate", "key", "authorities"]

_WANTED: Final[dict[PemPart, str]] = {
    "certificate": "is not a certificate in PEM format",
    "key": "is not an unencrypted private key in PEM format",
    "authorities": "has no certificate in PEM format",
}


class PemError(Exception):
    """A file that TLS cannot use: which of them, and what is wrong with it."""

    def __init__(self, part: PemPart, message: str) -> None:
        super().__init__(message)
        self.part = part
        self.message = message


def load_certificate(context: ssl.SSLContext, *, cert: str, key: str) -> None:
    """Has the context present the certificate. Raises PemError."""
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load("certificate", cert, lambda: scratch.load_verify_locations(cert))
    # Without this, OpenSSL would ask for a password on the terminal.
    _load("key", key, lambda: context.load_cert_chain(cert, key, password=""))


def load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Has the context trust the authorities of the file. Raises PemError."""
    _load("authorities", path, lambda: context.load_verify_locations(path))


def _load(part: PemPart, path: str, load: Callable[[], None]) -> None:
    where = quoted(path, longest=200)
    try:
        load()
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise PemError(part, f"is not the key of the certificate: {where}") from None
        raise PemError(part, f"{_WANTED[part]}: {where}") from None
    except OSError as error:
        raise PemError(part, f"cannot be read: {error.strerror}: {where}") from None
