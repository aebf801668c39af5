"""Two foundations on two clusters, one of which hangs, is dead or forbids everything: it blurs and delays nothing else.

The trouble is there before the programs start. The control is a second cluster that answers.
"""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import yaml

from sandbox.sandbox import Sandbox
from tests.support.exporting import exporting
from tests.support.incidents import (
    alert,
    assert_nothing_deleted,
    assert_recovered,
    boxed,
    break_it,
    config,
    deletions,
    fire,
    notification,
    uids,
)
from tests.support.programs import DEADLINE, Json, Webhook, begun, ended, runbook, serving, until
from tests.support.terminals import CTRL_C, in_terminal

QUICK: Json = {"bbs": {"interval": "500ms", "timeout": "500ms"}, "staleness": "6s"}
HEALTHY, UNREACHABLE, UNKNOWN = 0, 1, 3
COUNTED = re.compile(r"_(total|bucket|count|sum|created)(\{|$)")


@dataclass(frozen=True, kw_only=True)
class Other:
    """What is wrong with the second cluster, and the words for it."""

    fault: Callable[[Sandbox], object]
    words: str = ""

    @property
    def answers(self) -> bool:
        return not self.words


OTHERS = {
    "answers": Other(fault=lambda _box: None),
    "hangs": Other(fault=lambda box: box.fault("api-hang"), words="timed out"),
    "is dead": Other(fault=lambda box: box.fault("api-kill"), words="Cannot connect"),
    "forbids": Other(fault=lambda box: box.deny("*", "*"), words="403"),
}
each_other = pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())


class Pair(NamedTuple):
    """`box` is healthy, and the foundation `cf`; `away` has the trouble. The config has `away` first."""

    box: Sandbox
    away: Sandbox
    document: Json


@asynccontextmanager
async def pair(other: Other, **foundation: Any) -> AsyncIterator[Pair]:
    async with boxed() as away, boxed() as box:
        document = config(away, **foundation)
        document["foundations"][0]["name"] = "away"
        document["foundations"] += config(box, **foundation)["foundations"]
        other.fault(away)
        yield Pair(box, away, document)


def gauges(found: dict[str, float], foundation: str) -> set[str]:
    return {
        name for name in found if f"foundation={foundation}," in name.replace("}", ",") and not COUNTED.search(name)
    }


def state(foundation: str, *, leaders: int = 1) -> dict[str, float | None]:
    """The gauges of a foundation with this number of BBSes that lead."""
    return {
        f"diego_bbs_tcp_reachable{{foundation={foundation},vantage=exporter}}": min(leaders, 1),
        f"diego_bbs_active_leaders{{foundation={foundation}}}": leaders,
        f"diego_bbs_serving_pods{{foundation={foundation}}}": leaders,
        f"diego_api_pods_ready{{foundation={foundation}}}": 2,
        f"diego_kubernetes_synced{{foundation={foundation}}}": 1,
    }


@each_other
async def test_the_exporter(other: Other) -> None:
    """Every series of one is there and follows what happens; of the other only what needs no Kubernetes API."""
    async with pair(other, **QUICK) as (box, _, document):
        alone = box.write_config(config(box, **QUICK), name="alone.yaml")
        async with exporting(alone) as exporter:
            complete = gauges(await exporter.until(state("cf")), "cf")
        async with exporting(box.write_config(document)) as exporter:
            found = await exporter.until(state("cf"))
            assert gauges(found, "cf") == complete

            reachable = "diego_bbs_tcp_reachable{foundation=away,vantage=exporter}"
            synced = "diego_kubernetes_synced{foundation=away}"
            found = await exporter.until({reachable: 1, synced: int(other.answers)})
            hidden = {name.replace("foundation=cf", "foundation=away") for name in complete} - gauges(found, "away")
            assert bool(hidden) is not other.answers
            assert (state("away").keys() & hidden) == (
                set() if other.answers else state("away").keys() - {reachable, synced}
            )

            await break_it(box)
            found = await exporter.until(state("cf", leaders=0) | {reachable: 1, synced: int(other.answers)})
            assert gauges(found, "cf") == complete


async def run_of(webhook: Webhook, foundation: str) -> Json:
    """Waits for the end of the one run of this foundation."""

    async def look() -> Json | None:
        _, text = await webhook.get(f"/api/v1/runs?foundation={foundation}")
        runs: list[Json] = json.loads(text)["runs"]
        assert len(runs) <= 1
        return runs[0] if runs and runs[0]["outcome"] else None

    found: Json = await until(look, what=f"the end of the run of {foundation}")
    return found


async def sentences(webhook: Webhook, foundation: str) -> str:
    """What the status page says of this foundation, without tags."""
    status, page = await webhook.get("/")
    assert status == 200
    (piece,) = re.findall(rf'<div id="state-{foundation}".*?</dl>', page, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", piece)).split())


@each_other
async def test_the_webhook(other: Other) -> None:
    """One is repaired; a notification that concerns both is answered with what became of each."""
    async with pair(other, **QUICK) as (box, away, document):
        before, untouched = uids(box), uids(away)
        await break_it(box)
        async with serving(box.write_config(document)) as webhook:
            status, said = await webhook.notify(notification(alert(), alert(foundation="away")))
            assert said["decisions"]["cf"].startswith("run: ")
            if other.answers:
                assert status == 202
                assert said["decisions"]["away"].startswith("run: ")
            else:
                assert status == 503  # Alertmanager sends both again
                assert said["decisions"]["away"] == "could not be recorded"

            run = await run_of(webhook, "cf")
            assert run["outcome"] == "recovered"
            assert_recovered(box, before)
            assert len(deletions(box)) == 2

            async def healthy() -> bool:
                return (await sentences(webhook, "cf")).startswith("cf ✓ healthy The BBS is reachable.")

            await until(healthy, what="the page to show that it is healthy")
            if other.answers:
                assert (await run_of(webhook, "away"))["outcome"] == "not-needed"
                await webhook.until_metrics({"diego_webhook_leader{foundation=away}": 1})
            else:
                told = await sentences(webhook, "away")
                assert told.startswith("away ? journal not readable The BBS is reachable.")
                assert "Every request is refused: " in told
                assert other.words in told
                assert json.loads((await webhook.get("/api/v1/runs?foundation=away"))[1]) == {"runs": []}
                found = await webhook.metrics()
                assert found["diego_webhook_leader{foundation=away}"] == 0
                assert found["diego_webhook_leader{foundation=cf}"] == 1
            assert [each["id"] for each in await webhook.runs() if each["foundation"] == "cf"] == [run["id"]]
        assert_nothing_deleted(away, untouched)


@each_other
async def test_check(other: Other) -> None:
    """Each has its report, and the exit status is the worst."""
    async with pair(other) as (box, _, document):
        path = box.write_config(document)
        await break_it(box)
        told, checked = await asyncio.gather(runbook(path, "check"), runbook(path, "check", "-o", "json"))
        word = "healthy" if other.answers else "unknown"
        assert told.lines[-2:] == [f"away  {word}", "cf    BBS unreachable"]
        assert "foundation cf (namespace cf, profile cfee-2): the Cloud Controller can NOT reach the BBS" in told.lines
        assert other.words in told.output

        assert (told.code, checked.code) == (UNREACHABLE, UNREACHABLE)
        found = {each["foundation"]: each for each in yaml.safe_load(checked.output)["foundations"]}
        assert (found["cf"]["reachable"], found["cf"]["exit_code"]) == (False, UNREACHABLE)
        assert found["away"]["reachable"] is (True if other.answers else None)


async def test_check_reports_one_while_another_hangs() -> None:
    """What is known is printed at once: only then does the other API server answer again."""
    async with pair(OTHERS["hangs"]) as (box, away, document):
        process = await begun("webhook.operator.cli", "check", "--config.file", str(box.write_config(document)))
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("=> "):
            lines.append((await asyncio.wait_for(process.stdout.readline(), DEADLINE)).decode().rstrip())
            assert process.returncode is None
        assert lines[0].startswith("foundation cf ")
        assert lines[-1] == "=> nothing to do"
        away.fault("api-resume")
        found = await ended(process)
        assert found.lines[-2].startswith("away  ")
        assert found.lines[-1] == "cf    healthy"


@each_other
async def test_history_and_show(other: Other) -> None:
    async with pair(other) as (box, _, document):
        path = box.write_config(document)
        async with serving(path) as webhook:
            await fire(webhook)
            run = await run_of(webhook, "cf")

        told = await runbook(path, "history")
        assert told.code == (HEALTHY if other.answers else UNKNOWN)
        assert run["id"] in told.output
        assert ("diego-runbook: away: " in told.errors) is not other.answers
        assert other.words in told.errors

        shown = await runbook(path, "show", run["id"])
        assert (shown.code, run["id"] in shown.output) == (HEALTHY, True)


@each_other
async def test_watch(other: Other) -> None:
    """Trouble first; what happens to one is drawn while the other stays unknown."""
    async with (
        pair(other, **QUICK) as (box, _, document),
        in_terminal(box.write_config(document), "watch", rows=90, columns=240) as terminal,
    ):
        away = ["✓ away HEALTHY."] if other.answers else ["? away ", "JOURNAL NOT READABLE.", other.words]
        await terminal.until_it_shows("✓ cf HEALTHY. The BBS is reachable.", *away)
        await break_it(box)
        await terminal.until_it_shows("✕ cf BROKEN. The BBS is unreachable", *away)
        terminal.press(CTRL_C)
        assert await terminal.ended() == 0
