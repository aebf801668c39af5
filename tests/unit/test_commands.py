"""Commands for several foundations, of which one's API server says nothing."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import cast

import pytest

from exporter.config.check import validated
from exporter.config.model import Config, Foundation
from exporter.kubernetes.api import ApiUnreachableError
from tests.support.stores import run
from webhook.operator import commands
from webhook.operator.command_context import CommandContext, ExitCode
from webhook.operator.structured import JSON, TEXT
from webhook.record import interventions
from webhook.record.journal import Journal
from webhook.record.store import Store

pytestmark = pytest.mark.looptime

CF = Journal(foundation="cf", runs=(run(1),))
LIMIT = 10.0
"""Seconds after which a call to a silent API server is given up."""


class Scripted(CommandContext):
    """Each foundation has its journal; None is an API server that does not answer in time."""

    def __init__(self, journals: Mapping[str, Journal | None]) -> None:
        super().__init__()
        self.given_up = 0
        self.aligned: list[str] = []
        self._journals = journals

    async def align_clock(self, foundation: Foundation) -> None:
        self.aligned.append(foundation.name)

    def store(self, foundation: Foundation) -> Store:
        async def refresh() -> Journal:
            journal = self._journals[foundation.name]
            if journal is None:
                await asyncio.sleep(LIMIT)
                self.given_up += 1
                raise ApiUnreachableError("timed out")
            return journal

        return cast("Store", SimpleNamespace(refresh=refresh))


def foundations(*names: str) -> tuple[Foundation, ...]:
    return tuple(validated(Foundation, {"name": name}) for name in names)


async def test_a_history_takes_as_long_as_the_slowest_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    command = Scripted({"first": None, "second": None, "cf": CF})
    began = asyncio.get_running_loop().time()
    assert await commands.history(command, foundations("first", "second", "cf"), output=TEXT) is ExitCode.UNKNOWN

    assert asyncio.get_running_loop().time() - began == LIMIT  # virtual time
    told = capsys.readouterr()
    assert "cf-1" in told.out
    said = [line for line in told.err.splitlines() if not line.startswith("next: ")]
    assert said == [f"diego-runbook: {name}: the API server: timed out" for name in ("first", "second")]


async def test_a_history_is_printed_while_another_one_is_awaited(capsys: pytest.CaptureFixture[str]) -> None:
    """With its foundation's name, because the order is chance."""
    command = Scripted({"first": None, "cf": CF, "other": Journal(foundation="other")})
    asking = asyncio.create_task(commands.history(command, foundations("first", "cf", "other"), output=TEXT))
    await asyncio.sleep(LIMIT / 2)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("foundation ")] == ["foundation cf:", "foundation other:"]
    assert "no runs of other yet" in lines
    assert await asking is ExitCode.UNKNOWN
    assert capsys.readouterr().out == ""


async def test_what_is_not_known_is_named_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list of runs would look like a foundation that never had one."""
    command = Scripted({"first": None, "cf": CF})
    assert await commands.history(command, foundations("first", "cf"), output=JSON) is ExitCode.UNKNOWN
    found = json.loads(capsys.readouterr().out)
    assert found["unknown"] == {"first": "timed out"}
    assert ([run["id"] for run in found["runs"]], list(found["notes"])) == (["cf-1"], ["cf"])


async def test_a_run_is_found_without_waiting_for_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    command = Scripted({"first": None, "cf": CF, "last": None})
    config = cast("Config", SimpleNamespace(foundations=foundations("first", "cf", "last")))
    assert await commands.show(command, config, "cf-1", output=TEXT) is ExitCode.OK

    told = capsys.readouterr()
    assert "cf-1" in told.out
    assert (told.err, command.given_up) == ("", 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody is asked any more"


async def test_a_run_that_nobody_has_is_unknown_while_one_cannot_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """The control: where all answer, there is no such run."""
    config = cast("Config", SimpleNamespace(foundations=foundations("first", "cf")))
    for first, expected in ((None, ExitCode.UNKNOWN), (Journal(foundation="first"), ExitCode.USAGE)):
        command = Scripted({"first": first, "cf": CF})
        assert await commands.show(command, config, "cf-2", output=TEXT) is expected
        assert "there is no run cf-2 on record" in capsys.readouterr().err


async def test_to_approve_waits_for_the_cluster_of_the_run_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also the clock is that of its own API server."""

    async def approve(_store: Store, run_id: str, *, by: str, now: datetime) -> str:
        assert command.aligned == ["cf"], "before the time of the approval is taken"
        return f"{run_id} approved"

    monkeypatch.setattr(interventions, "approve", approve)
    command = Scripted({"first": None, "cf": CF, "last": None})
    config = cast("Config", SimpleNamespace(foundations=foundations("first", "cf", "last")))
    began = asyncio.get_running_loop().time()
    assert await commands.approve(command, config, "cf-1", output=TEXT) is ExitCode.OK
    assert capsys.readouterr().out == "cf: cf-1 approved\n"
    assert (asyncio.get_running_loop().time(), command.given_up) == (began, 0)


async def test_an_approval_without_an_answer_may_be_on_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def approve(*_: object, **_more: object) -> str:
        raise ApiUnreachableError("timed out")

    monkeypatch.setattr(interventions, "approve", approve)
    config = cast("Config", SimpleNamespace(foundations=foundations("cf")))
    assert await commands.approve(Scripted({"cf": CF}), config, "cf-1", output=TEXT) is ExitCode.UNKNOWN
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "diego-runbook: cf: the API server: timed out",
        "next: does the cluster answer? kubectl get pod -n cf",
        "next: repeat this command when the cluster answers",
    ]
    assert told.out == ""
