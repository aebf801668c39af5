"""What is wanted: refused for a reason that passes, and decided again when the time comes."""

import msgspec
import pytest

from tests.support.decisions import CF, EMPTY, PAUSED, asked, request_of, run, started, wanted
from tests.support.moments import at, firing, resolved
from webhook.record import journal as journals
from webhook.requests.decision import Verdict, Why, reconsider


def test_what_is_wanted_is_decided_again_when_the_time_comes() -> None:
    early, nothing = reconsider(wanted(), CF, at(989.999))
    assert (nothing, early) == (None, wanted())

    journal, decision = reconsider(wanted(), CF, at(990))

    assert decision is not None
    assert (decision.verdict, decision.why) == (Verdict.RUN, Why.ASKED)
    opened = started(journal, 990).open_run
    assert opened is not None
    assert opened.alerts == {"a": True}


def test_an_alert_that_comes_again_meanwhile_does_not_shorten_the_wait() -> None:
    journal, decision = asked(wanted(), 600, firing("a"), firing("b"))

    assert decision == (Verdict.REFUSE, Why.COOLDOWN)
    assert {key: each.heard for key, each in request_of(journal).alerts.items()} == {"a": at(600), "b": at(600)}
    assert request_of(journal).due == at(990)


def test_a_resolved_takes_one_of_several_alerts_out() -> None:
    journal, decision = asked(wanted(firing("a"), firing("b")), 600, resolved("a", ended=590))

    assert decision is None
    assert list(request_of(journal).alerts) == ["b"]
    assert (request_of(journal).due, request_of(journal).waits_for) == (at(990), "cooldown")


def test_what_is_wanted_goes_when_all_its_alerts_are_resolved() -> None:
    journal, decision = asked(wanted(firing("a"), firing("b")), 600, resolved("a", ended=590), resolved("b", ended=595))

    assert (journal.request, decision) == (None, None)


def test_a_resolved_of_another_alert_changes_nothing() -> None:
    journal, _ = asked(wanted(), 600, resolved("other", ended=590))

    assert journal.request == wanted().request


def test_what_is_wanted_goes_when_nobody_was_heard_of_for_its_time() -> None:
    """request_ttl is 20 minutes: heard of at 500, so expired after 1700."""
    late = msgspec.structs.replace(wanted(), request=msgspec.structs.replace(request_of(wanted()), due=at(1700)))

    _, in_time = reconsider(late, CF, at(1700))
    journal, decision = reconsider(late, CF, at(1700.001))

    assert in_time is not None
    assert in_time.verdict is Verdict.RUN
    assert (journal.request, decision) == (None, None)
    assert journal.notes[-1].text == "a wanted request expired: unheard of"


def test_only_those_that_are_heard_of_go_on_asking() -> None:
    """The alert `a` was heard of at 500, `b` at 600 as well."""
    journal, _ = asked(wanted(firing("a"), firing("b")), 600, firing("b"))

    journal, _ = reconsider(journal, CF, at(1750))

    assert list(request_of(journal).alerts) == ["b"]


def test_where_nothing_is_asked_there_is_nothing_to_decide() -> None:
    assert reconsider(EMPTY, CF, at(0)) == (EMPTY, None)


def test_what_is_wanted_waits_again_for_what_has_come_between() -> None:
    """A person's run has ended meanwhile, without a delete."""
    journal = msgspec.structs.replace(wanted(), runs=(run(ended=980),), disruptions=())

    journal, decision = reconsider(journal, CF, at(990))

    assert decision is not None
    assert (decision.verdict, decision.why) == (Verdict.REFUSE, Why.RETRY)
    assert (request_of(journal).due, request_of(journal).waits_for) == (at(1040), "retry")


@pytest.mark.parametrize("say", ["resume", "reset"])
def test_after_resume_and_reset_nothing_old_is_replayed(say: str) -> None:
    person_says = {
        "resume": lambda: journals.resume(
            journals.pause(wanted(), by="ann", reason="", now=at(600)), by="ann", now=at(700)
        ),
        "reset": lambda: journals.reset(wanted(), by="ann", now=at(700)),
    }
    journal = person_says[say]()

    assert reconsider(journal, CF, at(990)) == (journal, None)
    assert asked(journal, 990, firing())[1] == (Verdict.RUN, Why.ASKED)


def test_what_was_asked_while_it_was_paused_is_not_replayed() -> None:
    journal, _ = asked(PAUSED, 100, firing())
    journal = journals.resume(journal, by="ann", now=at(200))

    assert reconsider(journal, CF, at(10_000)) == (journal, None)
