"""The next step after a `check`: one thing, and what all the rest depends on comes first."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.foundation.view import Component, FoundationView, Probe, ProbeResult
from exporter.kubernetes.api import ApiError, ApiUnreachableError
from tests.support.foundations import foundation
from tests.support.journals import open_run
from tests.support.moments import NOON
from tests.support.views import NOW, a_pod, component, reading, view
from webhook.operator.check_advice import after_check
from webhook.operator.checkup import Checkup
from webhook.operator.permissions import Permission
from webhook.operator.report import checkup_lines
from webhook.operator.structured import public_checkup
from webhook.record import changes
from webhook.record.errors import JournalLostError
from webhook.record.journal import Journal
from webhook.record.reasons import RunReason
from webhook.runbook.cloud_controller import Attempt, PodAnswer

CF = foundation(
    context="eu-1", remediation={"mode": "auto", "confirm": {"attempts": 1}}, database={"host": "db", "port": 5432}
)
LEADER = a_pod("diego-api", 0, active="true")
PASSIVE = a_pod("diego-api", 1, active="false")
INCIDENT = view(component("diego-api", LEADER, PASSIVE))
HEALTHY = view(component("diego-api", LEADER, PASSIVE), ready_endpoints=("10.0.0.1",), diego_api_0=True)
NO_API = replace(HEALTHY, components={**HEALTHY.components, "api": Component("api", None)})
OBSERVING = foundation(remediation={"mode": "observe", "confirm": {"attempts": 1}})
EMPTY = Journal(foundation="cf")
LACKING = (Permission("delete", "", "pods", name="diego-api-0"),)
RIGHTS = "ask for these permissions: `diego-runbook manifests cf` prints Roles that have them"


def answered(*reachable: bool | None, reason: RunReason | None = None) -> Attempt:
    results = {True: ProbeResult.SUCCESS, False: ProbeResult.REFUSED, None: ProbeResult.ERROR}
    return Attempt(
        tuple(
            PodAnswer(f"api-{number}", Probe(results[each], at=NOW), each, reason)
            for number, each in enumerate(reachable)
        )
    )


def checkup(seen: FoundationView | None, *attempts: Attempt, **more: Any) -> Checkup:
    made = Checkup(foundation=CF, view=seen, attempts=attempts, lacking=(), journal=EMPTY, trouble=(), at=NOW)
    return replace(made, **more)


REACHED, NOT_REACHED = answered(True, True), answered(False, False)


@pytest.mark.parametrize(
    ("made", "advice"),
    [
        (checkup(HEALTHY, REACHED), ""),
        (
            checkup(None, errors=(ApiUnreachableError("timed out"),), lacking=LACKING),
            "does the cluster answer? kubectl --context=eu-1 get pod -n cf",
        ),
        (checkup(HEALTHY, REACHED, errors=(ApiError(403, "Forbidden", ""),)), RIGHTS),
        (checkup(HEALTHY, REACHED, lacking=LACKING), RIGHTS),
        (
            checkup(HEALTHY, REACHED, journal=None, errors=(JournalLostError("gone"),)),
            "find out who removed or replaced the journal, then `diego-runbook reset cf`",
        ),
        (checkup(HEALTHY), "look at the api pods first: `kubectl describe pod`"),
        (
            checkup(HEALTHY, answered(None, reason=RunReason.NC_MISSING)),
            "set `cloud_controller.container` to a container that has `nc`",
        ),
        (
            checkup(HEALTHY, answered(True, False)),
            "look at the network of the nodes on which these api pods run",
        ),
        (
            checkup(INCIDENT, answered(True, False)),
            "if it is still so in some minutes: kubectl --context=eu-1 get pod -n cf -L skiff-role-active",
        ),
        (
            checkup(INCIDENT, NOT_REACHED),
            "`diego-runbook run cf`, or wait for the alert; by hand: `diego-runbook explain cf`",
        ),
        (checkup(INCIDENT, NOT_REACHED, foundation=OBSERVING), "restart by hand: `diego-runbook explain cf`"),
        (
            checkup(INCIDENT, NOT_REACHED, journal=changes.pause(EMPTY, by="ann", reason="x", now=NOON)),
            "`diego-runbook resume cf` when the work is done",
        ),
        (
            checkup(INCIDENT, NOT_REACHED, journal=Journal(foundation="cf", runs=(open_run(),))),
            "`diego-runbook watch cf` shows the run in progress",
        ),
        (
            checkup(HEALTHY, NOT_REACHED),
            "do not restart: a BBS works. Look at the active label and at the Service's endpoints",
        ),
        (
            checkup(replace(INCIDENT, database=reading(reachable=False)), REACHED),
            "look at Locket's database: without it no BBS can lead",
        ),
        (
            checkup(NO_API, REACHED),
            "compare `profile` in the config with: kubectl --context=eu-1 get statefulset -n cf",
        ),
    ],
)  # fmt: skip
def test_the_next_step(made: Checkup, advice: str) -> None:
    assert after_check(made) == advice
    assert public_checkup(made)["next"] == advice
    last = checkup_lines(made)[-1]
    assert last == f"next: {advice}" if advice else last.startswith("=> ")
