"""Whatever a file holds, loading it ends in a config or in mistakes that name their places: never in a traceback."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import event, given, note

from exporter.config.errors import ConfigError, Problem
from exporter.config.load import load
from exporter.serving.live_web_config import load_web_config
from tests.support.editors import marked
from tests.support.fuzzing import mutated, odd, randoms

CONFIGS = Path(__file__).parent.parent / "config"
FILES = sorted((CONFIGS / "good").glob("*.yaml")) * 20 + sorted((CONFIGS / "bad").glob("*.yaml"))
WEB_FILES = sorted((CONFIGS / "web-bad").glob("*.yaml"))
SEEDS = [path.read_bytes() for path in FILES if path.stat().st_size < 4_096]
WEB_SEEDS = [path.read_bytes() for path in WEB_FILES if path.stat().st_size < 4_096]
EXAMPLES = [yaml.safe_load((CONFIGS / "good" / name).read_text()) for name in ("full.yaml", "overrides.yaml")]
# What YAML gives a meaning to, and what breaks readers.
TOKENS = [
    *(b":", b"- ", b"\n", b"  ", b"\t", b"{", b"}", b"[", b"]", b",", b"&a ", b"*a", b"<<: *a", b"!!int ", b"!x "),
    *(b"'", b'"', b'"\\ud800"', b'"\\UFFFFFFFF"', b'"\\x', b"|\n", b">9\n", b"? ", b"---\n", b"...\n", b"%YAML 9.9\n"),
    *(b"#", b"null", b"~", b"yes", b"0x1F", b"1_000", b"1e999", b".nan", b".inf", b"-", b"9" * 30, b"2024-01-01"),
    *(b"0b", b"0o7", b"1:99", b"::", b"\0", b"\x80", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\x85"),
    *(b"=", b"!!binary x", b"!!set {a}", b"!!python/name:os.system", b"!<tag:yaml.org,2002:bool> maybe", b"0s", b"-1"),
]
ODD_VALUES: tuple[Any, ...] = (
    "",
    "0s",
    "-1s",
    "1y",
    "10",
    "99999999999y",
    "1h1h",
    "a" * 64,
    "A",
    "cf",
    "a=b",
    "=",
    "/",
    "~",
    "auto",
    "\u2028",
    "cf.example.com.",
    "CF.example.com",
    "fd00::1",
    "::ffff:10.0.0.1",
    "fe80::1%eth0",
    "10.0.0.1",
    "1ms",
    "0m1s",
    "1y2w3d4h5m6s7ms",
    "a.b/c-d=E_f.g",
    "a=",
    True,
    False,
    None,
    1,
    65_535,
    65_536,
    ["cf", "api"],
    [],
    {},
)


def spoilt(random: Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(data))
        end = min(len(data), start + random.choice((0, 0, 1, 5, 20)))
        data[start:end] = random.choice((*TOKENS, random.randbytes(1), bytes(data[start : start + 40])))
    return bytes(data)


def problems_of(loader: Callable[[str], object], file: Path, data: bytes) -> tuple[Problem, ...]:
    """The mistakes that loading it reports, each of them in one line, at a line of the file."""
    note(f"{data!r}")
    file.write_bytes(data)
    problems = reported(loader, file)
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 1
    for problem in problems:
        note(str(problem))
        assert 1 <= (problem.line or 1) <= lines
        assert problem.message
        assert str(problem).isprintable()
    return problems


def reported(loader: Callable[[str], object], file: Path) -> tuple[Problem, ...]:
    try:
        loader(str(file))
    except ConfigError as error:
        return error.problems or pytest.fail("it is refused, and nothing is said")
    return ()


def webhook(path: str) -> object:
    return load(path, program="webhook")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("config")
    for name in ("kubeconfig", "token"):
        shutil.copy(CONFIGS / "good" / name, folder)
    return folder / "diego.yaml"


@given(randoms)
def test_a_config_file_of_any_bytes(file: Path, random: Random) -> None:
    event("refused" if problems_of(webhook, file, spoilt(random, random.choice(SEEDS))) else "read")


@given(randoms)
def test_a_web_config_file_of_any_bytes(file: Path, random: Random) -> None:
    event("refused" if problems_of(load_web_config, file, spoilt(random, random.choice(WEB_SEEDS))) else "read")


@given(randoms)
def test_one_wrong_value_is_reported_at_its_place(file: Path, random: Random) -> None:
    """Or at that of a block that it is in, or of a value that it must fit."""
    example = random.choice(EXAMPLES)
    places = list(places_in(example))
    place = random.choice(places)
    value = random.choice(ODD_VALUES) if random.random() < 0.5 else odd(random)
    tree = replaced(example, place, value)

    problems = problems_of(webhook, file, yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode())

    event("refused" if problems else "read")
    if problems:
        path = path_of(place)
        assert all(each.line is not None or each.path for each in problems)
        assert any(related(each, path) for each in problems), path


@given(randoms)
def test_an_editor_refuses_nothing_that_the_programs_accept(file: Path, random: Random) -> None:
    """The schema knows less than the programs, so it must not be stricter anywhere."""
    example = random.choice(EXAMPLES)
    value = random.choice(ODD_VALUES) if random.random() < 0.8 else odd(random)
    tree = replaced(example, random.choice(list(places_in(example))), value)
    data = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode()

    problems = problems_of(webhook, file, data)

    event("refused" if problems else "read")
    if not problems:
        assert marked(data.decode()) == []


@given(randoms)
def test_several_wrong_places(file: Path, random: Random) -> None:
    tree = mutated(random, random.choice(EXAMPLES), most=5)
    data = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False).encode(errors="replace")
    event("refused" if problems_of(webhook, file, data) else "read")


def related(problem: Problem, path: str) -> bool:
    """Whether it is about this value, or names its key: a rule about two values, or who inherits it."""
    near = path.startswith(problem.path) or problem.path.startswith(path)
    return near or path.rpartition(".")[2] in f"{problem.path} {problem.message}"


def places_in(tree: Any, above: tuple[str | int, ...] = ()) -> Any:
    """The place of every value in it."""
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in below:
        yield (*above, key)
        yield from places_in(value, (*above, key))


def replaced(tree: Any, place: tuple[str | int, ...], value: Any) -> Any:
    if not place:
        return value
    key, *rest = place
    if isinstance(tree, dict):
        return tree | {key: replaced(tree[key], tuple(rest), value)}
    return [replaced(each, tuple(rest), value) if number == key else each for number, each in enumerate(tree)]


def path_of(place: tuple[str | int, ...]) -> str:
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in place).removeprefix(".")


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"[" * 1_000_000, id="flow"),
        pytest.param(b"{a: " * 500_000, id="mappings"),
        pytest.param(b"- " * 500_000, id="block"),
        pytest.param(b"? " * 500_000, id="keys"),
        pytest.param(b"!a " * 100_000, id="tags"),
        pytest.param(b"&a " * 100_000, id="anchors"),
        pytest.param(b"a: &a [1,2]\n" + b"<<: [" + b"*a, " * 1_100 + b"]\n", id="merges"),
        pytest.param(b"foundations: [" + b"{name: a}, " * 1_100 + b"]", id="many"),
        pytest.param(b"x: " + b"9" * 1_000_000, id="digits"),
        pytest.param(b"x: " + b"1:" * 500_000 + b"1", id="sexagesimal"),
    ],
)
def test_a_bomb_is_refused(bomb: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of depth and of values stop it; a traceback, or a test that never ends, would be the failure.

    The bound of values is lower here, so that a bomb of many values is small.
    """
    monkeypatch.setattr("exporter.config.reader._MAX_VALUES", 2_000)
    path = tmp_path / "bomb.yaml"
    path.write_bytes(bomb)
    with pytest.raises(ConfigError):
        load(str(path), program="exporter")
