"""Writes the parts of docs/ that follow from the code, or checks that the committed ones are up to date.

python -m reference.build            write them
python -m reference.build --check    exit 1 where a committed file differs
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import generated
from exporter.config.schema import schema_text
from reference import metrics, words
from reference.pages import page
from reference.settings import SECTIONS, settings_table

DIRECTORY = Path(__file__).parents[1] / "docs"


def _page(name: str, parts: Callable[[], Mapping[str, str]]) -> str:
    return page(DIRECTORY / name, parts())


def _settings() -> dict[str, str]:
    return {section: settings_table(section) for section in SECTIONS}


FILES: generated.Files = {
    "configuration.md": partial(_page, "configuration.md", _settings),
    "metrics.md": partial(_page, "metrics.md", metrics.exporter_tables),
    "metrics-webhook.md": partial(_page, "metrics-webhook.md", metrics.webhook_tables),
    "runs.md": partial(_page, "runs.md", words.tables),
    "diego.schema.json": schema_text,
}


def main(arguments: Sequence[str] | None = None, *, directory: Path = DIRECTORY) -> int:
    """The command; returns its exit code."""
    description = __doc__.splitlines()[0]
    return generated.main(arguments, files=FILES, directory=directory, package="reference", description=description)


if __name__ == "__main__":
    sys.exit(main())
