"""What `watch` and `run` show in a terminal: sentences, without a terminal."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.serving import html
from tests.support.journals import listed, open_run
from tests.support.moments import NOON, alert, at
from tests.support.statuses import NOW, cf, known, seen
from webhook.operator.layout import Row, rows
from webhook.operator.lines import SYMBOLS, Section
from webhook.operator.screen import end_printed, left_to_do, screen, step_printed
from webhook.operator.sight import Sight
from webhook.record import changes
from webhook.record.journal import Journal, Outcome, Request, Run, Step, StepRecord, StepResult
from webhook.status.known import Known

OK = StepResult.OK
PROVED = (
    StepRecord(name=Step.CHECK_CLOUD_CONTROLLER, started=at(30), ended=at(30), result=OK, detail="2 of 2 api pods"),
    StepRecord(name=Step.CONFIRM_UNREACHABLE, started=at(30), ended=at(45), result=OK, detail="unreachable: refused"),
    StepRecord(name=Step.RESTART, started=at(45), ended=at(50), result=OK, detail="diego-api-0 deleted"),
)
AWAITS = open_run(
    started=at(30),
    steps=(*PROVED, StepRecord(name=Step.AWAIT_READY, started=at(50))),
    step=Step.AWAIT_READY,
    proved_at=at(45),
    pods=listed(intended=2, deleted=2),
    requested_by="Alert-a",
)
RECOVERED = open_run(
    id="cf-0", outcome=Outcome.RECOVERED, detail="restarted, and every check passed", started=at(10), ended=at(17)
)


def sight(of: Known | None = None, *, read: float | None = 1, **changes: Any) -> Sight:
    """The journal was read so many seconds ago."""
    return Sight(of or known(), journal_at=None if read is None else NOW - read, **changes)


def journal(*runs: Run, **changes: Any) -> Journal:
    return Journal(foundation="cf", runs=runs, **changes)


def text(row: Row) -> str:
    bar = "" if row.done is None else "█" * row.done + "░" * (20 - row.done) + " "
    return f"{row.lead}{bar}{row.text}".rstrip()


def shown(sections: list[Section], *, width: int = 200, height: int = 100) -> list[str]:
    return [text(row) for row in rows(sections, width=width, height=height)]


def test_the_symbols_are_those_of_the_pages() -> None:
    assert SYMBOLS == html.SYMBOLS


def test_a_healthy_foundation() -> None:
    assert shown(screen([sight(known(journal=journal(RECOVERED)))])) == [
        "✓ cf HEALTHY. The BBS is reachable.",
        "  Repair  An alert starts a run; none is in progress (mode `auto`).",
        "  You     Nothing to do.",
        "",
        "  ✓ diego-api-0  2/2 Running  labelled active      accepts connections",
        "  ✓ diego-api-1  2/2 Running  not labelled active  does not accept connections",
        "",
        "  ✓ BBS, probed from here (diego-api.cf.svc.cluster.local:8889), 1 s ago: reachable (success)",
        "  ✓ Service: diego-api, ready endpoints: 10.0.0.1",
        "  ✓ Cloud Controller: 2 of 2 ready (api-0 2/2 Running, api-1 2/2 Running)",
        "  ✓ Kubernetes API, 1 s ago: in sync",
        "",
        "  Last runs",
        "    ✓ recovered, took 7 s, 50 s ago (2026-01-31 12:00:10Z): Restarted, and every check passed. cf-0",
    ]


def test_a_run_in_progress_shows_what_it_waits_for_and_until_when() -> None:
    found = shown(screen([sight(known(seen(reachable=False), journal(AWAITS)))]))
    assert found[:18] == [
        "↻ cf BEING REPAIRED. The BBS is unreachable: apps cannot be staged.",
        "  Repair  A run is in progress: wait until the new pods are ready.",
        "  You     Nothing now: wait for the end of the run.",
        "",
        "  Run cf-1, for 30 s, requested by Alert-a",
        "    ✓ Check that the Cloud Controller's api pods are ready: ok, 0 s",
        "      2 of 2 api pods",
        "    ✓ Prove from inside the api pods that the BBS is unreachable: ok, 15 s",
        "      unreachable: refused",
        "    ✓ Restart the pods: ok, 5 s",
        "      diego-api-0 deleted",
        "    ↻ Wait until the new pods are ready: in progress",
        "      █░░░░░░░░░░░░░░░░░░░ 4 min 30 s left, until 12:05:30Z",
        "      0 of 2 new pods ready; still terminating: diego-api-0 (grace 600s, node node-1)",
        "    ○ Verify that the BBS is reachable",
        "",
        "  ! no-active-leader: no diego-api pod is labelled skiff-role-active=true",
        "  ! nobody-serves: no diego-api pod accepts connections on its own address",
    ]
    assert "  No run has ended yet." in found


def test_what_is_wanted_and_what_is_on_record_without_a_run() -> None:
    made = changes.note(
        journal(request=Request(due=at(90), alerts={"a": alert()}, waiting_for="retry")), "refused", at(5)
    )
    found = shown(screen([sight(known(seen(reachable=False), made))]))
    assert "  Wanted  a run, by Alert-a; decided at 2026-01-31 12:01:30Z, because of the retry" in found
    assert found[-2:] == ["  On record without a run", "    refused, 55 s ago (2026-01-31 12:00:05Z)"]


def test_what_is_old_is_never_shown_as_it_is_now() -> None:
    """Within `staleness` with its age; after that it is unknown."""
    of = known(seen(ago=12), error="connection refused")
    found = shown(screen([sight(of, read=12)]))
    assert found[:2] == [
        "? cf LAST KNOWN: HEALTHY. The BBS is reachable.",
        "  ? NOT LIVE, trying again: connection refused. Pods: as of 12 s ago; journal: as of 12 s ago.",
    ]
    asks = "Does the cluster answer? `kubectl get pod -n cf`. `diego-runbook check cf` names what is missing."
    assert f"  You     {asks}" in found
    assert "  Pods as of 12 s ago:" in found

    of = known(seen(reachable=False, ago=12), journal(AWAITS), error="connection refused")
    found = shown(screen([sight(of, read=14)]))
    assert found[0] == "? cf LAST KNOWN: BEING REPAIRED. The BBS is unreachable: apps cannot be staged."
    assert "  Run cf-1, for 30 s, requested by Alert-a (as of 14 s ago)" in found
    assert "  Found as of 12 s ago:" in found

    old = shown(screen([sight(known(seen(ago=61), error="connection refused"), read=61)]))
    assert old[0] == "? cf LAST KNOWN: UNKNOWN. It is unknown whether the BBS is reachable."
    assert "Pods: unknown" in old[1]
    assert not [line for line in old if "diego-api-0" in line]


def test_what_was_never_known_is_not_called_the_last_known() -> None:
    """Nor what is too old to be shown. What is probed from here is known all the same."""
    nothing = replace(seen(), synced=False, synced_at=None, components={})
    of = replace(known(nothing, error="timed out"), journal=None, trouble="timed out")
    found = shown(screen([sight(of, read=None)]))
    assert found[:2] == [
        "? cf JOURNAL NOT READABLE. The BBS is reachable.",
        "  ? NOTHING KNOWN of pods and journal, trying again: timed out.",
    ]

    of = replace(known(seen(ago=61), error="timed out"), journal=None, trouble="timed out")
    found = shown(screen([sight(of, read=61)]))
    assert found[0].startswith("? cf JOURNAL NOT READABLE.")
    assert found[1] == "  ? NOT LIVE, trying again: timed out. Pods: unknown; journal: unknown."


def test_a_server_that_is_only_silent_is_not_live_either() -> None:
    """It accepts requests and does not answer: no call has failed yet."""
    assert sight(read=5).live
    found = shown(screen([sight(read=6)]))
    assert (
        "NOT LIVE, trying again: the API server does not answer. Pods: as of 1 s ago; journal: as of 6 s ago."
        in found[1]
    )


def test_before_the_first_answer_it_asks() -> None:
    found = shown(screen([sight(known(seen(None), error=""), read=None, tried=False)]))
    assert found[1] == "  ? Asking the API server …"


def test_of_several_foundations_trouble_comes_first_and_the_healthy_have_a_line() -> None:
    other = known(seen(reachable=False), settings=cf(name="other"))
    found = shown(screen([sight(), sight(other), sight(read=6)]))
    heads = [line for line in found if line.startswith(("✓ ", "✕ ", "? "))]
    assert [head.split(".")[0] for head in heads] == ["✕ other BROKEN", "✓ cf HEALTHY", "? cf LAST KNOWN: HEALTHY"]
    assert found[found.index("✓ cf HEALTHY. The BBS is reachable.") + 1] in {
        "",
        "? cf LAST KNOWN: HEALTHY. The BBS is reachable.",
    }


def test_a_clock_that_is_wrong_is_named() -> None:
    found = shown(screen([sight(skew=120.0)]))
    assert "  ! Clock: this machine's differs by +120 s from the API server's, which is used here" in found


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b[31mgone", "[bold red]gone[/]", "a\nb", "\u202egone"])
def test_what_a_cluster_says_is_text_and_nothing_else(hostile: str) -> None:
    of = known(journal=changes.pause(journal(), by="ann", reason=hostile, now=NOON))
    found = shown(screen([sight(of)]))
    assert all(line.isprintable() for line in found)
    assert "gone" in "".join(found) or "a b" in "".join(found)


# ---- run


def test_below_the_steps_that_are_printed_stands_what_is_left() -> None:
    done = [step.started for step in PROVED]
    found = shown(left_to_do(sight(known(seen(reachable=False), journal(AWAITS))), {*done, at(30)}))
    assert found == [
        "↻ Wait until the new pods are ready: in progress",
        "  █░░░░░░░░░░░░░░░░░░░ 4 min 30 s left, until 12:05:30Z",
        "  0 of 2 new pods ready; still terminating: diego-api-0 (grace 600s, node node-1)",
        "○ Verify that the BBS is reachable",
        "",
        "  ✓ diego-api-0  2/2 Running  not labelled active  does not accept connections",
        "  ✓ diego-api-1  2/2 Running  not labelled active  does not accept connections",
    ]
    assert shown(left_to_do(sight(), set())) == ["↻ The run has not begun yet."]
    assert shown(left_to_do(sight(), {NOON})) == []


def test_a_step_that_has_ended_is_printed_whole() -> None:
    assert shown([step_printed(PROVED[1])]) == [
        "✓ 12:00:30Z  Prove from inside the api pods that the BBS is unreachable: ok, 15 s",
        "  unreachable: refused",
    ]


def test_the_end_of_a_run_says_what_to_look_at_next() -> None:
    failed = open_run(outcome=Outcome.FAILED, reason="no-active-label", detail="waiting for diego-api", ended=at(90))
    assert shown([end_printed(failed)]) == [
        "✕ failed (no-active-label): waiting for diego-api",
        "  Next  No BBS got the lock: look at Locket, its database, and at who holds the lock.",
        "  More  diego-runbook show cf-1",
    ]
