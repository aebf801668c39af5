"""The StatefulSet controller: order, scale, revisions, ownership."""

from sandbox.cluster.objects import is_terminating, labels_of, name_of, uid_of
from sandbox.cluster.resources import PODS, STATEFULSETS
from sandbox.cluster.store import Change
from tests.sandbox.conftest import Box

HASH = "controller-revision-hash"


def added(box: Box) -> list[str]:
    """Records the names of pods as they are created from now on."""
    names: list[str] = []

    def record(change: Change) -> None:
        if change.resource is PODS and change.type == "ADDED":
            names.append(name_of(change.object))

    box.store.subscribe(record)
    return names


def test_parallel_pods_come_back_together(box: Box) -> None:
    box.fault("never-ready", "diego-api-0")
    before = box.uids()
    box.delete(*box.names())
    box.after(60)
    assert box.names() == ["diego-api-0", "diego-api-1"]
    assert not set(before.values()) & set(box.uids().values())


def test_ordered_pods_wait_for_their_predecessors() -> None:
    """If the first never becomes ready, the second is never created."""
    box = Box(pod_management="OrderedReady")
    assert box.names() == ["diego-api-0", "diego-api-1"], "the control case"
    box.fault("never-ready", "diego-api-0")
    box.delete(*box.names())
    box.after(600)
    assert box.names() == ["diego-api-0"]
    box.fault("may-be-ready", "diego-api-0")
    box.after(30)
    assert box.names() == ["diego-api-0", "diego-api-1"]


def test_ordered_pods_wait_for_one_that_terminates() -> None:
    box = Box(pod_management="OrderedReady")
    before = box.uids()
    box.fault("stuck", "diego-api-0")
    box.delete(*box.names())
    box.after(600)
    assert box.uids() == {"diego-api-0": before["diego-api-0"]}


def test_scaling(box: Box) -> None:
    names = added(box)
    box.patch({"replicas": 4})
    box.after(30)
    assert names == ["diego-api-2", "diego-api-3"]
    assert box.statefulset()["metadata"]["generation"] == 2
    assert box.statefulset()["status"]["readyReplicas"] == 4
    box.patch({"replicas": 1})
    box.after(30)
    assert box.names() == ["diego-api-0"]
    box.patch({"replicas": 0})
    box.after(30)
    assert box.names() == []
    assert box.statefulset()["status"]["replicas"] == 0


def test_a_rolling_update_replaces_one_pod_after_the_other(box: Box) -> None:
    """From the highest ordinal, the next only when the last is ready."""
    old = box.statefulset()["status"]["currentRevision"]
    names = added(box)
    terminating: list[int] = []
    box.store.subscribe(lambda _change: terminating.append(sum(is_terminating(pod) for pod in box.pods())))
    box.patch({"template": {"metadata": {"labels": {"new": "label"}}}})
    box.after(0.1)
    status = box.statefulset()["status"]
    assert status["currentRevision"] == old != status["updateRevision"]
    box.after(60)
    assert names == ["diego-api-1", "diego-api-0"]
    assert max(terminating) == 1
    status = box.statefulset()["status"]
    assert status["currentRevision"] == status["updateRevision"] != old
    assert {labels_of(pod)[HASH] for pod in box.pods()} == {status["updateRevision"]}


def test_an_update_on_delete_waits_for_the_delete() -> None:
    """So a restart would deploy another revision."""
    box = Box(update_strategy="OnDelete")
    old = box.statefulset()["status"]["updateRevision"]
    before = box.uids()
    box.patch({"template": {"metadata": {"labels": {"new": "label"}}}})
    box.after(60)
    assert box.uids() == before
    status = box.statefulset()["status"]
    assert status["currentRevision"] == old != status["updateRevision"]
    box.delete("diego-api-0")
    box.after(30)
    assert [labels_of(pod)[HASH] for pod in box.pods()] == [status["updateRevision"], old]


def test_a_partition_keeps_low_ordinals_at_the_current_revision(box: Box) -> None:
    old = box.statefulset()["status"]["currentRevision"]
    box.patch({"updateStrategy": {"rollingUpdate": {"partition": 1}}})
    box.patch({"template": {"metadata": {"labels": {"new": "label"}}}})
    box.after(60)
    assert [labels_of(pod)[HASH] == old for pod in box.pods()] == [True, False]
    box.delete("diego-api-0")
    box.after(30)
    assert labels_of(box.pods()[0])[HASH] == old


def test_pods_of_a_deleted_statefulset_go(box: Box) -> None:
    box.registry.delete(STATEFULSETS, "cf", "diego-api")
    box.after(30)
    assert box.names() == []
    assert len(box.pods("api")) == 2, "the control case"


def test_orphans_stay_and_are_adopted_by_another_of_the_name(box: Box) -> None:
    """The pods' UIDs stay, their owner's UID is another."""
    found, before = box.statefulset(), box.uids()
    box.registry.delete(STATEFULSETS, "cf", "diego-api", {"propagationPolicy": "Orphan"})
    box.after(30)
    assert box.uids() == before
    assert all(not pod["metadata"]["ownerReferences"] for pod in box.pods())
    again = {"metadata": {"name": "diego-api"}, "spec": found["spec"]}
    created = box.registry.create(STATEFULSETS, "cf", again)
    box.after(30)
    assert uid_of(created) != uid_of(found)
    assert box.uids() == before
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in box.pods()} == {uid_of(created)}


def test_a_pod_of_another_owner_is_left_alone(box: Box) -> None:
    """A name that is taken blocks the controller, and is not taken from its owner, whatever its labels say."""
    box.patch({"replicas": 1})
    box.after(30)
    owner = {"apiVersion": "v1", "kind": "Other", "name": "other", "uid": "other", "controller": True}
    metadata = {"name": "diego-api-1", "labels": {"app.kubernetes.io/component": "diego-api"}}
    container = {"name": "one", "command": ["sleep"]}
    body = {"metadata": metadata | {"ownerReferences": [owner]}, "spec": {"containers": [container]}}
    stranger = box.registry.create(PODS, "cf", body)
    box.patch({"replicas": 2})
    box.after(30)
    assert box.statefulset()["status"]["replicas"] == 1
    assert box.uids()["diego-api-1"] == uid_of(stranger)
    assert box.pods()[1]["metadata"]["ownerReferences"] == [owner]
