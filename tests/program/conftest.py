"""A BBS that accepts, certificates for one that speaks, and a config whose API server refuses."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.bbs import Pki
from tests.support.exporting import a_foundation, write


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a BBS that accepts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1000)
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig for an API server that refuses."""
    path = tmp_path / "kubeconfig"
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "very-secret"}}],
        "contexts": [context],
        "current-context": "a",
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def config(tmp_path: Path, kubeconfig: Path, listener: int) -> Path:
    path = tmp_path / "diego.yaml"
    write(path, {"foundations": [a_foundation(kubeconfig, listener)]})
    return path
