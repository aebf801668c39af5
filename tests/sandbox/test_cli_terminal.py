"""`diego-runbook run` and `check` in a terminal: what is awaited, how it ends, and a terminal that is as it was."""

import signal

from tests.support.incidents import boxed, break_it, config, journal
from tests.support.programs import runbook, until
from tests.support.terminals import COLOUR, CTRL_Q, CTRL_S, in_terminal


async def test_a_run_in_a_terminal() -> None:
    """Steps are ticked off; what is awaited has its deadline; the last lines say how it ended, and what is next."""
    slow = {"confirm": {"attempts": 4, "interval": "500ms"}}
    async with boxed() as box:
        path = box.write_config(config(box, remediation=slow))
        await break_it(box)
        async with in_terminal(path, "run", "cf") as terminal:
            assert await terminal.ended() == 0
            await terminal.until_it_says("More  diego-runbook show ")
        (run,) = journal(box)["runs"]
        last = (
            "✓ recovered: restarted, and every check passed",
            "  Next  Nothing to do. The evidence may tell why the lock was lost.",
            f"  More  diego-runbook show {run['id']}",
        )
        assert "\n".join(last) in terminal.text
        for words in (
            "run: a run is allowed",
            "↻ Prove from inside the api pods that the BBS is unreachable: in progress",
            "4 attempts, 0.5 s apart, from each ready api pod",
            "○ Restart the pods",
            "Z  Restart the pods: ok, ",
            "  diego-api-0 deleted, diego-api-1 deleted",
            "Z  Verify that the BBS is reachable: ok, ",
            "To stop it: diego-runbook pause cf",
        ):
            assert words in terminal.text, terminal.text
        assert terminal.as_it_was


async def test_an_interrupted_run_in_a_terminal_leaves_it_as_it_was() -> None:
    slow = {"confirm": {"attempts": 20, "interval": "5s"}}  # longer than any machine needs to interrupt it
    async with boxed() as box:
        path = box.write_config(config(box, remediation=slow))
        await break_it(box)
        for number in (signal.SIGINT, signal.SIGTERM):
            async with in_terminal(path, "run", "cf") as terminal:
                await terminal.until_it_says("↻ Prove from inside the api pods")
                terminal.process.send_signal(number)
                assert await terminal.ended() == 130
                await terminal.until_it_says("a run in progress stays in the journal and is resumed")
            assert terminal.as_it_was
        assert journal(box)["runs"][-1]["outcome"] is None


async def test_a_terminal_that_takes_nothing_does_not_hold_up_the_run() -> None:
    """Ctrl-S by mistake, or a connection that hangs: the same process executes the run."""
    slow = {"confirm": {"attempts": 6, "interval": "500ms"}}
    async with boxed() as box:
        path = box.write_config(config(box, remediation=slow))
        await break_it(box)
        async with in_terminal(path, "run", "cf") as terminal:
            await terminal.until_it_says("↻ Prove from inside the api pods")
            terminal.press(CTRL_S)

            async def recovered() -> bool:
                return bool(journal(box)["runs"][-1]["outcome"] == "recovered")

            await until(recovered, what="the end of the run")
            assert "recovered: " not in terminal.text
            terminal.press(CTRL_Q)
            assert await terminal.ended() == 0
            await terminal.until_it_says("✓ recovered: restarted, and every check passed")


async def test_check_in_a_terminal_shows_what_it_waits_for() -> None:
    slow = {"confirm": {"attempts": 4, "interval": "700ms"}}
    async with boxed() as box:
        path = box.write_config(config(box, remediation=slow))
        await break_it(box)
        plain = await runbook(path, "check", "cf")
        async with in_terminal(path, "check", "cf", columns=200) as terminal:
            assert await terminal.ended() == 1
        assert "left; unreachable, attempt 2 of 4; next in 0.7 s" in terminal.text
        assert "█" in terminal.text
        assert all(line in terminal.text for line in plain.lines)
        assert COLOUR.search(terminal.raw)
        assert terminal.as_it_was
