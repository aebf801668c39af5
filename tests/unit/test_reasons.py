"""Why runs end: a closed list, each with a sentence, and docs/runs.md has exactly these."""

import re
from pathlib import Path

import pytest

from webhook.record.advice import NEXT
from webhook.record.reasons import PASSING_REFUSALS, RunReason, reason_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "runs.md"


@pytest.mark.parametrize("reason", RunReason)
def test_every_reason_has_a_sentence(reason: RunReason) -> None:
    assert re.fullmatch(r"[A-Z].{15,}\.", reason.sentence)


def test_every_reason_is_one_word_and_no_two_share_a_sentence() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", reason) for reason in RunReason)
    assert len({reason.sentence for reason in RunReason}) == len(RunReason)


def test_the_document_lists_exactly_these_with_their_sentences() -> None:
    section = DOCUMENT.read_text().partition("### Every reason\n")[2].partition("\n#")[0]

    rows = re.findall(r"^\| `([^`]*)` \| (.*) \| (.*) \|$", section, re.MULTILINE)

    assert rows == [(reason.value, reason.sentence, NEXT[reason]) for reason in RunReason]


@pytest.mark.parametrize("reason", RunReason)
@pytest.mark.parametrize(
    "place", ["", " diego-api-1", " diego-api-1 container bbs (CrashLoopBackOff)", " after 1 of 2"]
)
def test_a_reason_is_read_from_a_record_whatever_its_place(reason: RunReason, place: str) -> None:
    assert reason_of(f"{reason}{place}") is reason


@pytest.mark.parametrize("text", ["", "of-another-version", "not", "unreachable-again", "Reachable", " reachable"])
def test_what_is_no_reason_is_none(text: str) -> None:
    assert reason_of(text) is None


def test_refusals_that_need_a_person_do_not_pass() -> None:
    by_a_person = {RunReason.PAUSED, RunReason.EXCLUDED, RunReason.SCALED_DOWN, RunReason.MAX_PODS}

    assert not PASSING_REFUSALS & by_a_person
    assert len(PASSING_REFUSALS) == 4
