"""The server's TLS, from the web config."""

import ssl
from typing import Any, Final

from exporter.config.errors import Problem
from exporter.config.pem import PemError, PemPart, load_authorities, load_certificate
from exporter.serving.web_config import TlsServerConfig

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    # Requested, not verified: every client is accepted, with a certificate or without. So none is requested.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_KEYS: Final[dict[PemPart, str]] = {"certificate": "cert_file", "key": "key_file", "authorities": "client_ca_file"}


class TlsError(Exception):
    """A file of the web config that TLS cannot use."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"tls_server_config.{key}: {message}")
        self.key = key
        self.message = message

    def problem(self, file: str) -> Problem:
        """The error as a problem of the file; without a line, because the mistake is in another file."""
        return Problem(file, None, f"tls_server_config.{self.key}", self.message)


def build_context(config: TlsServerConfig) -> ssl.SSLContext | None:
    """The context for new connections, or None if the config has no TLS.

    Raises:
        TlsError: a file is missing, or is not what its key says.

    """
    if config.cert_file is None or config.key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    context.verify_mode = _VERIFY.get(config.client_auth_type, ssl.CERT_NONE)
    try:
        load_certificate(context, cert=config.cert_file, key=config.key_file)
        if config.client_ca_file is not None:
            load_authorities(context, config.client_ca_file)
    except PemError as error:
        raise TlsError(_KEYS[error.part], error.message) from None
    return context


def client_is_allowed(config: TlsServerConfig, certificate: dict[str, Any] | None) -> bool:
    """Whether the verified client certificate has one of `client_allowed_sans`, if there are any.

    A name of any kind counts, DNS, IP, e-mail or URI, compared as text, as the toolkit does.
    """
    if not config.client_allowed_sans:
        return True
    names = {name for _, name in (certificate or {}).get("subjectAltName", ())}
    return not names.isdisjoint(config.client_allowed_sans)


def certificate_name(certificate: dict[str, Any] | None) -> str:
    """The name of a verified client certificate: its common name, else the first of its alternative names."""
    shown = certificate or {}
    common = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    names = common + [value for _, value in shown.get("subjectAltName", ())]
    return str(names[0]) if names else ""
