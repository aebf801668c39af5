"""The judge: which answer of a Cloud Controller forbids a DELETE."""

import pytest

from sandbox.simulation.history import Asked, Deleted
from sandbox.simulation.judge import forbids

DELETED = Deleted(at=100.0, sent=99.9, by="replica-1.0", name="diego-api-1", uid="one")


@pytest.mark.parametrize(
    ("at", "by", "serving", "forbidden"),
    [
        pytest.param(99.0, "replica-1.0", "other", True, id="the process that deletes has heard it"),
        pytest.param(99.0, "replica-0.0", "one", True, id="the pod itself was reached"),
        pytest.param(89.0, "replica-0.0", "other", True, id="longer ago than a view may be old"),
        pytest.param(60.0, "replica-0.0", "one", False, id="another process, longer ago than the window of a proof"),
        pytest.param(60.0, "replica-1.0", "other", True, id="its own, in a proof that took long"),
        pytest.param(99.0, "replica-0.0", "other", False, id="another process, another pod, a moment ago"),
        pytest.param(99.95, "replica-1.0", "one", False, id="after the request was sent"),
    ],
)
def test_a_success_forbids_the_delete_of_what_served_and_of_what_one_could_know(
    at: float, by: str, serving: str, forbidden: bool
) -> None:
    assert forbids(Asked(at, by, "api-0", 0, frozenset({serving})), DELETED, window=34.5) is forbidden
    assert not forbids(Asked(at, by, "api-0", 1, frozenset({serving})), DELETED, window=34.5)
