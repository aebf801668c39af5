"""The intake: what is on record when Alertmanager is told so, and what it is told within eight seconds."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from exporter.kubernetes.api import ApiError
from tests.support.clocks import LoopClock
from tests.support.foundations import foundation
from tests.support.incident import FAST, Program
from tests.support.inprocess import JOURNAL, InProcessCluster, broken_foundation
from tests.support.moments import NOON, at
from webhook.medic.intake import Intake, Receipt
from webhook.metrics import HttpMetrics
from webhook.record import changes
from webhook.record.journal import AlertRecord, Journal, Outcome, Run
from webhook.requests.notification import Alert, Notification
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime

LABELS = {"alertname": "DiegoBBSUnreachable", "remediation": "restart-diego-api", "foundation": "cf"}
ASKED = "run: a run is allowed"


def alert(foundation: str = "cf", *, status: str = "firing", fingerprint: str = "f", **labels: str) -> Alert:
    return Alert(
        status=status,
        labels=LABELS | {"foundation": foundation} | labels,
        starts_at=at(-60),
        ends_at=at(-1) if status == "resolved" else None,
        fingerprint=fingerprint,
    )


class Desk:
    """The intake of a program with two foundations, each on a cluster of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.programs = {
            name: Program(broken_foundation(), foundation(name=name, remediation=FAST), registry=CollectorRegistry())
            for name in ("cf", "cf-2")
        }
        self.medics = {name: program.medic for name, program in self.programs.items()}
        self.intake = Intake(
            medics=self.medics,
            clock=LoopClock(NOON.timestamp()),
            metrics=HttpMetrics(self.registry),
        )

    @property
    def writer(self) -> Any:
        return self.programs["cf"].writer

    def cluster(self, name: str = "cf") -> InProcessCluster:
        return self.programs[name].cluster

    def on_record(self, name: str = "cf") -> list[str]:
        """The alerts of the request that is on record."""
        if JOURNAL not in self.cluster(name).config_maps:
            return []
        request = self.cluster(name).journal().request
        return [] if request is None else list(request.alerts)

    async def take(self, *alerts: Alert) -> Receipt:
        return await self.intake.take(Notification(version="4", alerts=list(alerts)))

    def alerts(self, status: str, reason: str) -> float | None:
        labels = {"status": status, "reason": reason}
        return self.registry.get_sample_value("diego_webhook_alerts_total", labels)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_202_is_said_of_what_is_on_record(desk: Desk) -> None:
    assert await desk.take(alert()) == Receipt(202, {"cf": ASKED})
    assert desk.on_record() == ["f"]
    assert desk.alerts("firing", "asks") == 1


async def test_a_foundation_that_a_reload_takes_away_meanwhile_is_still_recorded(desk: Desk) -> None:
    """It was known when the notification was read, and the answer must not be an error of ours."""
    taking = asyncio.create_task(desk.take(alert()))
    await asyncio.sleep(0)  # it has read the alerts, and records none yet
    del desk.medics["cf"]

    assert await taking == Receipt(202, {"cf": ASKED})


@pytest.mark.parametrize(
    ("alerts", "reason"),
    [
        ((), None),
        ((alert(remediation="other"),), "no-remediation"),
        ((alert(remediation=""),), "no-remediation"),
        ((alert(""),), "no-foundation"),
        ((alert("elsewhere"),), "unknown-foundation"),
    ],
)
async def test_200_is_said_where_there_is_nothing_to_record(
    desk: Desk, alerts: tuple[Alert, ...], reason: str | None
) -> None:
    assert await desk.take(*alerts) == Receipt(200, {})
    assert desk.writer.calls.total() == 0
    if reason is not None:
        assert desk.alerts("firing", reason) == 1


async def test_a_late_duplicate_leaves_nothing_to_record(desk: Desk) -> None:
    await desk.take(alert(status="resolved"))

    assert await desk.take(alert()) == Receipt(200, {})
    assert desk.alerts("firing", "late-duplicate") == 1


async def test_a_resolved_is_on_record_as_well(desk: Desk) -> None:
    await desk.take(alert())

    assert await desk.take(alert(status="resolved")) == Receipt(202, {"cf": "resolved"})
    assert desk.on_record() == []
    assert desk.alerts("resolved", "resolved") == 1


async def test_one_notification_may_concern_several_foundations(desk: Desk) -> None:
    receipt = await desk.take(alert("cf"), alert("cf-2"), alert("elsewhere"), alert("cf", remediation="other"))

    assert receipt == Receipt(202, {"cf": ASKED, "cf-2": ASKED})
    assert [desk.on_record(name) for name in ("cf", "cf-2")] == [["f"], ["f"]]
    assert [desk.alerts("firing", reason) for reason in ("asks", "unknown-foundation", "no-remediation")] == [2, 1, 1]


async def test_a_refusal_is_an_answer(desk: Desk) -> None:
    """202: that it is wanted, or why not, is on record, and to send it again would change nothing."""
    paused = changes.pause(Journal(foundation="cf"), by="ann", reason="maintenance", now=at(0))
    desk.cluster().put_journal(paused)

    receipt = await desk.take(alert())

    assert receipt == Receipt(202, {"cf": "refuse: paused by ann (maintenance) until `resume`"})
    assert desk.cluster().journal().notes[-1].text.startswith("DiegoBBSUnreachable refused: paused")
    decided = desk.programs["cf"].metric("diego_remediation_decisions_total", decision="refuse", reason="paused")
    assert decided == 1


async def test_a_run_is_counted_by_whoever_decides_it(desk: Desk) -> None:
    await desk.take(alert())

    decided = desk.programs["cf"].metric("diego_remediation_decisions_total", decision="run", reason="asked")
    assert decided == 0


async def test_two_hundred_at_once_are_one_request_and_a_handful_of_writes(desk: Desk) -> None:
    receipts = await asyncio.gather(*(desk.take(alert()) for _ in range(200)))

    assert receipts == [Receipt(202, {"cf": ASKED})] * 200
    assert desk.on_record() == ["f"]
    assert desk.writer.calls["create configmaps"] + desk.writer.calls["update configmaps"] <= 3


async def test_who_joins_a_run_joins_the_one_that_is_there_now(desk: Desk) -> None:
    """By the memory of this replica a run is under way; another has ended it a moment ago."""
    record = AlertRecord(alertname="A", starts_at=at(-60), last_seen=at(0))
    began = Run(
        id="cf-1", foundation="cf", runbook="restart-diego-api", mode="auto", started=at(0), alerts={"f": record}
    )
    desk.cluster().put_journal(Journal(foundation="cf", runs=(began,)))
    assert (await desk.take(alert())).decisions == {"cf": "join: run cf-1 is in progress"}
    ended = msgspec.structs.replace(began, outcome=Outcome.UNPROVEN, ended=at(0))
    desk.cluster().put_journal(Journal(foundation="cf", runs=(ended,)))

    receipt = await desk.take(alert())

    assert receipt.decisions == {
        "cf": "refuse: the previous run ended less than 60 s ago; next attempt at 12:01:00 UTC"
    }
    assert desk.on_record() == ["f"]


# ---- 503: not on record, send it again


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", "configmaps"), ApiError(500, "InternalError", "")])
async def test_503_is_said_of_what_could_not_be_recorded(desk: Desk, error: Exception) -> None:
    desk.writer.fail("create configmaps", error)

    assert await desk.take(alert()) == Receipt(503, {"cf": "could not be recorded"})
    assert desk.alerts("firing", "not-recorded") == 1
    assert desk.alerts("firing", "asks") == 0

    assert (await desk.take(alert())).status == 202


async def test_a_resolved_that_could_not_be_recorded_comes_again_too(desk: Desk) -> None:
    desk.writer.fail("create configmaps")

    assert (await desk.take(alert(status="resolved"))).status == 503
    assert desk.alerts("resolved", "not-recorded") == 1


@pytest.mark.parametrize(("owner", "reason"), [("other", "foreign-journal"), ("cf", "journal-lost")])
async def test_a_journal_that_can_not_be_used_records_nothing(desk: Desk, owner: str, reason: str) -> None:
    desk.cluster().write_config_map(JOURNAL, {"foundation": owner, "journal.json": "junk"})

    receipt = await desk.take(alert())

    assert receipt.status == 503
    decided = desk.programs["cf"].metric("diego_remediation_decisions_total", decision="refuse", reason=reason)
    assert decided == 1


async def test_an_api_server_that_hangs_is_answered_for_in_eight_seconds(desk: Desk) -> None:
    desk.writer.slow(3600)

    receipts = await asyncio.gather(*(desk.take(alert()) for _ in range(20)))

    assert receipts == [Receipt(503, {"cf": "could not be recorded"})] * 20
    assert asyncio.get_running_loop().time() == DEFAULT.notification == 8


async def test_an_api_server_that_is_slow_is_waited_for(desk: Desk) -> None:
    """The journal and the lease that remembers it are read, and the journal is written: a second each way."""
    desk.cluster().put_journal(Journal(foundation="cf"))
    desk.writer.slow(1)

    assert (await desk.take(alert())).status == 202
    assert asyncio.get_running_loop().time() == 6


async def test_who_came_later_has_his_own_eight_seconds(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The first holds the pen and is cut off; the second goes on, and the API server is back in time for it."""
    desk.writer.slow(3600)
    first = asyncio.create_task(desk.take(alert(fingerprint="first")))
    await asyncio.sleep(5)
    second = asyncio.create_task(desk.take(alert(fingerprint="second")))
    await asyncio.sleep(1)
    desk.writer.slow(0.1)

    assert [(await each).status for each in (first, second)] == [503, 202]
    assert desk.on_record() == ["second"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_one_dead_foundation_does_not_hold_back_the_other(desk: Desk) -> None:
    """Alertmanager sends all of it again: what is on record already stays one request."""
    desk.programs["cf-2"].writer.slow(3600)

    receipt = await desk.take(alert("cf"), alert("cf-2"))

    assert receipt == Receipt(503, {"cf": ASKED, "cf-2": "could not be recorded"})
    assert asyncio.get_running_loop().time() == DEFAULT.notification
    assert desk.on_record() == ["f"]
    request = desk.cluster().journal().request
    assert request is not None
    assert request.due == NOON, "it was on record at once"

    desk.programs["cf-2"].writer.slow(0)
    assert (await desk.take(alert("cf"), alert("cf-2"))).status == 202
    assert [desk.on_record(name) for name in ("cf", "cf-2")] == [["f"], ["f"]]


async def test_the_receipt_is_dated_by_the_clock_and_not_by_alertmanager(desk: Desk) -> None:
    await asyncio.sleep(90)
    await desk.take(alert())

    request = desk.cluster().journal().request
    assert request is not None
    assert request.alerts["f"].last_seen == NOON + timedelta(seconds=90)
    assert request.alerts["f"].starts_at == at(-60)
