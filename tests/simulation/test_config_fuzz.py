"""Whatever bytes a file holds, loading it ends in a config or in a report: never in a traceback."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.errors import ConfigError, Problem
from exporter.config.load import load
from exporter.serving.live_web_config import load_web_config

CONFIGS = Path(__file__).parent.parent / "config"
SEEDS = sorted((CONFIGS / "good").glob("*.yaml")) + sorted((CONFIGS / "bad").glob("*.yaml"))
WEB_SEEDS = sorted((CONFIGS / "web-bad").glob("*.yaml"))
# What YAML gives a meaning to, and what breaks readers.
TOKENS = [
    *(b":", b"- ", b"\n", b"  ", b"\t", b"{", b"}", b"[", b"]", b",", b"&a ", b"*a", b"<<: *a", b"!!int ", b"!x "),
    *(b"'", b'"', b'"\\ud800"', b'"\\UFFFFFFFF"', b'"\\x', b"|\n", b">9\n", b"? ", b"---\n", b"...\n", b"%YAML 9.9\n"),
    *(b"#", b"null", b"~", b"yes", b"0x1F", b"1_000", b"1e999", b".nan", b".inf", b"-", b"9" * 30, b"2024-01-01"),
    *(b"0b", b"0o7", b"1:99", b"::", b"\0", b"\x80", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\x85"),
    *(b"=", b"!!binary x", b"!!set {a}", b"!!python/name:os.system", b"!<tag:yaml.org,2002:bool> maybe", b"0s", b"-1"),
]


def mutated(seed: bytes, rng: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        start = rng.randint(0, len(data))
        end = min(len(data), start + rng.choice([0, 0, 1, 5, 20]))
        data[start:end] = rng.choice([*TOKENS, bytes([rng.randrange(256)]), bytes(data[start : start + 40])])
    return bytes(data)


def problems_of(loader: Callable[[str], object], path: str) -> tuple[Problem, ...]:
    try:
        loader(path)
    except ConfigError as error:
        return error.problems
    return ()


def webhook(path: str) -> object:
    return load(path, program="webhook")


@pytest.mark.parametrize(("loader", "seeds"), [(webhook, SEEDS), (load_web_config, WEB_SEEDS)])
def test_only_config_errors_are_raised(loader: Callable[[str], object], seeds: list[Path], tmp_path: Path) -> None:
    """Two thousand mutations of every file that the other tests use; any other exception fails the test."""
    rng = random.Random(170010)
    originals = [path.read_bytes() for path in seeds if path.stat().st_size < 4_096]
    path = tmp_path / "mutated.yaml"
    refused = 0
    for _ in range(2_000):
        data = mutated(rng.choice(originals), rng)
        path.write_bytes(data)
        problems = problems_of(loader, str(path))
        refused += bool(problems)
        # One line each, whatever was in the file, and the line is one of the file's.
        lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 1
        assert all(1 <= (problem.line or 1) <= lines for problem in problems), data
        assert all(problem.message and str(problem).isprintable() for problem in problems), data
    assert refused > 1_000  # else the mutations were too tame


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"[" * 1_000_000, id="flow"),
        pytest.param(b"{a: " * 500_000, id="mappings"),
        pytest.param(b"- " * 500_000, id="block"),
        pytest.param(b"? " * 500_000, id="keys"),
        pytest.param(b"!a " * 100_000, id="tags"),
        pytest.param(b"&a " * 100_000, id="anchors"),
        pytest.param(b"a: &a [1,2]\n" + b"<<: [" + b"*a, " * 300_000 + b"]\n", id="merges"),
        pytest.param(b"foundations: [" + b"{name: a}, " * 400_000 + b"]", id="many"),
        pytest.param(b"x: " + b"9" * 1_000_000, id="digits"),
        pytest.param(b"x: " + b"1:" * 500_000 + b"1", id="sexagesimal"),
    ],
)
def test_a_bomb_is_refused(bomb: bytes, tmp_path: Path) -> None:
    """Bounds of depth and of values stop it; a traceback, or a test that never ends, would be the failure."""
    path = tmp_path / "bomb.yaml"
    path.write_bytes(bomb)
    with pytest.raises(ConfigError):
        load(str(path), program="exporter")
