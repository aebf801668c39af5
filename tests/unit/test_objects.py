"""What is read from a pod's status."""

import msgspec
import pytest

from exporter.kubernetes.objects import Pod
from tests.support.foundations import pod


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
