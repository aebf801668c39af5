"""The server's TLS from the web config, as Python's ssl can honour it."""

import ssl
from collections.abc import Callable
from typing import Any, Final

from exporter.config.errors import Problem
from exporter.config.types import quoted
from exporter.serving.web_config import CIPHERS, CURVES, TlsServerConfig

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    # Requested, not verified: whoever comes is let in, with a certificate or without. So none is asked for.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


class TlsError(Exception):
    """A setting, or a file that it names, that TLS can't be built from."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"tls_server_config.{key}: {message}")
        self.key = key
        self.message = message

    def problem(self, file: str) -> Problem:
        """Return the error as a problem of the file; no line, for the mistake is in another file."""
        return Problem(file, None, f"tls_server_config.{self.key}", self.message)


def build_context(config: TlsServerConfig) -> ssl.SSLContext | None:
    """Return the context for new connections, or None where the config has no TLS.

    Raises:
        TlsError: where a file is not what it should be, or the TLS library lacks a suite.

    """
    if config.cert_file is None or config.key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    if not config.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _set_ciphers(context, config)
    for curve in config.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])
    _load_certificate(context, cert=config.cert_file, key=config.key_file)
    context.verify_mode = _VERIFY.get(config.client_auth_type, ssl.CERT_NONE)
    if config.client_ca_file is not None:
        _load("client_ca_file", config.client_ca_file, lambda: context.load_verify_locations(config.client_ca_file))
    return context


def client_is_allowed(config: TlsServerConfig, certificate: dict[str, Any] | None) -> bool:
    """Tell whether the verified client certificate has one of ``client_allowed_sans``, where there are any.

    A name of any kind counts, DNS, IP, e-mail or URI, compared as text, as the toolkit does.
    """
    if not config.client_allowed_sans:
        return True
    names = {name for _, name in (certificate or {}).get("subjectAltName", ())}
    return not names.isdisjoint(config.client_allowed_sans)


def _set_ciphers(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    names = {CIPHERS[name]: name for name in config.cipher_suites if name in CIPHERS}
    for openssl, name in names.items():
        try:
            context.set_ciphers(openssl)
        except ssl.SSLError:
            raise TlsError("cipher_suites", f"{name} is not in this system's TLS library") from None
    if names:
        context.set_ciphers(":".join(names))


def _load_certificate(context: ssl.SSLContext, *, cert: str, key: str) -> None:
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load("cert_file", cert, lambda: scratch.load_verify_locations(cert))
    # Without a password of ours OpenSSL would ask for one on the terminal.
    _load("key_file", key, lambda: context.load_cert_chain(cert, key, password=""))


def _load(setting: str, path: str, load: Callable[[], None]) -> None:
    wanted = {
        "cert_file": "is not a certificate in PEM format",
        "key_file": "is not an unencrypted private key in PEM format",
        "client_ca_file": "has no certificate in PEM format",
    }
    try:
        load()
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise TlsError(setting, f"is not the key of the certificate: {quoted(path, longest=200)}") from None
        raise TlsError(setting, f"{wanted[setting]}: {quoted(path, longest=200)}") from None
    except OSError as error:
        raise TlsError(setting, f"can't be read: {error.strerror}: {quoted(path, longest=200)}") from None
