"""The web config file: the exporter-toolkit's format, strictly, and the report of each mistake in it."""

import ssl
from pathlib import Path

import pytest

from exporter.config.errors import ConfigError
from exporter.serving.live_web_config import load_web_config
from exporter.serving.tls import build_context
from exporter.serving.web_config import WebConfig
from tests.support.certificates import Authority

CONFIGS = Path(__file__).parent.parent / "config"
BAD = sorted(path.stem for path in (CONFIGS / "web-bad").glob("*.yaml"))
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


def write(folder: Path, text: str) -> str:
    path = folder / "web.yaml"
    path.write_text(text)
    return str(path)


def report(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_web_config(path)
    return str(caught.value)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_the_report_beside_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each breaks one rule; everything-at-once has all its mistakes reported at once."""
    monkeypatch.chdir(CONFIGS / "web-bad")
    expected = Path(f"{name}.expected").read_text(encoding="utf-8")
    assert report(f"{name}.yaml").replace(str(CONFIGS), "…") + "\n" == expected


def test_each_report_has_its_file() -> None:
    assert sorted(path.stem for path in (CONFIGS / "web-bad").glob("*.expected")) == BAD


def test_no_report_repeats_a_password() -> None:
    """What stands where a hash should be is likely a password, and reports end in logs."""
    reports = "".join(path.read_text(encoding="utf-8") for path in (CONFIGS / "web-bad").glob("*.expected"))
    configs = "".join(path.read_text(encoding="utf-8") for path in (CONFIGS / "web-bad").glob("*.yaml"))
    for password in ("hunter2", "12345", "$apr1$", "X0h1gDsPszWURQaxFh"):
        assert password in configs
        assert password not in reports


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}", "tls_server_config:\nbasic_auth_users:\n"])
def test_an_empty_file_asks_nothing_of_anybody(text: str, tmp_path: Path) -> None:
    """As with the toolkit, whose every key is optional."""
    config = load_web_config(write(tmp_path, text))
    assert config == WebConfig()
    assert not config.tls
    assert not config.authenticates


def test_every_key_that_is_supported_is_read_as_written(tmp_path: Path) -> None:
    """As in the toolkit, paths relative to the file's folder included."""
    authority = Authority(tmp_path)
    authority.issue("server")
    config = load_web_config(
        write(
            tmp_path,
            f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
  client_allowed_sans: [prometheus, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
http_server_config:
  headers:
    Content-Security-Policy: default-src 'none'
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: ""
basic_auth_users:
  alice: {HASH}
""",
        )
    )
    tls = config.tls_server_config
    assert (tls.cert_file, tls.key_file) == (str(tmp_path / "server.crt"), str(tmp_path / "server.key"))
    assert tls.client_ca_file == str(tmp_path / "authority.pem")
    assert config.http_server_config.headers.sent == {
        "Content-Security-Policy": "default-src 'none'",
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "deny",
    }
    assert config.basic_auth_users == {"alice": HASH}
    assert config.tls
    assert config.authenticates


def test_hashes_are_not_printed(tmp_path: Path) -> None:
    """A config that somebody logs must not hand out what can be cracked."""
    assert HASH not in repr(load_web_config(write(tmp_path, f"basic_auth_users: {{alice: {HASH}}}")))


@pytest.mark.parametrize(
    ("policy", "authenticates", "mode"),
    [
        ("NoClientCert", False, ssl.CERT_NONE),
        ("RequestClientCert", False, ssl.CERT_NONE),
        ("VerifyClientCertIfGiven", False, ssl.CERT_OPTIONAL),
        ("RequireAndVerifyClientCert", True, ssl.CERT_REQUIRED),
    ],
)
def test_only_a_certificate_that_is_required_and_verified_authenticates(
    policy: str, authenticates: bool, mode: ssl.VerifyMode, tmp_path: Path
) -> None:
    """TLS alone authenticates nobody, nor does a certificate that one may leave out."""
    Authority(tmp_path).issue("server")
    ca = "client_ca_file: authority.pem, " if "Verify" in policy else ""
    config = load_web_config(
        write(
            tmp_path,
            f"tls_server_config: {{cert_file: server.crt, key_file: server.key, {ca}client_auth_type: {policy}}}",
        )
    )
    context = build_context(config.tls_server_config)
    assert config.authenticates == authenticates
    assert context is not None
    assert context.verify_mode == mode


def test_users_authenticate_with_tls_or_without(tmp_path: Path) -> None:
    assert load_web_config(write(tmp_path, f"basic_auth_users: {{alice: {HASH}}}")).authenticates


def test_the_context_has_the_versions_of_the_file(tmp_path: Path) -> None:
    Authority(tmp_path).issue("server")
    text = """
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  max_version: TLS12
"""
    context = build_context(load_web_config(write(tmp_path, text)).tls_server_config)
    assert context is not None
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("cert", "key", "problem"),
    [
        ("server.crt", "other.key", 'key_file: is not the key of the certificate: "…/other.key"'),
        ("junk", "server.key", 'cert_file: is not a certificate in PEM format: "…/junk"'),
        ("server.crt", "junk", 'key_file: is not an unencrypted private key in PEM format: "…/junk"'),
        ("server.crt", "locked.key", 'key_file: is not an unencrypted private key in PEM format: "…/locked.key"'),
        ("server.crt", "server.crt", 'key_file: is not an unencrypted private key in PEM format: "…/server.crt"'),
    ],
)
def test_certificates_are_checked_with_the_file(cert: str, key: str, problem: str, tmp_path: Path) -> None:
    """Before the server listens; a locked key is refused rather than asked for on a terminal nobody sits at."""
    authority = Authority(tmp_path)
    authority.issue("server")
    authority.issue("other")
    authority.issue("locked", password=b"secret")
    (tmp_path / "junk").write_text("junk")
    path = write(tmp_path, f"tls_server_config: {{cert_file: {cert}, key_file: {key}}}")
    assert report(path).replace(str(tmp_path), "…") == f"…/web.yaml: tls_server_config.{problem}"


def test_an_authority_that_is_none_is_reported(tmp_path: Path) -> None:
    Authority(tmp_path).issue("server")
    (tmp_path / "junk").write_text("junk")
    text = (
        "cert_file: server.crt, key_file: server.key, client_auth_type: VerifyClientCertIfGiven, client_ca_file: junk"
    )
    assert "client_ca_file: has no certificate in PEM format" in report(
        write(tmp_path, f"tls_server_config: {{{text}}}")
    )
