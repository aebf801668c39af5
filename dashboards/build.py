"""Writes the dashboards' JSON files beside this one, or checks that they are what the code says.

python -m dashboards.build            write them
python -m dashboards.build --check    exit 1 where a committed file differs
"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

import generated
from dashboards import fleet, foundations, runs

DIRECTORY = Path(__file__).parent


def render(build: Callable[[], model.Dashboard]) -> str:
    """The text of a dashboard: JSON, the same on every run."""
    return json.dumps(build(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


FILES: generated.Files = {
    "diego-fleet.json": partial(render, fleet.build),
    "diego-foundations.json": partial(render, foundations.build),
    "diego-remediation.json": partial(render, runs.build),
}


def main(arguments: Sequence[str] | None = None, *, directory: Path = DIRECTORY) -> int:
    """The command; returns its exit code."""
    description = __doc__.splitlines()[0]
    return generated.main(arguments, files=FILES, directory=directory, package="dashboards", description=description)


if __name__ == "__main__":
    sys.exit(main())
