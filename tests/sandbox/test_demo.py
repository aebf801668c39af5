"""`diego-sandbox`: the incident told and repaired before one's eyes, with whoever sends the notifications."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter.clock import from_rfc3339
from sandbox import main
from sandbox.demo.children import ChildDiedError, Children
from sandbox.demo.http import sample
from sandbox.demo.shorten import alerts_directory, routes, rules
from sandbox.demo.timeline import Timeline
from tests.support.clocks import SetClock
from tests.support.tools import need

DEADLINE = 150

SENDERS = ["--stand-in", "--real"]


def environment(temporary: Path) -> dict[str, str]:
    """With a folder of its own for temporary files, to see that nothing stays in it."""
    temporary.mkdir()
    return os.environ | {"TMPDIR": str(temporary)}


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize("sender", SENDERS)
def test_once_breaks_repairs_and_reports(sender: str, tmp_path: Path) -> None:
    """From the break to quiet: gauge, alert, the run's steps in order, each pod deleted once, new pods ready."""
    if sender == "--real":
        need("prometheus")
        need("alertmanager")
    file, temporary = tmp_path / "report.json", tmp_path / "tmp"
    ended = subprocess.run(
        [sys.executable, "-m", "sandbox.main", "--once", sender, "--report", file],
        env=environment(temporary),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(file.read_text())
    assert (report["outcome"], report["healed"]) == ("recovered", True)
    assert report["run"]["id"]
    assert ("stand-in" in report["sender"]) == (sender == "--stand-in")
    events = [moment["event"] for moment in report["timeline"]]
    steps = [event.split()[1].rstrip(":") for event in events if event.startswith("step ")]
    assert steps == [
        "check-cloud-controller",
        "confirm-unreachable",
        "preserve-evidence",
        "restart",
        "await-ready",
        "verify-reachable",
    ]
    text = "\n".join(events)
    for name in ("diego-api-0", "diego-api-1"):
        assert text.count(f"pod deleted: {name}") == text.count(f"new pod ready: {name}") == 1
    order = [
        "break: ",
        "exporter: diego_bbs_tcp_reachable is 0",
        "step restart: ok",
        "exporter: diego_bbs_tcp_reachable is 1 again",
        "alert resolved: DiegoBBSUnreachable",
    ]
    places = [next(i for i, event in enumerate(events) if event.startswith(start)) for start in order]
    assert places == sorted(places)
    assert "alert fires: DiegoBBSUnreachable" in events
    moments = [from_rfc3339(moment["at"]) for moment in report["timeline"]]
    assert moments == sorted(moments)
    assert all(event[:60] in ended.stdout for event in events), "what is reported was told"
    assert list(temporary.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its children end, its folder goes, and it says so."""
    temporary = tmp_path / "tmp"
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.main", "--stand-in"],
        env=environment(temporary),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("Ctrl-C ends it")):
            line = process.stdout.readline()
            assert line, "".join(lines)
            lines.append(line)
        children = children_of(process.pid)
        assert len(children) == 2, "the control case: exporter and webhook run"
        assert len(list(temporary.iterdir())) == 1
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "nothing is left behind" in rest
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list(temporary.iterdir()) == []


def test_a_program_that_dies_ends_it_with_its_log(tmp_path: Path) -> None:
    """Not repaired, printed and reported; and nothing is left behind here either."""
    file, temporary = tmp_path / "report.json", tmp_path / "tmp"
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.main", "--once", "--stand-in", "--report", file],
        env=environment(temporary),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = ""
        while "Breaking the foundation" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        children = children_of(process.pid)
        (webhook,) = [child for child in children if b"webhook.main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(int(webhook), signal.SIGKILL)
        told += process.stdout.read()
    assert process.returncode == 1
    assert "Not repaired: diego-webhook ended with -9" in told
    report = json.loads(file.read_text())
    assert (report["healed"], report["outcome"]) == (False, None)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list(temporary.iterdir()) == []


def test_the_real_ones_must_be_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert main.main(["--once", "--real"]) == 1
    assert "not both on the PATH" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--nosuch"], ["fault", "locket-db-down"], ["nosuch"], ["--real", "--stand-in"]])
def test_wrong_usage_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(argv)
    assert ended.value.code == 2


def test_a_control_endpoint_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["state", "--control", "http://127.0.0.1:1"]) == 1
    assert "http://127.0.0.1:1" in capsys.readouterr().err


async def test_a_child_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    children = Children(tmp_path)
    await children.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    children.check()
    await children.start("liar", [sys.executable, "-c", "print('why it died'); raise SystemExit(3)"])

    async def wait_for_the_worst() -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                children.check()
                await asyncio.sleep(0.05)

    with pytest.raises(ChildDiedError, match=r"liar ended with 3:\n +why it died"):
        await wait_for_the_worst()
    await children.stop()


def test_shortened_rules_are_the_shipped_ones_but_for_the_times() -> None:
    text = (alerts_directory() / "diego-medic.rules.yml").read_text()
    shipped, shortened = yaml.safe_load(text), yaml.safe_load(rules(text))

    def timeless(document: dict[str, list[dict[str, list[dict[str, str]]]]]) -> list[dict[str, str]]:
        times = ("for", "keep_firing_for")
        return [
            {key: value for key, value in rule.items() if key not in times}
            for group in document["groups"]
            for rule in group["rules"]
        ]

    assert timeless(shortened) == timeless(shipped)
    found = {rule["alert"]: rule for group in shortened["groups"] for rule in group["rules"] if "alert" in rule}
    assert (found["DiegoBBSUnreachable"]["for"], found["DiegoBBSUnreachable"]["keep_firing_for"]) == ("3s", "6s")
    assert {group["interval"] for group in shortened["groups"]} == {"1s"}


def test_shortened_routes_lead_to_this_webhook(tmp_path: Path) -> None:
    text = (alerts_directory() / "alertmanager.yml").read_text()
    shortened = yaml.safe_load(routes(text, url="http://127.0.0.1:1/alerts", token_file=tmp_path / "token"))
    (hook,) = [item for receiver in shortened["receivers"] for item in receiver.get("webhook_configs") or ()]
    assert hook["url"] == "http://127.0.0.1:1/alerts"
    assert hook["http_config"]["authorization"]["credentials_file"] == str(tmp_path / "token")
    assert hook["http_config"]["follow_redirects"] is False, "the control case: the rest is as shipped"
    waits = [shortened["route"]["routes"][0][key] for key in ("group_wait", "group_interval", "repeat_interval")]
    assert waits == ["1s", "3s", "15s"]


def test_samples_of_an_exposition() -> None:
    text = 'up 1\nreachable{foundation="cf",vantage="exporter"} 0.0\nreachable{vantage="other"} 1.0\n'
    assert sample(text, "up") == 1
    assert sample(text, "reachable", vantage="exporter") == 0
    assert sample(text, "reachable", vantage="nobody") is None
    assert sample(text, "reach") is None


def test_the_time_line_is_told_as_it_comes_and_reported_in_order() -> None:
    told: list[str] = []
    clock = SetClock(1000.0)
    timeline = Timeline(clock, tell=told.append)
    timeline.begin()
    clock.time += 5
    timeline.add("late")
    timeline.add("early", at=1002.5)
    assert [re.sub(" +", " ", line) for line in told] == [" +5.0s late", " +2.5s early"]
    assert [(moment["seconds"], moment["event"]) for moment in timeline.report] == [(2.5, "early"), (5.0, "late")]
