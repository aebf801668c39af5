"""What is read from a pod's status, and from names and numbers that nobody checked."""

import msgspec
import pytest

from exporter.kubernetes.objects import Pod, StatefulSet
from tests.support.foundations import pod, statefulset


def with_condition(status: str | None) -> Pod:
    body = pod("api", 0)
    if status is not None:
        body["status"]["conditions"] = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": status}]
    return msgspec.convert(body, Pod)


@pytest.mark.parametrize(("status", "expected"), [(None, True), ("True", True), ("False", False), ("Unknown", False)])
def test_a_pod_that_is_not_ready_is_not_fully_ready(status: str | None, expected: bool) -> None:
    """The node controller says so of a pod on a lost node, whose containers are still reported as ready."""
    found = with_condition(status)

    assert found.containers_ready == found.containers == 2
    assert found.fully_ready is expected


def test_a_pod_with_a_container_that_is_not_ready_is_not_fully_ready() -> None:
    assert not msgspec.convert(pod("api", 0, ready=1), Pod).fully_ready
    assert not msgspec.convert(pod("api", 0, terminating=True), Pod).fully_ready
    assert not msgspec.convert(pod("api", 0, phase="Pending"), Pod).fully_ready


@pytest.mark.parametrize(("name", "expected"), [("api-3", 3), ("api", -1), ("api-x", -1), ("api-" + "9" * 5_000, -1)])
def test_the_ordinal_is_the_number_at_the_end_of_the_name(name: str, expected: int) -> None:
    body = pod("api", 0)
    body["metadata"]["name"] = name

    assert msgspec.convert(body, Pod).ordinal == expected


def test_any_number_of_replicas_costs_nothing_until_it_is_asked_for() -> None:
    huge = msgspec.convert(statefulset("api", replicas=2**53), StatefulSet)

    assert next(huge.pod_names) == "api-0"
    assert list(msgspec.convert(statefulset("api", replicas=2), StatefulSet).pod_names) == ["api-0", "api-1"]
