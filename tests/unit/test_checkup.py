"""`diego-runbook check` of a foundation whose API server hangs: what is not known stays unknown, and comes soon."""

import asyncio

import pytest

from exporter.kubernetes.api import ApiError
from exporter.kubernetes.client import TIMEOUT
from tests.support.foundations import foundation
from tests.support.incident import FAST, MachineClock
from tests.support.inprocess import InProcessCluster, InProcessWriter, broken_foundation, healthy_foundation
from webhook.medic.wiring import store_for
from webhook.operator import command_context
from webhook.operator.checkup import Checkup, check
from webhook.operator.command_context import CommandContext, ExitCode
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime(noop_cycles=1)

SETTINGS = foundation(remediation=FAST)
A_MOMENT = 0.1
"""Seconds, of virtual time."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> InProcessCluster:
    made = healthy_foundation()
    monkeypatch.setattr(command_context, "dial_tcp", made.dial)
    return made


async def checked(writer: InProcessWriter, monkeypatch: pytest.MonkeyPatch) -> tuple[Checkup, float]:
    """The diagnosis, and the seconds until it was there."""
    monkeypatch.setattr(command_context, "writer_for", lambda *_: writer)
    command = CommandContext()
    command.clock = MachineClock()
    began = asyncio.get_running_loop().time()
    found = await check(command.run_context(SETTINGS), store=store_for(SETTINGS, writer), progress=lambda: None)
    return found, asyncio.get_running_loop().time() - began


async def test_one_that_answers_is_known_at_once(cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control case."""
    found, took = await checked(InProcessWriter(cluster), monkeypatch)
    assert (found.exit_code, found.trouble, found.errors) == (ExitCode.OK, (), ())
    assert took < A_MOMENT


async def test_one_that_hangs_is_unknown_within_the_time_limit_of_one_call(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = InProcessWriter(cluster)
    writer.hang()
    found, took = await checked(writer, monkeypatch)
    assert took == pytest.approx(TIMEOUT, abs=A_MOMENT)
    assert (found.exit_code, found.reachable, found.view, found.journal) == (ExitCode.UNKNOWN, None, None, None)
    assert found.trouble == (
        "foundation not readable: timed out",
        "permissions not known: the API server did not answer, so they were not asked for",
        "journal not readable: timed out",
    )
    assert not [call for call in writer.calls if "selfsubjectaccessreviews" in call]


@pytest.mark.parametrize(
    ("call", "limit", "trouble"),
    [
        ("get configmaps", TIMEOUT, "journal not readable: timed out"),
        ("create selfsubjectaccessreviews", TIMEOUT, "permissions not known: timed out"),
        ("get pods/exec", DEFAULT.exec, None),
    ],
)
async def test_a_call_that_hangs_delays_no_other_and_hides_none(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch, call: str, limit: float, trouble: str | None
) -> None:
    writer = InProcessWriter(cluster)
    writer.hang(call)
    found, took = await checked(writer, monkeypatch)
    assert writer.calls[call] >= 1
    assert took == pytest.approx(limit, abs=A_MOMENT)
    assert found.view is not None
    assert found.trouble == (() if trouble is None else (trouble,))
    assert found.exit_code is (ExitCode.UNKNOWN if trouble is None else ExitCode.DEGRADED)


async def test_all_but_the_look_hang_and_the_limits_do_not_add_up(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = InProcessWriter(cluster)
    for call in ("get configmaps", "create selfsubjectaccessreviews", "get pods/exec"):
        writer.hang(call)
    found, took = await checked(writer, monkeypatch)
    assert took == pytest.approx(max(TIMEOUT, DEFAULT.exec), abs=A_MOMENT)
    assert (found.exit_code, found.journal) == (ExitCode.UNKNOWN, None)


async def test_a_server_that_forbids_the_look_is_still_asked_for_the_permissions(
    cluster: InProcessCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = InProcessWriter(cluster)
    writer.fail("get statefulsets", ApiError(403, "Forbidden", "no"), times=-1)
    found, _ = await checked(writer, monkeypatch)
    assert [text.partition(":")[0] for text in found.trouble] == ["foundation not readable"]
    assert [call for call in writer.calls if "selfsubjectaccessreviews" in call]
    assert found.journal is not None


async def test_an_incident_is_proved_while_the_permissions_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = broken_foundation()
    monkeypatch.setattr(command_context, "dial_tcp", broken.dial)
    writer = InProcessWriter(broken)
    writer.hang("create selfsubjectaccessreviews")
    found, _ = await checked(writer, monkeypatch)
    assert (found.exit_code, found.trouble) == (ExitCode.FAILED, ("permissions not known: timed out",))
