"""Writes the manifests that follow from a config or from the alerts, or checks that the committed ones are up to date.

python -m deploy.build            write them
python -m deploy.build --check    exit 1 where a committed file differs
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

import generated
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


FILES: generated.Files = {
    "base/rbac.yaml": lambda: rights("base"),
    "overlays/several-foundations/rbac.yaml": lambda: rights("overlays/several-foundations"),
    f"{OPERATOR}/prometheus-rule.yaml": rule,
}


def main(arguments: Sequence[str] | None = None, *, directory: Path = DIRECTORY) -> int:
    """The command; returns its exit code."""
    description = __doc__.splitlines()[0]
    return generated.main(arguments, files=FILES, directory=directory, package="deploy", description=description)


if __name__ == "__main__":
    sys.exit(main())
