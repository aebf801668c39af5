"""The names that DNS has in a sandbox, as a file: for programs that resolve names as one in the cluster does."""

import json
from pathlib import Path

from sandbox.cluster.cluster import Cluster


def publish(cluster: Cluster, path: Path) -> None:
    """Writes each name with its addresses, now and whenever they have changed; whoever reads sees one or the other."""
    written = ""

    def write() -> None:
        nonlocal written
        names = json.dumps(cluster.network.names())
        if names != written:
            written = names
            new = path.with_suffix(".new")
            new.write_text(names)
            new.replace(path)

    write()
    cluster.subscribe(write)
