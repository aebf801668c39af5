"""The web config of `--web.config.file`: TLS, client certificates, users, headers, in the exporter-toolkit's format.

One file serves every exporter of a site, so its keys are the toolkit's (docs/web-configuration.md of
prometheus/exporter-toolkit). A key of the toolkit's that this server does not implement is refused, never ignored.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from exporter.config.check import check
from exporter.config.errors import ConfigError, Problem
from exporter.config.paths import absolute, folder_of, missing_file
from exporter.config.reader import read_tree
from exporter.config.tree import Block, ListNode, Node, Scalar, from_python, get, get_text, merge
from exporter.config.types import Between, Parse, PlainText, Rule, RuleError, Strict

_FILES: Final = ("cert_file", "key_file", "client_ca_file")
_VERIFYING: Final = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_SYSTEM: Final = "the TLS library's own preferences apply; remove the key"
_BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")

TlsVersion = Literal["TLS12", "TLS13"]
ClientAuthType = Literal[
    "NoClientCert", "RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
]


def _unset(value: object) -> object:
    return None if value == "" else value


def _none_is_empty(value: object) -> object:
    return () if value is None else value


def _client_auth(value: str) -> None:
    # Python's ssl verifies every certificate that it requests.
    if value == "RequireAnyClientCert":
        raise RuleError(
            "RequireAnyClientCert is not supported: certificates are always verified; use RequireAndVerifyClientCert"
        )


def _version(value: object) -> object:
    if value in ("TLS10", "TLS11"):
        raise RuleError(f"{value} is not supported; use TLS12 or TLS13")
    return value


def _hash(value: object) -> object:
    # The value may be a password, so no message repeats it.
    if not isinstance(value, str) or not _BCRYPT.fullmatch(value):
        raise RuleError("must be a bcrypt hash of the password, as `htpasswd -nBC 10 USER` prints it")
    return value


def _user(value: str) -> None:
    if ":" in value:
        raise RuleError(
            "a user's name cannot contain a colon, which separates it from the password in HTTP's basic authentication"
        )


def _not_below_min(version: str, above: Mapping[str, Any]) -> None:
    if version < above.get("min_version", version):
        raise RuleError("must not be below min_version")


Path = Annotated[PlainText | None, Parse(_unset)]
Version = Annotated[TlsVersion, Parse(_version)]
Header = Annotated[PlainText | None, Parse(_unset)]


class TlsServerConfig(Strict, frozen=True, kw_only=True):
    """The certificate, and what is required of clients. Without any file and policy there is no TLS."""

    not_supported: ClassVar[Mapping[str, str]] = {
        "cert": "use cert_file",
        "key": "use key_file",
        "client_ca": "use client_ca_file",
        "cipher_suites": _SYSTEM,
        "prefer_server_cipher_suites": _SYSTEM,
        "curve_preferences": _SYSTEM,
    }

    cert_file: Path = None
    """An absolute path to the server's certificate, in PEM format; None: no TLS."""

    key_file: Path = None
    """An absolute path to its private key, in PEM format and not encrypted."""

    client_auth_type: Annotated[ClientAuthType, Rule(_client_auth)] = "NoClientCert"
    """What is required of clients, in Go's words."""

    client_ca_file: Path = None
    """An absolute path to the authorities that sign the clients' certificates, in PEM format."""

    client_allowed_sans: Annotated[tuple[PlainText, ...], Parse(_none_is_empty)] = ()
    """The names of which a client's certificate must have one; empty: any name."""

    min_version: Version = "TLS12"
    """The oldest version of TLS that is accepted. The toolkit's default."""

    max_version: Annotated[Version, Between(_not_below_min)] = "TLS13"
    """The newest version of TLS that is accepted. The toolkit's default."""


class Headers(Strict, frozen=True, kw_only=True):
    """The headers that are added to every response; the toolkit allows these. None: the header is not sent."""

    content_security_policy: Header = msgspec.field(default=None, name="Content-Security-Policy")
    """Any text."""

    strict_transport_security: Header = msgspec.field(default=None, name="Strict-Transport-Security")
    """Any text."""

    x_content_type_options: Annotated[Literal["nosniff"] | None, Parse(_unset)] = msgspec.field(
        default=None, name="X-Content-Type-Options"
    )
    """The one value that is defined."""

    x_frame_options: Annotated[Literal["deny", "sameorigin"] | None, Parse(_unset)] = msgspec.field(
        default=None, name="X-Frame-Options"
    )
    """One of the values that are defined."""

    x_xss_protection: Header = msgspec.field(default=None, name="X-XSS-Protection")
    """Any text."""

    @property
    def sent(self) -> dict[str, str]:
        """The headers to send, by their names."""
        values = zip(self.__struct_encode_fields__, msgspec.structs.astuple(self), strict=True)
        return {name: value for name, value in values if value is not None}


class HttpServerConfig(Strict, frozen=True, kw_only=True):
    """The settings of HTTP."""

    not_supported: ClassVar[Mapping[str, str]] = {"http2": "the server has HTTP/1.1 only; remove the key"}

    headers: Headers = Headers()
    """The headers that are added to every response."""


class WebConfig(Strict, frozen=True, kw_only=True):
    """The whole file; nothing in it is required."""

    not_supported: ClassVar[Mapping[str, str]] = {"rate_limit": "limit requests in front of the server"}

    tls_server_config: TlsServerConfig = TlsServerConfig()
    """The certificate, and what is required of clients."""

    http_server_config: HttpServerConfig = HttpServerConfig()
    """The settings of HTTP."""

    basic_auth_users: dict[Annotated[str, Rule(_user)], Annotated[str, Parse(_hash)]] = msgspec.field(
        default_factory=dict
    )
    """The users, each with the bcrypt hash of the password; empty: no user is asked for."""

    def __repr__(self) -> str:
        """Without the hashes: what is printed ends in logs."""
        return f"WebConfig({self.tls_server_config!r}, {self.http_server_config!r}, {len(self.basic_auth_users)} users)"

    @property
    def tls(self) -> bool:
        """Whether the server uses TLS."""
        return self.tls_server_config.cert_file is not None

    @property
    def authenticates(self) -> bool:
        """Whether every client is authenticated: TLS alone, or an optional certificate, authenticates nobody."""
        return bool(self.basic_auth_users) or (
            self.tls and self.tls_server_config.client_auth_type == "RequireAndVerifyClientCert"
        )


_BLOCKS: Final[dict[str, object]] = {
    "tls_server_config": {},
    "http_server_config": {"headers": {}},
    "basic_auth_users": {},
}


def read_web_config(path: str) -> WebConfig:
    """The checked file. The files that it names exist; what is in them is not checked.

    Raises:
        ConfigError: with every mistake in the file.

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
        tree = replace(tree, entries={**tree.entries, "tls_server_config": tls})
    config, wrong = check(WebConfig, tree, file=path)
    problems += wrong
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _tls_rules(tls: Node, *, file: str) -> Iterator[Problem]:
    """The rules about several keys; on the tree, so that they are reported with the mistakes in single keys."""
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
        # Go would use the system's authorities instead, and accept every certificate of any of them.
        yield Problem(file, tls.line, f"{base}.client_ca_file", f"is required for {policy}")
    if isinstance(sans, ListNode) and sans.items and policy != "RequireAndVerifyClientCert":
        yield Problem(file, sans.line, sans.path, "needs client_auth_type: RequireAndVerifyClientCert")
