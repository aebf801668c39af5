"""The rules of API machinery that no contract test needs a real cluster for."""

import pytest

from sandbox.api.watch import Watch
from sandbox.cluster.errors import StatusError
from sandbox.cluster.objects import is_terminating, thaw
from sandbox.cluster.resources import CONFIGMAPS, PODS, STATEFULSETS
from sandbox.cluster.selectors import everything
from tests.sandbox.conftest import Box

MERGE = "application/merge-patch+json"


def test_a_finalizer_holds_an_object(box: Box) -> None:
    """Deleted, it is marked; let go by its finalizers, it is gone."""
    box.registry.create(CONFIGMAPS, "cf", {"metadata": {"name": "held", "finalizers": ["test/hold"]}})
    _, gone = box.registry.delete(CONFIGMAPS, "cf", "held")
    assert not gone
    assert is_terminating(box.registry.get(CONFIGMAPS, "cf", "held"))
    box.registry.patch(CONFIGMAPS, "cf", "held", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert box.store.get(CONFIGMAPS, "cf", "held") is None


def test_a_spec_moves_the_generation_and_a_label_does_not(box: Box) -> None:
    before = box.statefulset()["metadata"]["generation"]
    patch = {"metadata": {"labels": {"a": "b"}}}
    box.registry.patch(STATEFULSETS, "cf", "diego-api", patch, content_type=MERGE)
    assert box.statefulset()["metadata"]["generation"] == before
    box.patch({"replicas": 3})
    assert box.statefulset()["metadata"]["generation"] == before + 1


def test_status_is_written_through_its_subresource_only(box: Box) -> None:
    found = thaw(box.statefulset())
    found["status"]["replicas"] = 99
    found["spec"]["replicas"] = 5
    box.registry.update(STATEFULSETS, "cf", "diego-api", found, subresource="status")
    assert box.statefulset()["spec"]["replicas"] == 2
    assert box.statefulset()["status"]["replicas"] == 99
    box.after(1)
    found = thaw(box.statefulset())
    assert found["status"]["replicas"] == 2, "the controller has corrected it"
    found["status"]["replicas"] = 99
    box.registry.update(STATEFULSETS, "cf", "diego-api", found)
    assert box.statefulset()["status"]["replicas"] == 2


def test_a_grace_period_of_zero_removes_a_pod_at_once(box: Box) -> None:
    """What `--force` does: gone from the API, whatever its node knows."""
    _, gone = box.registry.delete(PODS, "cf", "diego-api-0", {"gracePeriodSeconds": 0})
    assert gone
    assert box.names() == ["diego-api-1"]
    box.after(30)
    assert len(box.names()) == 2


def test_a_pod_without_a_node_goes_at_once(box: Box) -> None:
    box.registry.create(PODS, "cf", {"metadata": {"name": "new"}, "spec": {"containers": []}})
    _, gone = box.registry.delete(PODS, "cf", "new")
    assert gone


def test_a_shorter_grace_period_wins_and_a_longer_one_does_not() -> None:
    box = Box(grace=600)
    for grace, left in ((300, 300), (600, 300), (5, 5)):
        obj, _ = box.registry.delete(PODS, "cf", "diego-api-0", {"gracePeriodSeconds": grace})
        assert obj["metadata"]["deletionGracePeriodSeconds"] == left


def test_a_version_precondition(box: Box) -> None:
    with pytest.raises(StatusError) as refused:
        box.registry.delete(PODS, "cf", "diego-api-0", {"preconditions": {"resourceVersion": "1"}})
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


def test_a_stored_object_never_changes(box: Box) -> None:
    """Whoever holds one may keep it: a change makes another object."""
    held = box.registry.get(PODS, "cf", "diego-api-0")
    copy = thaw(held)
    box.fault("unhealthy")
    box.after(30)
    box.delete("diego-api-0")
    box.after(30)
    assert held == copy


def test_history_is_bounded() -> None:
    """A watch from within it goes on; from before it, it is told so and ends."""
    box = Box(history=5)
    box.registry.create(CONFIGMAPS, "cf", {"metadata": {"name": "c"}})
    start = box.store.revision
    for number in range(6):
        patch = {"data": {"n": str(number)}}
        box.registry.patch(CONFIGMAPS, "cf", "c", patch, content_type=MERGE)

    def watch(since: int) -> Watch:
        return Watch(box.store, CONFIGMAPS, namespace="cf", selected=everything, since=since, timeout=60)

    assert len(watch(start + 1).poll()) == 5
    late = watch(start)
    (line,) = late.poll()
    assert b'"code":410' in line
    assert late.ended
    assert late.poll() == []
