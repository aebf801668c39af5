"""The certificates of `bbs.tls` in a config: one clear error for each file that is missing or wrong."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import resolve
from exporter.config.client_tls import client_context
from exporter.config.errors import ConfigError
from exporter.config.load import load
from exporter.config.model import BbsTls
from tests.support.certificates import Authority


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    """`bbs.tls` as it is right, with paths from the config's own folder."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("diego-medic")
    return {"ca": authority.certificate.name, "cert": cert.name, "key": key.name}


def config(folder: Path, *tls: dict[str, str] | None, **bbs: Any) -> str:
    """The path of a config, with a foundation for each."""
    foundations = [
        {"name": f"cf-{number}", "namespace": f"cf-{number}", "bbs": {"tls": each, **bbs}}
        for number, each in enumerate(tls)
    ]
    path = folder / "diego.yaml"
    path.write_text(yaml.safe_dump({"foundations": foundations, "remediation": {"mode": "observe"}}, sort_keys=False))
    return str(path)


def problems(path: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(path, program="exporter", thorough=True)
    return [(each.path, each.message.partition(": ")[0]) for each in caught.value.problems]


def test_the_certificates_of_a_foundation(tmp_path: Path, tls: dict[str, str]) -> None:
    """Relative paths start from the file's own folder. The control: without them nothing is called."""
    with_them, without = load(config(tmp_path, tls, None), program="exporter", thorough=True).foundations

    assert with_them.bbs.tls == BbsTls(**{name: str(tmp_path / path) for name, path in tls.items()})
    assert (without.bbs.tls, with_them.bbs.port) == (None, 8889)


def test_the_key_of_another_certificate(tmp_path: Path, tls: dict[str, str]) -> None:
    _, other = Authority(tmp_path, "another").issue("other")
    found = problems(config(tmp_path, tls | {"key": other.name}))
    assert found == [("foundations[0].bbs.tls.key", "is not the key of the certificate")]


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password(tmp_path: Path, tls: dict[str, str]) -> None:
    cert, key = Authority(tmp_path, "another").issue("other", password=b"secret")
    found = problems(config(tmp_path, tls | {"cert": cert.name, "key": key.name}))
    assert found == [("foundations[0].bbs.tls.key", "is not an unencrypted private key in PEM format")]


def test_a_certificate_that_is_a_key(tmp_path: Path, tls: dict[str, str]) -> None:
    found = problems(config(tmp_path, tls | {"cert": tls["key"]}))
    assert found == [("foundations[0].bbs.tls.cert", "is not a certificate in PEM format")]


def test_each_foundation_has_its_error_and_files_that_are_the_same_are_read_once(
    tmp_path: Path, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand foundations with one certificate would take seconds to check."""
    made = []

    def read(**files: str) -> ssl.SSLContext:
        made.append(files)
        return client_context(**files)

    monkeypatch.setattr(resolve, "client_context", read)

    found = problems(config(tmp_path, tls, tls | {"ca": tls["key"]}, tls | {"ca": tls["key"]}))

    assert found == [(f"foundations[{number}].bbs.tls.ca", "has no certificate in PEM format") for number in (1, 2)]
    assert len(made) == 2


@pytest.mark.parametrize(("program", "thorough"), [("webhook", True), ("runbook", True), ("exporter", False)], ids=str)
def test_only_the_check_of_the_exporter_asks_for_the_files(tmp_path: Path, program: Any, *, thorough: bool) -> None:
    """The others do not call the BBS, and their pods do not have the Secret. The exporter itself runs without it."""
    missing = dict.fromkeys(("ca", "cert", "key"), "nowhere")
    path = config(tmp_path, missing)

    assert load(path, program=program, thorough=thorough).foundations[0].bbs.tls is not None
    assert [each for each, _ in problems(path)] == [f"foundations[0].bbs.tls.{name}" for name in missing]
