"""What people do to a cluster besides the product's own commands."""

from sandbox.cluster.resources import STORED
from sandbox.simulation.history import RecordedBox

CONFIG_MAPS = next(each for each in STORED if each.plural == "configmaps")


def delete_journal(box: RecordedBox) -> None:
    """`kubectl delete configmap` of the journal, by mistake."""
    box.catch_up()
    for obj in box.cluster.store.all(CONFIG_MAPS, box.namespace):
        box.cluster.registry.delete(CONFIG_MAPS, box.namespace, obj["metadata"]["name"], {})
        box.history.lost.append(box.since)
