"""Writes the manifests that follow from a config or from the alerts, or checks that the committed ones are up to date.

python -m deploy.build            write them
python -m deploy.build --check    exit 1 where a committed file differs
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from exporter.config.load import load
from webhook.operator.manifests import manifests

DIRECTORY = Path(__file__).parent
OPERATOR = "overlays/prometheus-operator"


def rights(folder: str) -> str:
    """The Roles for the foundations of a folder's diego.yaml."""
    config = load(str(DIRECTORY / folder / "diego.yaml"), program="runbook")
    return f"# Written by `diego-runbook manifests --config.file={folder}/diego.yaml`.\n" + manifests(
        config.foundations, replicas=2, namespace="diego-medic"
    )


def rule() -> str:
    """The alerts as the Prometheus Operator reads them."""
    rules = yaml.safe_load((DIRECTORY.parent / "alerts" / "diego-medic.rules.yml").read_text("utf-8"))
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "diego-medic",
            "namespace": "diego-medic",
            "labels": {"release": "prometheus", "app.kubernetes.io/part-of": "diego-medic"},
        },
        "spec": rules,
    }
    text = yaml.safe_dump(document, sort_keys=False, width=110)
    return f"# alerts/diego-medic.rules.yml, which has the reasons for each rule.\n{text}"


FILES: dict[str, Callable[[], str]] = {
    "base/rbac.yaml": lambda: rights("base"),
    "overlays/several-foundations/rbac.yaml": lambda: rights("overlays/several-foundations"),
    f"{OPERATOR}/prometheus-rule.yaml": rule,
}


def main(arguments: Sequence[str] | None = None, *, directory: Path = DIRECTORY) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.build", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    options = parser.parse_args(arguments)
    stale = [
        name
        for name, content in FILES.items()
        if not (directory / name).exists() or (directory / name).read_text("utf-8") != content()
    ]
    for name in stale:
        if options.check:
            sys.stderr.write(f"{directory / name} is out of date: run `python -m deploy.build` and commit the result\n")
        else:
            (directory / name).write_text(FILES[name](), "utf-8")
            sys.stdout.write(f"wrote {directory / name}\n")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
