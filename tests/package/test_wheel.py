"""What users install: the wheel, in an environment that has nothing else, started away from the checkout."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("diego-exporter", "diego-webhook", "diego-runbook", "diego-sandbox")
CONFIG = """\
foundations:
  - name: cf
    profile: cfee-2
remediation:
  mode: observe
webhook:
  bearer_token_file: token
"""


def run(*argv: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV_"))}
    return subprocess.run(argv, cwd=cwd, env=env, check=False, capture_output=True, text=True, timeout=150)


def succeed(*argv: str | Path, cwd: Path) -> str:
    done = run(*argv, cwd=cwd)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `make build` makes: from the sdist, so the sdist is complete."""
    dist = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, ROOT, cwd=dist)
    (built,) = dist.glob("*.whl")
    assert len(list(dist.glob("*.tar.gz"))) == 1
    return built


@pytest.fixture
def program(wheel: Path, tmp_path: Path) -> Callable[[str], Path]:
    environment = tmp_path / "environment"
    succeed(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin/python")
    succeed(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    return lambda name: environment / "bin" / name


def test_the_wheel_has_the_types_and_the_alerts_and_nothing_of_the_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        *("exporter/py.typed", "webhook/py.typed", "sandbox/py.typed"),
        *("sandbox/alerts/diego-medic.rules.yml", "sandbox/alerts/alertmanager.yml"),
        *("exporter/serving/style.css", "webhook/http/templates/index.html", "webhook/http/templates/live.js"),
    }
    assert expected <= names
    assert {name.split("/")[0] for name in names} == {
        *("exporter", "webhook", "sandbox"),
        f"diego_medic-{version('diego-medic')}.dist-info",
    }


def test_the_four_programs_start_from_the_wheel_in_an_empty_environment(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in PROGRAMS:
        assert succeed(program(name), "--version", cwd=tmp_path).split()[:2] == [name, version("diego-medic")]
        assert name in succeed(program(name), "--help", cwd=tmp_path)

    config, token = tmp_path / "diego.yaml", tmp_path / "token"
    config.write_text(CONFIG)
    token.write_text("a token of at least thirty-two characters")
    token.chmod(0o600)
    for server in ("diego-exporter", "diego-webhook"):
        check = (program(server), "--config.file", config, "--config.check")
        config.write_text(CONFIG)
        succeed(*check, cwd=tmp_path)
        config.write_text(CONFIG.replace("cfee-2", "no-such-profile"))
        assert run(*check, cwd=tmp_path).returncode != 0
