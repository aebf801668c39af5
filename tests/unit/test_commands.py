"""Commands for several foundations, of which one's API server says nothing."""

import asyncio
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
from webhook.operator.structured import TEXT
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
    assert said == [f"diego-runbook: {name}: timed out" for name in ("first", "second")]


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
