"""What a person reads: the checkup, a run, and the history."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from exporter.foundation.view import FoundationView, Probe, ProbeResult
from tests.support.foundations import foundation
from tests.support.journals import listed, open_run
from tests.support.moments import NOON, at
from tests.support.views import NOW, a_pod, component, reading, view
from webhook.operator.checkup import Checkup
from webhook.operator.command_context import ExitCode
from webhook.operator.permissions import Permission
from webhook.operator.report import checkup_lines, drawn, examined, in_progress
from webhook.operator.run_report import history_lines, outcome_line, run_lines, step_line
from webhook.record import changes
from webhook.record.journal import Journal, Outcome, Run, Step, StepRecord, StepResult
from webhook.record.reasons import RunReason
from webhook.runbook.cloud_controller import Attempt, PodAnswer

CF = foundation(remediation={"mode": "auto", "confirm": {"attempts": 2, "interval": "1s"}})
LEADER = a_pod("diego-api", 0, active="true")
PASSIVE = a_pod("diego-api", 1, active="false")
INCIDENT = view(component("diego-api", LEADER, PASSIVE))
HEALTHY = view(component("diego-api", LEADER, PASSIVE), ready_endpoints=("10.0.0.1",), diego_api_0=True)
REFUSED = "nc: connect to diego-api.cf.svc.cluster.local port 8889 (tcp) failed: Connection refused"


def attempt(reachable: bool | None, reason: RunReason | None = None) -> Attempt:
    result = {True: ProbeResult.SUCCESS, False: ProbeResult.REFUSED, None: ProbeResult.ERROR}[reachable]
    words = {True: "succeeded!", False: REFUSED, None: "exec: 403 Forbidden"}[reachable]
    return Attempt((PodAnswer("api-0", Probe(result, at=NOW, detail=words), reachable, reason),))


def checkup(seen: FoundationView | None, *attempts: Attempt, journal: Journal | None = None, **changes: Any) -> Checkup:
    made = Checkup(foundation=CF, view=seen, attempts=attempts, lacking=(), journal=journal, trouble=(), at=NOW)
    return replace(made, **changes)


UNREACHABLE = (attempt(reachable=False), attempt(reachable=False))


def test_a_checkup_of_the_incident_teaches_it() -> None:
    paused = changes.pause(Journal(foundation="cf"), by="ann", reason="maintenance", now=NOON)

    assert checkup_lines(checkup(INCIDENT, *UNREACHABLE, journal=paused)) == [
        "foundation cf (namespace cf, profile cfee-2): the Cloud Controller can NOT reach the BBS",
        "",
        f"  asked in api-0 (2 times) {REFUSED}",
        "  cloud controller   api-0 2/2 Running, api-1 2/2 Running",
        "  diego-api-0        2/2 Running, labelled active, does not accept on port 8889",
        "  diego-api-1        2/2 Running, not labelled active, does not accept on port 8889",
        "  service            diego-api, ready endpoints: none",
        "  remediation        mode auto, PAUSED by ann since 2026-01-31 12:00:00Z: maintenance, no run yet",
        "",
        "finding nobody-serves: no diego-api pod accepts connections on its own address",
        "finding label-stale: diego-api-0 is labelled active and does not accept connections",
        "finding no-endpoint: Service diego-api has no ready endpoint",
        "=> the runbook would not start (paused): paused by ann (maintenance) until `resume`",
        "next: `diego-runbook resume cf` when the work is done",
    ]


def test_evidence_is_shown_where_it_is_configured() -> None:
    config = foundation(database={"host": "db", "port": 5432}, locket={"host": "locket", "port": 8891})
    seen = replace(HEALTHY, database=reading(reachable=True), locket=reading(reachable=False))
    lines = checkup_lines(checkup(seen, attempt(reachable=True), foundation=config))

    assert "  locket's database  success" in lines
    assert "  locket             refused" in lines
    assert "finding locket-unreachable: Locket locket:8891 does not accept connections: no BBS can lead" in lines
    assert not [line for line in checkup_lines(checkup(seen, attempt(reachable=True))) if "locket" in line.lower()]


@pytest.mark.parametrize(
    ("made", "exit_code", "conclusion"),
    [
        (checkup(HEALTHY, attempt(reachable=True)), ExitCode.OK, "nothing to do"),
        (checkup(INCIDENT, *UNREACHABLE), ExitCode.FAILED, "the runbook would delete diego-api-0, diego-api-1"),
        (
            checkup(INCIDENT, *UNREACHABLE, foundation=foundation(remediation={"confirm": {"attempts": 2}})),
            ExitCode.FAILED,
            "with no mode set the runbook would delete nothing; in mode `auto` it would delete diego-api-0, ",
        ),
        (checkup(INCIDENT, UNREACHABLE[0]), ExitCode.UNKNOWN, "the runbook would do nothing: unknown is no reason"),
        (
            checkup(INCIDENT, UNREACHABLE[0], attempt(reachable=True)),
            ExitCode.UNKNOWN,
            "the runbook would do nothing: unknown is no reason to delete a pod (flapping)",
        ),
        (
            checkup(INCIDENT, attempt(None, RunReason.EXEC_FAILED)),
            ExitCode.UNKNOWN,
            "the runbook would do nothing: unknown is no reason to delete a pod (exec-failed)",
        ),
        (
            checkup(None, trouble=("the foundation cannot be read: timed out",)),
            ExitCode.UNKNOWN,
            "the runbook would do nothing: unknown is no reason to delete a pod (no api pod could be asked)",
        ),
        (checkup(INCIDENT), ExitCode.UNKNOWN, "the runbook would do nothing"),
        (
            checkup(HEALTHY, attempt(reachable=True), trouble=("the journal cannot be read: gone",)),
            ExitCode.DEGRADED,
            "the runbook would not restart anything",
        ),
        (
            checkup(HEALTHY, attempt(reachable=True), lacking=(Permission("get", "", "pods"),)),
            ExitCode.DEGRADED,
            "the runbook would not restart anything",
        ),
        (
            checkup(INCIDENT, attempt(reachable=True)),
            ExitCode.DEGRADED,
            "the runbook would not restart anything: the BBS is reachable",
        ),
        (
            checkup(
                view(component("diego-api", LEADER, PASSIVE), diego_api_0=True, diego_api_1=True),
                attempt(reachable=True),
            ),
            ExitCode.DEGRADED,
            "the runbook would not restart anything: more than one BBS serves",
        ),
        (checkup(HEALTHY, *UNREACHABLE), ExitCode.FAILED, "the runbook would refuse (bbs-serving): diego-api-0"),
    ],
)  # fmt: skip
def test_the_conclusion_and_the_exit_code(made: Checkup, exit_code: ExitCode, conclusion: str) -> None:
    assert made.exit_code is exit_code
    (said,) = (line for line in checkup_lines(made) if line.startswith("=> "))
    assert said.startswith(f"=> {conclusion}")


def test_what_is_missing_or_in_trouble_is_told() -> None:
    lacking = (Permission("delete", "", "pods", name="diego-api-0"), Permission("get", "apps", "statefulsets"))
    made = checkup(
        replace(HEALTHY, bbs=reading(reachable=False)),
        attempt(reachable=True),
        lacking=lacking,
        trouble=("the journal cannot be read: gone",),
        foundation=foundation(remediation={"mode": None}),
        journal=msgspec.structs.replace(Journal(foundation="cf"), breaker_opened=NOON, runs=(open_run(),)),
    )

    lines = checkup_lines(made)

    assert "  trouble            the journal cannot be read: gone" in lines
    assert "  missing permission delete pods diego-api-0; get statefulsets.apps" in lines
    assert "  probe from here    refused (connected)" in lines
    told = "mode not set, BREAKER OPEN since 2026-01-31 12:00:00Z, last run cf-1: in progress (starting)"
    assert f"  remediation        {told}" in lines


def test_in_a_terminal_the_words_are_the_same() -> None:
    made = checkup(INCIDENT, *UNREACHABLE, trouble=("the journal cannot be read: gone",))
    told = [f"{line.lead}{line.text}" for line in drawn([made])]
    assert told == ["✕ " + checkup_lines(made)[0], *checkup_lines(made)[1:]]
    kinds = {line.lead.split()[0]: line.kind for line in drawn([made]) if line.lead}
    assert kinds == {"✕": "bad", "finding": "needs", "trouble": "needs"}

    healthy = checkup(HEALTHY, attempt(reachable=True))
    both = [f"{line.lead}{line.text}" for line in drawn([healthy, made])]
    assert both[-2:] == ["✓ cf  healthy", "✕ cf  BBS unreachable"]


def test_what_check_waits_for() -> None:
    """Two attempts, a second apart."""
    waits = in_progress(CF, [], NOON)
    assert (waits.text, waits.share) == ("reads, and asks from inside the Cloud Controller", None)
    waits = in_progress(CF, [NOON], at(0.5))
    assert (waits.text, waits.share) == ("about 0 s left; unreachable, attempt 1 of 2; next in 1 s", 0.5)
    done = examined(checkup(INCIDENT, *UNREACHABLE))
    assert (done.lead + done.text, done.kind) == ("✕ cf  BBS unreachable", "bad")


# ---- runs

STEPS = (
    StepRecord(name=Step.CHECK_CLOUD_CONTROLLER, started=at(0), ended=at(1), result=StepResult.OK, detail="2 of 2"),
    StepRecord(name=Step.CONFIRM_UNREACHABLE, started=at(1)),
)
ENDED = open_run(
    outcome=Outcome.FAILED,
    reason="no-active-label",
    detail="nobody leads",
    ended=at(90),
    steps=STEPS[:1],
    pods=listed(intended=2, deleted=1),
    requested_by="Alert-a",
    evidence="bbs:\n  lost the lock",
)


def test_a_step_in_a_line() -> None:
    assert [step_line(step) for step in STEPS] == [
        "12:00:00  check-cloud-controller  ok             1 s  2 of 2",
        "12:00:01  confirm-unreachable     …",
    ]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (open_run(), "in progress: starting"),
        (open_run(step=Step.RESTART), "in progress: restart"),
        (ENDED, "failed (no-active-label): nobody leads"),
        (open_run(outcome=Outcome.RECOVERED, ended=at(1)), "recovered"),
    ],
)
def test_the_outcome_in_a_line(run: Run, expected: str) -> None:
    assert outcome_line(run) == expected


def test_a_run_whole() -> None:
    assert run_lines(ENDED) == [
        "run cf-1 on foundation cf, mode auto, requested by Alert-a",
        "started 2026-01-31 12:00:00Z, ended 2026-01-31 12:01:30Z (90 s)",
        "",
        step_line(STEPS[0]),
        "  pod diego-api-0 diego-api-0-uid: deleted",
        "  pod diego-api-1 diego-api-1-uid: intended",
        "",
        "failed (no-active-label): nobody leads",
        "next: no BBS got the lock: look at Locket, its database, and at who holds the lock",
        "",
        "evidence:",
        "bbs:\n  lost the lock",
    ]


def test_the_history_newest_first_with_what_was_said_without_a_run() -> None:
    journal = Journal(foundation="cf", runs=(ENDED, open_run(id="cf-2", started=at(100))))
    for moment in (101, 102):
        journal = changes.note(journal, "refused", at(moment))
    journal = changes.pause(journal, by="ann", reason="maintenance", now=at(103))

    assert history_lines(journal) == [
        "2026-01-31 12:01:40Z        …  cf-2: in progress (starting)  requested by unknown",
        "2026-01-31 12:00:00Z     90 s  cf-1: failed (no-active-label)  requested by Alert-a",
        "",
        "without a run:",
        "2026-01-31 12:01:43Z  paused by ann: maintenance",
        "2026-01-31 12:01:42Z  refused (2 times)",
    ]
    assert history_lines(Journal(foundation="cf")) == ["no runs of cf yet"]
