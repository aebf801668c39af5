"""A command line whose clock is wrong records what a person does by the API server's clock, and says so."""

import asyncio

import pytest

from exporter.clock import SystemClock
from exporter.kubernetes.api import ApiUnreachableError
from tests.support.clocks import SetClock
from tests.support.foundations import foundation
from tests.support.inprocess import InProcessWriter, broken_foundation
from tests.support.moments import NOON
from webhook.operator import command_context
from webhook.operator.command_context import CommandContext

pytestmark = pytest.mark.looptime(noop_cycles=1)


@pytest.mark.parametrize(
    ("off", "warned"), [(0.0, False), (25.0, False), (-25.0, False), (7200.0, True), (-90.0, True)]
)
async def test_a_clock_that_is_off_by_more_than_half_a_minute_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], off: float, warned: bool
) -> None:
    cluster = broken_foundation()
    true = NOON.timestamp() + asyncio.get_running_loop().time()
    monkeypatch.setattr(command_context, "writer_for", lambda *_: InProcessWriter(cluster))
    monkeypatch.setattr(SystemClock, "now", lambda _: true + off)
    command = CommandContext()
    command.clock = SetClock(true + off)

    await command.align_clock(foundation())

    assert (capsys.readouterr().err != "") is warned
    assert abs(command.clock.now() - true) <= (2 if warned else 25)


async def test_a_server_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = InProcessWriter(broken_foundation())
    monkeypatch.setattr(command_context, "writer_for", lambda *_: writer)
    writer.hang()
    with pytest.raises(ApiUnreachableError, match="timed out"):
        await CommandContext().align_clock(foundation())


async def test_one_call_that_fails_at_once_does_not_end_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control case: the command itself asks again, and reports what is wrong."""
    writer = InProcessWriter(broken_foundation())
    monkeypatch.setattr(command_context, "writer_for", lambda *_: writer)
    writer.kill()
    await CommandContext().align_clock(foundation())
