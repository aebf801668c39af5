"""`diego-runbook watch`: an incident as a person sees it in a terminal, and as a log has it. It only reads."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.incidents import ME, boxed, break_it, config, fire, incident
from tests.support.programs import DEADLINE, Json, begun, ended, runbook, until
from tests.support.terminals import COLOUR, CTRL_C, CTRL_Z, LEAVE_SCREEN, Terminal, in_terminal
from tests.support.traps import at_delete

QUICK: Json = {"bbs": {"interval": "500ms", "timeout": "500ms"}, "staleness": "6s"}


class Log:
    """The lines of a `watch` in a pipe, as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, text: str) -> str:
        """The first line from now on with this text."""
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(self.process.stdout.readline(), DEADLINE)
            assert line, f"it ended without {text}: {self.lines}"
            self.lines.append(line.decode().rstrip("\n"))
            if text in self.lines[-1]:
                return self.lines[-1]


@asynccontextmanager
async def in_pipe(path: Path, *arguments: str) -> AsyncIterator[Log]:
    process = await begun("webhook.operator.cli", "watch", *arguments, "--config.file", str(path))
    try:
        yield Log(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def left(terminal: Terminal) -> None:
    """Ctrl-C is the normal end, and the terminal is as it was."""
    terminal.press(CTRL_C)
    assert await terminal.ended() == 0
    assert terminal.as_it_was


async def test_an_incident_from_the_break_to_the_recovery() -> None:
    slow = {"confirm": {"attempts": 6, "interval": "500ms"}}
    async with incident(broken=False, remediation=slow, **QUICK) as (box, webhook, _):
        at_delete(box, 2, lambda: box.fault("never-ready", "diego-api-1"))  # until the repair was seen
        async with in_terminal(webhook.config, "watch") as terminal:
            healthy = await terminal.until_it_shows("✓ cf HEALTHY. The BBS is reachable.", "No run has ended yet.")
            assert ", live" in healthy
            assert "labelled active      accepts connections" in healthy

            await break_it(box)
            await terminal.until_it_shows("✕ cf BROKEN. The BBS is unreachable", "! no-active-leader:")
            await fire(webhook)
            proving = await terminal.until_it_shows("↻ cf BEING CHECKED.", "↻ Prove from inside the api pods", "█")
            assert "6 attempts, 0.5 s apart, from each ready api pod" in proving
            assert "○ Restart the pods" in proving
            await terminal.until_it_shows("↻ cf BEING REPAIRED.")
            box.fault("may-be-ready", "diego-api-1")
            done = await terminal.until_it_shows("✓ cf HEALTHY.", "✓ recovered, took ", "(cooldown)")
            assert "Run cf-" not in done
            await left(terminal)
        # What was seen last stays in the scrollback.
        assert "✓ cf HEALTHY." in terminal.text.rpartition("diego-runbook watch, ")[2]
        assert LEAVE_SCREEN in terminal.raw
        assert COLOUR.search(terminal.raw)


async def test_the_same_incident_as_a_log() -> None:
    async with incident(broken=False, **QUICK) as (box, webhook, _):
        async with in_pipe(webhook.config, "cf") as log:
            await log.until("cf: healthy. The BBS is reachable.")
            await log.until("no run has ended yet")
            await break_it(box)
            await log.until("cf: broken. The BBS is unreachable: apps cannot be staged.")
            await fire(webhook)
            run = await webhook.ended()
            await log.until(f"run {run['id']}: verify-reachable ok after ")
            await log.until(f"run {run['id']} ended: recovered: restarted, and every check passed")
            log.process.send_signal(signal.SIGINT)
            assert (await ended(log.process)).code == 0
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  cf: ", line) for line in log.lines)
        assert "\x1b" not in "".join(log.lines)


async def test_it_only_reads_and_needs_no_right_to_write() -> None:
    """A reader's rights: get, list and watch, and get on the journal and the lease."""
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        assert (await runbook(path, "pause", "cf", "--reason", "we look")).code == 0
        before = len(box.audit)
        for verb in ("create", "update", "delete", "patch"):
            box.deny(verb, "*")
        for resource in ("pods/exec", "pods/log"):
            box.deny("get", resource)
        async with in_terminal(path, "watch", "cf") as terminal:
            picture = await terminal.until_it_shows("! cf PAUSED. The BBS is reachable.", "On record without a run")
            assert f"Nothing is restarted: paused by {ME} since " in picture
            await left(terminal)
        assert box.audit[before:] == []  # which has every write, and every exec
        assert before > 0


async def test_who_may_not_read_the_journal_still_sees_the_foundation() -> None:
    """The role `view` of Kubernetes has no leases. That a run is under way is unknown then, and nothing is claimed."""
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        assert (await runbook(path, "pause", "cf", "--reason", "we look")).code == 0
        box.deny("get", "leases")
        async with in_terminal(path, "watch") as terminal:
            picture = await terminal.until_it_shows("? cf JOURNAL NOT READABLE. The BBS is reachable.", ", live")
            assert "It is unknown whether a run is in progress: 403 Forbidden" in picture
            assert "`diego-runbook check cf` names what is missing." in picture
            assert "labelled active      accepts connections" in picture
            await left(terminal)


async def test_an_api_server_that_goes_and_comes_back() -> None:
    """It says so at once, shows how old everything is, and then that it is unknown; it never gives up."""
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        async with in_terminal(path, "watch") as terminal, in_pipe(path) as log:
            await terminal.until_it_shows("✓ cf HEALTHY.", ", live")
            await log.until("no run has ended yet")
            box.fault("api-kill")
            lost = await terminal.until_it_shows(
                "? cf LAST KNOWN: HEALTHY.", "NOT LIVE, trying again: ", "s ago; journal"
            )
            assert "Pods as of " in lost
            unknown = await terminal.until_it_shows("? cf LAST KNOWN: REACHABLE, THE REST UNKNOWN.", "Pods: unknown")
            assert "diego-api-0" not in unknown
            await log.until("cf: NOT LIVE: ")
            box.fault("api-start")
            await terminal.until_it_shows("✓ cf HEALTHY.", "diego-api-0", ", live")
            await log.until("cf: live again")
            await left(terminal)
        assert not [line for line in log.lines if "is gone" in line]


async def test_an_api_server_that_hangs_is_noticed_before_a_call_has_failed() -> None:
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK | {"staleness": "60s"}))
        async with in_terminal(path, "watch") as terminal:
            await terminal.until_it_shows("✓ cf HEALTHY.", ", live")
            box.fault("api-hang")
            await terminal.until_it_shows(
                "LAST KNOWN: HEALTHY", "NOT LIVE, trying again: the API server does not answer."
            )
            await left(terminal)


async def test_an_api_server_that_was_never_there() -> None:
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        box.fault("api-kill")
        async with in_terminal(path, "watch") as terminal:
            await terminal.until_it_shows("? cf JOURNAL NOT READABLE. ", "NOTHING KNOWN of pods and journal, ")
            await left(terminal)


@pytest.mark.parametrize(
    ("environment", "drawn", "coloured"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, False),
    ],
)
async def test_colours_only_where_they_are_wanted(environment: dict[str, str], drawn: bool, coloured: bool) -> None:
    """The words are the same."""
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        async with in_terminal(path, "watch", environment=environment) as terminal:
            if drawn:
                await terminal.until_it_shows("✓ cf HEALTHY. The BBS is reachable.")
            else:
                await terminal.until_it_says("cf: healthy. The BBS is reachable.")
                await terminal.until_it_says("no run has ended yet")
            terminal.press(CTRL_C)
            assert await terminal.ended() == 0
        assert bool(COLOUR.search(terminal.raw)) is coloured
        assert ("\x1b" in terminal.raw) is drawn


async def test_a_terminal_without_unicode_gets_the_words() -> None:
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        environment = {"PYTHONIOENCODING": "iso8859-1"}
        async with in_terminal(path, "watch", environment=environment) as terminal:
            await terminal.until_it_shows("+ cf HEALTHY. The BBS is reachable.")
            await left(terminal)


async def test_what_a_person_wrote_cannot_draw() -> None:
    """Neither escapes nor rich's markup."""
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        reason = "[bold red]not bold[/] \x1b[2J\x1b]0;title\x07 :smile:"
        assert (await runbook(path, "pause", "cf", "--reason", reason)).code == 0
        async with in_terminal(path, "watch", columns=160) as terminal:
            await terminal.until_it_shows("[bold red]not bold[/] \\x1b[2J\\x1b]0;title\\x07 :smile:")
            await left(terminal)
        assert "\x1b]0;" not in terminal.raw
        assert "\x1b[2J" not in terminal.raw.replace("\x1b[2J\x1b[H", "")


async def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again() -> None:
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        async with in_terminal(path, "watch") as terminal:
            await terminal.until_it_shows("✓ cf HEALTHY.")
            terminal.press(CTRL_Z)

            async def stopped() -> bool:
                stat = Path(f"/proc/{terminal.process.pid}/stat").read_text()  # noqa: ASYNC240 - no disk
                return stat.rpartition(")")[2].split()[0] == "T" and terminal.as_it_was

            await until(stopped, what="the process to stop")
            terminal.raw = ""
            terminal.process.send_signal(signal.SIGCONT)
            await terminal.until_it_shows("✓ cf HEALTHY.")
            await left(terminal)


async def test_who_reads_no_more_ends_it_without_a_traceback() -> None:
    """`watch | grep -m 1 broken`."""
    async with boxed() as box:
        path = box.write_config(config(box, **QUICK))
        async with in_pipe(path) as log:
            await log.until("no run has ended yet")
            transport = log.process._transport  # type: ignore[attr-defined]
            transport.get_pipe_transport(1).close()
            await break_it(box)
            assert await asyncio.wait_for(log.process.wait(), DEADLINE) == 0
            assert log.process.stderr is not None
            assert await log.process.stderr.read() == b""


async def test_a_command_whose_reader_goes_ends_without_a_word() -> None:
    """`history | head -1`."""
    async with boxed() as box:
        path = box.write_config(config(box))
        process = await begun("webhook.operator.cli", "history", "cf", "--config.file", str(path))
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 141


async def test_sigterm_ends_it_as_well_and_json_is_a_line_each() -> None:
    async with boxed() as box:
        document = config(box, **QUICK)
        document["foundations"].append(document["foundations"][0] | {"name": "nowhere", "namespace": "nowhere"})
        async with in_pipe(box.write_config(document), "-o", "json") as log:
            line = await log.until('"foundation":"cf"')
            log.process.terminate()
            assert (await ended(log.process)).code == 0
        found = json.loads(line)
        assert (found["state"], found["live"], found["reachable"], found["run"]) == ("healthy", True, True, None)


async def test_several_foundations_at_once() -> None:
    async with boxed() as box:
        document = config(box, **QUICK)
        document["foundations"].append(document["foundations"][0] | {"name": "nowhere", "namespace": "nowhere"})
        async with in_terminal(box.write_config(document), "watch") as terminal:
            picture = await terminal.until_it_shows("✓ cf HEALTHY. The BBS is reachable.", "nowhere", "no-statefulset")
            assert picture.index("nowhere") < picture.index("✓ cf HEALTHY.")
            await left(terminal)
