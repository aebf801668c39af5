"""The likeliest cause of a failed run: from the pods, and from what Diego's own programs log."""

from typing import Any

import msgspec
import pytest

from exporter.kubernetes.objects import Pod
from tests.support.foundations import pod
from webhook.record.reasons import RunReason
from webhook.runbook.cause import likeliest_cause

COLLISION = (
    '{"timestamp":"1","source":"bbs","message":"bbs.locket-lock.failed-to-acquire-lock","log_level":2,'
    '"data":{"error":"rpc error: code = AlreadyExists desc = lock-collision"}}'
)
REFUSED = (
    '{"source":"locket","message":"locket.failed-to-ping","data":{"error":"dial tcp 10.0.0.9:3306: connect: '
    'connection refused"}}'
)
LOST = '{"source":"bbs","message":"bbs.locket-lock.lost-lock","data":{"error":"context deadline exceeded"}}'


def made(**status: Any) -> Pod:
    document = pod("diego-api", 1)
    document["status"] |= status
    return msgspec.convert(document, Pod)


def waiting(reason: str) -> Pod:
    state = {"waiting": {"reason": reason}}
    return made(containerStatuses=[{"name": "bbs", "ready": False, "state": state}])


@pytest.mark.parametrize(
    ("logs", "cause"),
    [
        (COLLISION, "another process holds the lock"),
        (f"{LOST}\n{COLLISION}", "another process holds the lock"),
        (REFUSED, "the database of Locket or of the BBS does not answer"),
        ('sqldb: pq: Error 1040: database "locket": connection timed out', "the database of Locket or of the BBS"),
        (LOST, "Locket does not give the lock to any BBS"),
    ],
)
def test_the_log_of_a_bbs_without_a_lock_names_the_cause(logs: str, cause: str) -> None:
    for reason in (RunReason.NO_ACTIVE_LABEL, RunReason.UNREACHABLE):
        found = likeliest_cause(reason, [made()], logs)
        assert found is not None
        assert found.text.startswith(cause)
        assert found.advice


@pytest.mark.parametrize("logs", ["", "bbs.started", "database migration finished", "acquired-lock"])
def test_an_ordinary_log_names_none(logs: str) -> None:
    assert likeliest_cause(RunReason.NO_ACTIVE_LABEL, [made()], logs) is None


def test_a_log_explains_only_what_has_to_do_with_the_lock() -> None:
    assert likeliest_cause(RunReason.DELETE_REFUSED, [made()], COLLISION) is None


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (waiting("ImagePullBackOff"), "the image of diego-api-1 cannot be pulled"),
        (waiting("CreateContainerConfigError"), "a ConfigMap or Secret of diego-api-1 is missing"),
        (waiting("CrashLoopBackOff"), "container bbs of diego-api-1 exits again and again"),
        (
            made(
                phase="Pending",
                containerStatuses=None,
                conditions=[
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
                ],
            ),
            "no node has room for diego-api-1 (0/3 nodes)",
        ),
    ],
)
def test_a_pod_that_does_not_start_names_the_cause(found: Pod, cause: str) -> None:
    said = likeliest_cause(RunReason.NOT_READY, [found], "")
    assert said is not None
    assert said.text.startswith(cause)


def test_a_pod_that_is_still_starting_names_none() -> None:
    assert likeliest_cause(RunReason.NOT_READY, [waiting("ContainerCreating")], "") is None


def test_a_pod_that_does_not_end_names_its_node() -> None:
    document = pod("diego-api", 0, terminating=True)
    document["spec"]["nodeName"] = "worker-7"
    said = likeliest_cause(RunReason.STILL_TERMINATING, [msgspec.convert(document, Pod)], COLLISION)
    assert said is not None
    assert "worker-7" in said.text
    assert "kubectl get node worker-7" in said.advice
