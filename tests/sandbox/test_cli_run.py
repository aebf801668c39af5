"""`diego-runbook run` and its fellows: on the same journal, with the same guards, beside a webhook or alone."""

import asyncio
import json
from pathlib import Path

import yaml

from tests.support.incidents import (
    BOOKS,
    COURTESY,
    ME,
    STEPS,
    assert_nothing_deleted,
    assert_recovered,
    boxed,
    break_it,
    config,
    journal,
    uids,
    writes,
)
from tests.support.programs import command, runbook

QUICK = {"retry": "100ms", "cooldown": "0s"}


async def test_run() -> None:
    """A person runs the runbook, with a line for each step as it goes."""
    async with boxed() as box:
        path = box.write_config(config(box))
        before = uids(box)
        await break_it(box)
        ran = await runbook(path, "run", "cf")

        assert ran.code == 0, ran
        assert ran.lines[0] == "run: a run is allowed"
        assert ran.lines[-1] == "recovered: restarted, and every check passed"
        told = [line.split()[1:3] for line in ran.lines[1:-1]]
        assert [each for each in told if each[1] == "ok"] == [[step, "ok"] for step in STEPS]
        assert_recovered(box, before)
        (run,) = journal(box)["runs"]
        assert (run["requested_by"], run["person"]["by"], run["alerts"]) == (ME, ME, {})

        again = await runbook(path, "run", "cf")
        assert again.code == 3
        assert again.lines[-1].startswith("refuse: cooldown after a restart until ")
        assert len(journal(box)["runs"]) == 1


async def test_run_for_programs() -> None:
    """The result alone is on standard output, also where the request is refused; the progress goes beside it."""
    async with boxed() as box:
        path = box.write_config(config(box))
        await break_it(box)
        ran = await runbook(path, "run", "cf", "-o", "json")
        assert ran.code == 0, ran
        found = json.loads(ran.output)
        assert (found["decision"]["kind"], found["run"]["outcome"]) == ("run", "recovered")
        assert "verify-reachable        ok" in ran.errors

        again = await runbook(path, "run", "cf", "-o", "yaml")
        assert again.code == 3
        refused = yaml.safe_load(again.output)
        assert (refused["decision"]["kind"], refused["decision"]["reason"]) == ("refuse", "cooldown")
        assert refused["run"] is None


async def test_run_where_nothing_is_wrong() -> None:
    async with boxed() as box:
        before = uids(box)
        ran = await runbook(box.write_config(config(box)), "run", "cf")
        assert ran.code == 0
        assert ran.lines[-1].startswith("not-needed (reachable)")
        assert_nothing_deleted(box, before)


async def test_observing() -> None:
    """Also where no mode was chosen; and it does not stand in the way of a real one."""
    async with boxed() as box:
        document = config(box, remediation=QUICK)
        del document["remediation"]["mode"]
        undecided = box.write_config(document, name="undecided.yaml")
        before = uids(box)
        await break_it(box)
        ran = await runbook(undecided, "run", "cf", "--observe")
        assert ran.code == 0, ran
        assert "it would have deleted diego-api-0, diego-api-1" in ran.lines[-1]
        assert_nothing_deleted(box, before)

        refused = await runbook(undecided, "run", "cf")
        assert refused.code == 2
        assert "remediation.mode is not set" in refused.errors
        assert_nothing_deleted(box, before)

        decided = box.write_config(config(box, remediation=QUICK))
        assert (await runbook(decided, "run", "cf")).code == 0
        assert_recovered(box, before)


async def test_run_that_proves_nothing_and_run_that_fails() -> None:
    async with boxed() as box:
        path = box.write_config(config(box, remediation=QUICK | {"await_ready": {"timeout": "1500ms"}}))
        before = uids(box)
        await break_it(box)
        box.fault("no-nc")
        ran = await runbook(path, "run", "cf")
        assert ran.code == 3
        assert ran.lines[-1].startswith("unproven (nc-missing)")
        assert_nothing_deleted(box, before)

        box.fault("yes-nc")
        box.fault("label-none")
        ran = await runbook(path, "run", "cf")
        assert ran.code == 1
        assert ran.lines[-1].startswith("failed (no-active-label)")


async def test_history_and_show() -> None:
    async with boxed() as box:
        path = box.write_config(config(box, remediation=QUICK))
        nothing = await runbook(path, "history")
        assert nothing.lines == ["no runs of cf yet"]
        await break_it(box)
        for _ in range(2):
            assert (await runbook(path, "run", "cf")).code == 0
        first, newest = journal(box)["runs"]
        await runbook(path, "pause", "cf", "--reason", "lunch")

        asked = (
            ("history", "cf"),
            ("history", "-o", "json"),
            ("show", first["id"]),
            ("show", first["id"], "-o", "json"),
        )
        told, listed, shown, one = await asyncio.gather(*(runbook(path, *words) for words in asked))
        assert newest["id"] in told.lines[0]
        assert "not-needed (reachable)" in told.lines[0]
        assert first["id"] in told.lines[1]
        assert f"recovered  requested by {ME}" in told.lines[1]
        assert f"paused by {ME}: lunch" in told.output
        assert [run["id"] for run in json.loads(listed.output)["runs"]] == [newest["id"], first["id"]]
        for words in (*STEPS, "diego-api-0", *(pod["uid"] for pod in first["pods"]), "lost the lock database"):
            assert words in shown.output
        run = json.loads(one.output)
        assert (run["id"], run["outcome"], len(run["steps"])) == (first["id"], "recovered", 6)
        unknown = await runbook(path, "show", "cf-none")
        assert (unknown.code, unknown.output) == (2, "")


async def test_pause_resume_and_reset_are_on_record_with_who_did_it() -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        for arguments, said in (
            (("pause", "cf", "--reason", "we look"), f"cf: paused by {ME}: we look"),
            (("resume", "cf"), f"cf: resumed by {ME}"),
            (("reset", "cf"), f"cf: breaker reset by {ME}"),
        ):
            done = await runbook(path, *arguments)
            assert (done.code, done.lines) == (0, [said])
            assert journal(box)["notes"][-1]["text"] == said.removeprefix("cf: ")
        told = await runbook(path, "pause", "cf", "--reason", "again", "-o", "json")
        recorded = {"foundation": "cf", "recorded": journal(box)["notes"][-1]["text"]}
        assert (told.code, json.loads(told.output)) == (0, recorded)
        assert (await runbook(path, "resume", "cf")).code == 0
        assert writes(box) <= BOOKS | COURTESY
        box.deny("update", "configmaps")
        forbidden = await runbook(path, "pause", "cf", "--reason", "we look")
        assert forbidden.code == 3
        assert "403" in forbidden.errors
        assert journal(box)["paused"] is None


async def test_explain() -> None:
    """The document's steps with the foundation's own names, and no cluster asked."""
    async with boxed() as box:
        box.fault("api-kill")
        path = box.write_config(config(box, profile="cfee-1"))
        told = await runbook(path, "explain", "cf")
        assert told.code == 0
        assert [line[0] for line in told.lines if line[:2].rstrip(".").isdecimal()] == list("12345678")
        for each in (
            "get pod -n cf",
            f"exec -n cf api-0 -- nc -zv {box.bbs_host} 8889",
            "delete pod -n cf diego-locket-0",
            "delete pod -n cf diego-api-0",
            "get pod -n cf -L skiff-role-active",
        ):
            assert f"kubectl --kubeconfig={box.kubeconfig} {each}" in told.output
        assert (await runbook(path, "explain")).lines == told.lines


async def test_usage_and_config(tmp_path: Path) -> None:
    async with boxed() as box:
        path = box.write_config(config(box))
        verbs = ("check", "run", "resume", "reset", "explain", "history")
        for unknown in await asyncio.gather(*(runbook(path, verb, "elsewhere") for verb in verbs)):
            assert (unknown.code, unknown.output) == (2, "")
            assert unknown.errors == "diego-runbook: there is no foundation elsewhere in the config; it has cf\n"
        wrong = ((), ("chek", "cf"), ("run",), ("pause", "cf"), ("history", "-o", "xml"), ("approve", "x"))
        misused = await asyncio.gather(*(runbook(path, *words) for words in wrong))
        assert [each.code for each in misused] == [2] * len(wrong)
        bad = tmp_path / "bad.yaml"
        bad.write_text("foundations: [{name: CF}]\n")
        ended = await runbook(bad, "check", "cf")
        assert ended.code == 2
        assert ended.errors.startswith(f"{bad}:1: foundations[0].name: ")
        assert (await command("webhook.operator.cli", "--version")).output.startswith("diego-runbook ")
        assert (await command("webhook.operator.cli", "--help")).code == 0
