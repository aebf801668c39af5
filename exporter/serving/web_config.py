"""The web config of ``--web.config.file``: TLS, client certificates, users, headers, in the exporter-toolkit's format.

One file serves every exporter of a site, so its keys are the toolkit's (docs/web-configuration.md of
prometheus/exporter-toolkit). What Python's TLS can't do is refused in so many words, never left out in silence.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from exporter.config.check import check
from exporter.config.errors import ConfigError, Problem
from exporter.config.paths import absolute, folder_of, missing_file
from exporter.config.reader import read_tree
from exporter.config.tree import Block, Node, Scalar, Sequence, from_python, get, get_text, merge
from exporter.config.types import Count, PlainText, Strict, parse_duration, quoted, rule

# Go's names of the suites that the toolkit takes, and OpenSSL's.
CIPHERS: Final = {
    f"TLS_ECDHE_{key}_WITH_{suite}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for suite, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
    )
}
# Always on with TLS 1.3, in Go as here: named or not makes no difference.
CIPHERS_TLS13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

_FILES: Final = ("cert_file", "key_file", "client_ca_file")
_VERIFYING: Final = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")

TlsVersion = Literal["TLS12", "TLS13"]
ClientAuthType = Literal[
    "NoClientCert", "RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
]


def _unset(value: object) -> object:
    return None if value == "" else value


def _none_is_empty(value: object) -> object:
    return () if value is None else value


def _inline(value: object) -> None:
    if value not in (None, ""):
        raise rule("is not supported here: put it into a file, and name that under the key that ends in _file")


def _client_auth(value: str) -> str:
    # Python's ssl verifies whatever certificate it asks for. A request without a check admits everybody, so does none.
    if value == "RequireAnyClientCert":
        raise rule(
            "RequireAnyClientCert is not supported: a certificate is verified here; use RequireAndVerifyClientCert"
        )
    return value


def _version(value: object) -> object:
    if value in ("TLS10", "TLS11"):
        raise rule(f"{value} is not supported; use TLS12 or TLS13")
    return value


def _cipher(value: str) -> str:
    if value not in CIPHERS and value not in CIPHERS_TLS13:
        raise rule(f"is not a cipher suite of the exporter-toolkit: {quoted(value)}")
    return value


def _curve(value: str) -> str:
    if value not in CURVES:
        raise rule(f"must be one of {', '.join(CURVES)}, not {quoted(value)}")
    return value


def _curves(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 1:
        raise rule("must name one curve at most: Python's TLS takes no list")
    return value


def _hash(value: object) -> object:
    # Nothing of the value may show in a message: it may well be a password.
    if not isinstance(value, str) or not _BCRYPT.fullmatch(value):
        raise rule("must be a bcrypt hash of the password, as `htpasswd -nBC 10 USER` prints it")
    return value


def _user(value: str) -> str:
    if ":" in value:
        raise rule("a user's name can't have a colon in it: HTTP's basic authentication ends the name there")
    return value


def _seconds(value: object) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else parse_duration(value)


Path = Annotated[PlainText | None, BeforeValidator(_unset)]
Inline = Annotated[None, BeforeValidator(_inline)]
Version = Annotated[TlsVersion, BeforeValidator(_version)]
Header = Annotated[PlainText | None, BeforeValidator(_unset)]


class TlsServerConfig(Strict):
    """The certificate, and what is asked of clients. Without any file and policy there is no TLS."""

    cert_file: Path = None
    key_file: Path = None
    client_auth_type: Annotated[ClientAuthType, AfterValidator(_client_auth)] = "NoClientCert"
    client_ca_file: Path = None
    client_allowed_sans: Annotated[tuple[PlainText, ...], BeforeValidator(_none_is_empty)] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: Annotated[
        tuple[Annotated[str, AfterValidator(_cipher)], ...],
        BeforeValidator(_none_is_empty),
    ] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        tuple[Annotated[str, AfterValidator(_curve)], ...],
        BeforeValidator(_none_is_empty),
        AfterValidator(_curves),
    ] = ()
    cert: Inline = None
    key: Inline = None
    client_ca: Inline = None

    @field_validator("max_version")
    @classmethod
    def _not_below_min(cls, version: TlsVersion, info: ValidationInfo) -> TlsVersion:
        if version < info.data.get("min_version", version):
            raise rule("must not be below min_version")
        return version

    @field_validator("cipher_suites")
    @classmethod
    def _some_for_tls12(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if names and info.data.get("min_version") == "TLS12" and not any(name in CIPHERS for name in names):
            raise rule("has no suite of TLS 1.2, and those of TLS 1.3 are always on: use min_version: TLS13")
        return names


class Headers(Strict):
    """The headers that the toolkit lets one add to every response."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    content_security_policy: Header = Field(default=None, alias="Content-Security-Policy")
    strict_transport_security: Header = Field(default=None, alias="Strict-Transport-Security")
    x_content_type_options: Annotated[Literal["nosniff"] | None, BeforeValidator(_unset)] = Field(
        default=None, alias="X-Content-Type-Options"
    )
    x_frame_options: Annotated[Literal["deny", "sameorigin"] | None, BeforeValidator(_unset)] = Field(
        default=None, alias="X-Frame-Options"
    )
    x_xss_protection: Header = Field(default=None, alias="X-XSS-Protection")


class HttpServerConfig(Strict):
    """``http2`` is taken and has no effect: the server speaks HTTP/1.1, which every client falls back on."""

    http2: bool = True
    headers: Headers = Headers()


class RateLimit(Strict):
    """A token bucket: one request each ``interval`` (seconds; 0 means no limit), and so many at once."""

    interval: Annotated[float, BeforeValidator(_seconds)] = 0.0
    burst: Count = 1


class WebConfig(Strict):
    """The whole file; nothing in it is required."""

    tls_server_config: TlsServerConfig = TlsServerConfig()
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: dict[Annotated[str, AfterValidator(_user)], Annotated[str, BeforeValidator(_hash)]] = Field(
        default={}, repr=False
    )
    rate_limit: RateLimit = RateLimit()

    @property
    def tls(self) -> bool:
        """Whether the server speaks TLS."""
        return self.tls_server_config.cert_file is not None

    @property
    def authenticates(self) -> bool:
        """Whether every client has shown who it is: TLS alone, or a certificate that is optional, shows nothing."""
        return bool(self.basic_auth_users) or (
            self.tls and self.tls_server_config.client_auth_type == "RequireAndVerifyClientCert"
        )


_BLOCKS: Final[dict[str, object]] = {
    "tls_server_config": {},
    "http_server_config": {"headers": {}},
    "basic_auth_users": {},
    "rate_limit": {},
}


def read_web_config(path: str) -> WebConfig:
    """Read and check the file, and that the files it names are there; not what is in those.

    Raises:
        ConfigError: with every problem of the file; never anything else.

    """
    root, problems = read_tree(path, may_be_empty=True)
    tree = merge(from_python(_BLOCKS), root)
    tls = get(tree, "tls_server_config")
    if isinstance(tls, Block) and isinstance(tree, Block):
        folder = folder_of(path)
        for key in _FILES:
            tls = absolute(tls, key, folder=folder)
            problems += missing_file(get(tls, key), file=path)
        problems += _tls_rules(tls, file=path)
        tree = dataclasses.replace(tree, entries={**tree.entries, "tls_server_config": tls})
    config, wrong = check(WebConfig, tree, file=path)
    problems += wrong
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _tls_rules(tls: Node, *, file: str) -> Iterator[Problem]:
    """Check what depends on several keys; on the tree, so that it is reported beside the mistakes in single keys."""
    base = tls.path or "tls_server_config"
    policy = get_text(tls, "client_auth_type")
    ca = get(tls, "client_ca_file")
    sans = get(tls, "client_allowed_sans")
    if policy or any(get_text(tls, key) for key in _FILES):
        for key in ("cert_file", "key_file"):
            node = get(tls, key)
            if node is None or (isinstance(node, Scalar) and not node.value):
                line = tls.line if node is None else node.line
                yield Problem(file, line, f"{base}.{key}", "is required where TLS is configured")
    if ca is not None and get_text(ca) and policy in (None, "NoClientCert", "RequestClientCert"):
        message = f"has no effect without a client_auth_type that verifies: {' or '.join(_VERIFYING)}"
        yield Problem(file, ca.line, ca.path, message)
    if policy in _VERIFYING and not get_text(ca):
        # Go would take the system's authorities then, and let in whoever has a certificate of any of them.
        yield Problem(file, tls.line, f"{base}.client_ca_file", f"is required for {policy}")
    if isinstance(sans, Sequence) and sans.items and policy != "RequireAndVerifyClientCert":
        yield Problem(file, sans.line, sans.path, "needs client_auth_type: RequireAndVerifyClientCert")
