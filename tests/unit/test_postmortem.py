"""`diego-runbook report`: a draft that claims nothing that is not on record."""

import json

import msgspec
import pytest
import yaml

from tests.support.journals import listed, open_run
from tests.support.moments import NOON, at
from webhook.operator.postmortem import facts, postmortem
from webhook.operator.structured import JSON, YAML, structured
from webhook.record.journal import AlertRecord, Approval, Outcome, PodState, Run, Step, StepRecord, StepResult

STEPS = (
    StepRecord(
        name=Step.CONFIRM_UNREACHABLE, started=at(1), ended=at(31), result=StepResult.OK, detail="refused | 4 times"
    ),
)
RECOVERED = open_run(
    alerts={"f": AlertRecord(alertname="DiegoBBSUnreachable", starts_at=at(-70), last_seen=at(0))},
    requested_by="DiegoBBSUnreachable",
    steps=STEPS,
    proved_at=at(31),
    pods=tuple(msgspec.structs.replace(pod, state=PodState.DELETED, intended_at=at(32)) for pod in listed(intended=0)),
    outcome=Outcome.RECOVERED,
    ended=at(60),
    detail="restarted, and every check passed",
    evidence="diego-api-0/bbs:\n  lost-lock",
)


def draft(run: Run) -> str:
    return postmortem(facts(run, now=NOON))


def test_a_recovered_run_has_its_whole_story_in_order() -> None:
    text = draft(RECOVERED)

    assert "**The run ended as `recovered` after 60 s.** restarted, and every check passed" in text
    told = [
        "alert DiegoBBSUnreachable starts",
        "run starts",
        "step confirm-unreachable starts",
        "delete of",
        "run ends",
    ]
    assert sorted(told, key=text.index) == told
    assert "deleted by this run" in text
    assert "  lost-lock" in text
    assert "- TODO root cause" in text


@pytest.mark.parametrize("output", [JSON, YAML])
def test_the_facts_are_the_same_for_a_program(output: str) -> None:
    """These fields are documented. What is not on record is null."""
    found = yaml.safe_load(structured(facts(RECOVERED, now=NOON), output))

    assert [each["text"] for each in found.pop("timeline")] == [
        "alert DiegoBBSUnreachable starts, by the clock of its sender",
        "run starts in mode auto, requested by DiegoBBSUnreachable",
        "step confirm-unreachable starts",
        "step confirm-unreachable: ok, refused | 4 times",
        *(f"delete of {pod.name} on record, right before it is sent" for pod in RECOVERED.pods),
        "run ends: recovered",
    ]
    pods = [
        {"name": pod.name, "uid": pod.uid, "state": "deleted", "became": "deleted by this run"}
        for pod in RECOVERED.pods
    ]
    assert (found.pop("pods"), found.pop("symptom").split(",")[0]) == (pods, "Users saw `cf push` fail with HTTP 503")
    assert found.pop("not_known")[0].startswith("Why the lock was lost.")
    assert found == {
        "foundation": "cf",
        "run": RECOVERED.id,
        "written": "2026-01-31T12:00:00Z",
        "mode": "auto",
        "requested_by": "DiegoBBSUnreachable",
        "started": "2026-01-31T12:00:00Z",
        "ended": "2026-01-31T12:01:00Z",
        "seconds": 60.0,
        "step": None,
        "outcome": "recovered",
        "reason": "",
        "cause": None,
        "detail": "restarted, and every check passed",
        "proved_at": "2026-01-31T12:00:31Z",
        "evidence": "diego-api-0/bbs:\n  lost-lock",
        "to_do": ["impact: number of failed `cf push`, affected users", "root cause", "what prevents the next one"],
    }


def test_a_run_that_has_not_ended_claims_no_end() -> None:
    found = json.loads(structured(facts(open_run(step=Step.CONFIRM_UNREACHABLE, pods=()), now=NOON), JSON))

    assert (found["step"], found["outcome"], found["ended"], found["seconds"]) == ("confirm-unreachable", *[None] * 3)
    assert (found["symptom"], found["proved_at"], found["evidence"], found["pods"]) == (None, None, None, [])


def test_a_run_that_did_not_repair_claims_no_repair() -> None:
    failed = msgspec.structs.replace(RECOVERED, outcome=Outcome.FAILED, reason="no-active-label")
    text = draft(failed)

    assert "When and how the foundation was repaired. This run did not do it." in text
    assert "Reason `no-active-label`: No diego-api pod was labelled active in time." in text
    assert "This run did not do it" not in draft(RECOVERED)


def test_an_unanswered_delete_is_unknown() -> None:
    run = msgspec.structs.replace(RECOVERED, pods=listed(intended=1), outcome=Outcome.FAILED)
    pod = next(pod for pod in run.pods if pod.state is PodState.INTENDED)

    assert f"- What became of {pod.name}." in draft(run)
    assert "- What became of" not in draft(RECOVERED)


def test_without_a_proof_no_symptom_is_claimed() -> None:
    unproven = open_run(outcome=Outcome.UNPROVEN, reason="exec-failed", ended=at(5))

    assert "CF-StagerUnavailable" not in draft(unproven)
    assert "The BBS was not proved unreachable." in draft(unproven)
    assert "CF-StagerUnavailable" in draft(RECOVERED)


@pytest.mark.parametrize("evidence", ["```\n# heading", "````", "a ``` b"])
def test_no_log_line_ends_its_block(evidence: str) -> None:
    lines = draft(msgspec.structs.replace(RECOVERED, evidence=evidence)).splitlines()
    fences = [number for number, line in enumerate(lines) if set(line) == {"`"} and len(line) >= 3]
    first, last = fences[0], fences[-1]
    assert lines[first] == lines[last]
    assert lines[first + 1 : last] == evidence.splitlines()
    assert lines[first] not in evidence.splitlines()


def test_a_detail_does_not_break_its_table() -> None:
    assert "refused \\| 4 times" in draft(RECOVERED)


def test_an_approval_is_told_with_who_gave_it() -> None:
    approved = msgspec.structs.replace(RECOVERED, approval=Approval(requested=at(31), by="ann", at=at(32)))
    assert "approved by ann" in draft(approved)


def test_a_run_in_progress_says_so() -> None:
    assert "The run has not ended. It is at the step before the first." in draft(open_run())
