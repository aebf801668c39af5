"""The journal's values: what follows from a record alone."""

import pytest

from tests.support.journals import pods, run
from tests.support.moments import alert, at, person
from webhook.record.changes import settle_pod
from webhook.record.journal import Approval, Journal, Outcome, PodState
from webhook.record.public import public_run
from webhook.record.reasons import RunReason


def test_only_the_last_run_can_be_open() -> None:
    assert Journal(foundation="cf").open_run is None
    assert Journal(foundation="cf", runs=(run(1),)).open_run is None
    assert Journal(foundation="cf", runs=(run(1), run(2, outcome=None))).open_run == run(2, outcome=None)


@pytest.mark.parametrize(
    ("firing", "by_person", "expected"),
    [
        ({}, False, False),
        ({"a": True, "b": False}, False, False),
        ({"a": False, "b": False}, False, True),
        ({"a": False}, True, False),
    ],
)
def test_a_run_is_withdrawn_when_all_its_alerts_are(firing: dict[str, bool], by_person: bool, expected: bool) -> None:
    alerts = {key: alert(fires=fires) for key, fires in firing.items()}
    requested = run(1, outcome=None, alerts=alerts, person=person(0) if by_person else None)

    assert requested.withdrawn is expected


def test_a_run_is_found_by_its_id() -> None:
    journal = Journal(foundation="cf", runs=(run(1), run(2)))

    assert journal.find("cf-1") == run(1)
    assert journal.find("cf-3") is None


def test_a_run_is_disruptive_from_its_first_intent() -> None:
    assert run(1, pods=pods(intended=True)).disruptive
    assert not run(1, pods=pods()).disruptive


@pytest.mark.parametrize(
    ("outcome", "approval", "expected"),
    [
        (None, Approval(requested=at(0)), True),
        (None, Approval(requested=at(0), by="ann", at=at(1)), False),
        (None, None, False),
        (Outcome.CANCELLED, Approval(requested=at(0)), False),
    ],
)
def test_a_run_awaits_approval_until_somebody_gives_it(
    outcome: Outcome | None, approval: Approval | None, *, expected: bool
) -> None:
    assert run(1, outcome=outcome, approval=approval).awaits_approval is expected


def test_the_cause_of_a_run_is_the_first_word_of_its_reason() -> None:
    assert run(1, reason="not-ready diego-api-1 container bbs (CrashLoopBackOff)").cause is RunReason.NOT_READY
    assert run(1).cause is None


def test_the_public_record_says_of_each_pod_whether_this_run_deleted_it() -> None:
    both = run(1, pods=pods(intended=True), evidence="bbs: lost the lock")
    ended = settle_pod(settle_pod(both, uid="uid-0", state=PodState.DELETED), uid="uid-1", state=PodState.SPARED)

    shown = public_run(ended)

    assert [(pod["state"], pod["deleted"]) for pod in shown["pods"]] == [("deleted", True), ("spared", False)]
    assert shown["evidence"] == "bbs: lost the lock"
    assert "evidence" not in public_run(ended, evidence=False)
