"""What a run waits for, and until when."""

from datetime import timedelta

import msgspec
import pytest

from exporter.foundation.view import FoundationView
from tests.support.journals import listed, open_run
from tests.support.moments import NOON, at
from tests.support.statuses import MINUTE, cf, known, seen
from webhook.record.journal import Approval, Journal, PodRecord, PodState, Step, StepRecord
from webhook.status.known import Known
from webhook.status.waits import Wait, in_words, waiting

REMEDIATION = {
    "mode": "auto",
    "confirm": {"attempts": 4, "interval": "10s"},
    "verify": {"attempts": 3, "interval": "2s", "timeout": "2m"},
    "approval_timeout": "30m",
}


def during(step: Step, *, began: float = 50, view: FoundationView | None = None, **changes: object) -> Known:
    """A minute after noon, in a step that began so many seconds after noon."""
    run = open_run(steps=(StepRecord(name=step, started=at(began)),), step=step, **changes)
    return known(
        view or seen(reachable=False), Journal(foundation="cf", runs=(run,)), settings=cf(remediation=REMEDIATION)
    )


def wait_of(of: Known) -> Wait:
    wait = waiting(of)
    assert wait is not None
    return wait


def test_without_a_run_and_between_steps_nothing_is_awaited() -> None:
    ended = StepRecord(name=Step.RESTART, started=NOON, ended=at(1))
    assert waiting(known()) is None
    for run in (open_run(), open_run(steps=(ended,))):
        assert waiting(known(journal=Journal(foundation="cf", runs=(run,)))) is None


@pytest.mark.parametrize(
    ("of", "text", "left"),
    [
        (during(Step.CONFIRM_UNREACHABLE), "4 attempts, 10 s apart", "about 20 s left"),
        (during(Step.CONFIRM_UNREACHABLE, began=0), "4 attempts, 10 s apart", "30 s longer than planned"),
        (during(Step.PRESERVE_EVIDENCE), "the pods' logs", "10 s left, until 12:01:10Z"),
        (during(Step.PRESERVE_EVIDENCE, began=0), "the pods' logs", "the deadline 12:00:20Z has passed"),
        (
            during(Step.AWAIT_APPROVAL, approval=Approval(requested=NOON)),
            "approve it: diego-runbook approve cf-1",
            "29 min 0 s left, until 12:30:00Z",
        ),
        (during(Step.RESTART, pods=listed(intended=2, deleted=1)), "1 of 2 pods deleted", "for 10 s"),
        (during(Step.RESTART, pods=()), "the last checks", "for 10 s"),
        (
            during(Step.VERIFY_REACHABLE),
            "reachable 3 times in a row, from each ready api pod",
            "1 min 50 s left, until 12:02:50Z",
        ),
    ],
)
def test_each_step_says_what_it_waits_for(of: Known, text: str, left: str) -> None:
    wait = wait_of(of)
    assert text in wait.text
    assert wait.left(of.now) == left


def test_the_new_pods_have_until_the_deadline_that_the_run_itself_has() -> None:
    """Five minutes and the grace period (30 s), from the first delete at noon: not from the start of the step."""
    of = during(Step.AWAIT_READY, pods=listed(intended=2, deleted=2))
    wait = wait_of(of)
    assert wait.until == at(330)
    assert wait.text.startswith("0 of 2 new pods ready; still terminating: diego-api-0 ")
    assert wait.share(of.now) == pytest.approx(10 / 280)


def test_a_resumed_wait_has_a_minute_at_least() -> None:
    old = tuple(msgspec.structs.replace(pod, intended_at=at(-3600)) for pod in listed(intended=2, deleted=2))
    assert wait_of(during(Step.AWAIT_READY, pods=old)).until == at(110)


def test_new_pods_are_counted_and_what_is_missing_is_named() -> None:
    """The pods of the view have other UIDs than those that were deleted."""
    gone = tuple(
        PodRecord(
            name=f"diego-api-{n}", uid=f"old-{n}", statefulset="diego-api", state=PodState.DELETED, intended_at=NOON
        )
        for n in (0, 1)
    )
    assert wait_of(during(Step.AWAIT_READY, pods=gone)).text == "2 of 2 new pods ready; no pod is labelled active yet"
    assert wait_of(during(Step.AWAIT_READY, pods=gone, view=seen())).text == "2 of 2 new pods ready"


def test_an_old_view_says_nothing_of_the_pods() -> None:
    of = during(Step.AWAIT_READY, pods=listed(intended=2, deleted=2), view=seen(ago=61))
    assert wait_of(of).text == "how many pods of diego-api are ready is unknown"


def test_a_deadline_at_the_end_of_the_calendar_is_no_error() -> None:
    last = NOON.replace(year=9999, month=12, day=31, hour=23, minute=59)
    wait = wait_of(during(Step.AWAIT_APPROVAL, approval=Approval(requested=last)))
    assert wait.share(MINUTE) == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (252, "4 min 12 s"), (3900, "1 h 5 min")]
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_wait_is_never_more_than_over() -> None:
    wait = Wait("x", NOON, NOON + timedelta(seconds=10))
    assert [wait.share(at(seconds)) for seconds in (-1, 0, 5, 10, 99)] == [0, 0, 0.5, 1, 1]
    assert Wait("x", NOON, NOON).share(NOON) == 1
    assert Wait("x", NOON).share(NOON) is None
