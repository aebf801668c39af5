"""The mutations: patches of the product, each with a defect that is easily made."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("exporter", "webhook", "sandbox", "tests", "alerts", "dashboards", "pyproject.toml")


class PatchError(Exception):
    """A patch does not apply."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A patch. Its first line says what is wrong. Lines that may follow:

    `tests: FILE…` names the tests that must notice where the simulation does not;
    `unseen: WHY` says why the simulation cannot notice;
    `earlier version` says that an early version really was like this.
    """

    name: str
    reason: str
    tests: tuple[str, ...]
    unseen: str
    earlier: bool
    path: Path

    @classmethod
    def read(cls, path: Path) -> "Mutation":
        reason, *more = path.read_text().partition("diff --git ")[0].splitlines()
        named = [line.removeprefix("tests:").split() for line in more if line.startswith("tests:")]
        unseen = next((line.removeprefix("unseen:").strip() for line in more if line.startswith("unseen:")), "")
        tests = tuple(test for names in named for test in names)
        return cls(path.stem, reason, tests, unseen, "earlier version" in more, path)


def mutations() -> list[Mutation]:
    return [Mutation.read(path) for path in sorted(Path(__file__).parent.glob("*.patch"))]


def copy_to(folder: Path) -> None:
    """A copy of the tree, as far as the simulation and the tests need it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.patch"))
        else:
            shutil.copy(source, folder / name)


def apply(mutation: Mutation, folder: Path, *, check: bool = False) -> None:
    """Applies a patch in a copy; with `check` it only finds out whether it applies. Raises PatchError."""
    command = ["git", "apply", *(["--check"] if check else []), str(mutation.path)]
    # A copy in a temporary folder is no repository, and git must not find one further up.
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"GIT_CEILING_DIRECTORIES": str(folder.parent)},
    )
    if done.returncode:
        raise PatchError(f"{mutation.path.name} does not apply: {done.stderr.strip()}")
