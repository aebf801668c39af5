"""What the pods said before they went: the most telling lines, and never a reason to stop."""

import asyncio

import pytest

from exporter.kubernetes.api import ApiError
from exporter.kubernetes.objects import Pod
from exporter.kubernetes.transport import Response
from sandbox.transport import Mishap, Request
from tests.support.clocks import LoopClock
from tests.support.inprocess import InProcessWriter, Shelf
from tests.support.views import a_pod
from webhook.runbook.evidence import EXCERPT_BYTES, excerpt, gather
from webhook.timings import DEFAULT

pytestmark = pytest.mark.looptime

PODS = (a_pod("diego-api", 0, containers=["bbs", "locket"]), a_pod("diego-api", 1, containers=["bbs"], restarts=2))


LOGS = {
    "diego-api-0/bbs": "start\nlost the lock\nbye\n",
    "diego-api-0/locket": "one\ntwo\n",
    "diego-api-1/bbs": "acquired the lock\n",
    "diego-api-1/bbs (previous)": "panic: database is gone\n",
}


def written(request: Request) -> Mishap | None:
    """The logs of the pods, which are not there: nothing else is asked for."""
    (container,) = request.query["container"]
    previous = " (previous)" if request.query.get("previous") == ["true"] else ""
    return Mishap(error=Response(200, LOGS[f"{request.name}/{container}{previous}"].encode()))


@pytest.fixture
def writer() -> InProcessWriter:
    made = InProcessWriter(Shelf(clock=LoopClock()))
    made.mishap = written
    return made


async def gathered(writer: InProcessWriter, *pods: Pod) -> str:
    return await gather(writer, pods or PODS, run_id="cf-1", timeout=DEFAULT.evidence)


async def test_the_telling_lines_of_every_container_and_of_those_that_died(writer: InProcessWriter) -> None:
    assert await gathered(writer) == (
        "diego-api-0/bbs:\n  lost the lock\n"
        "diego-api-0/locket:\n  one\n  two\n"
        "diego-api-1/bbs:\n  acquired the lock\n"
        "diego-api-1/bbs (previous):\n  panic: database is gone"
    )


async def test_the_whole_logs_are_logged_under_the_runs_id(
    writer: InProcessWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await gathered(writer)

    told = {
        getattr(record, "container", ""): record for record in caplog.records if record.message == "evidence preserved"
    }
    assert set(told) == set(LOGS)
    assert {record.__dict__["run"] for record in told.values()} == {"cf-1"}
    assert told["diego-api-0/bbs"].__dict__["text"] == "start\nlost the lock\nbye\n"


@pytest.mark.parametrize(
    "error", [ApiError(403, "Forbidden", "pods/log"), ApiError(500, "InternalError", "overloaded")]
)
async def test_a_log_that_can_not_be_had_is_named(writer: InProcessWriter, error: ApiError) -> None:
    writer.fail("get pods/log", error, times=-1)

    kept = await gathered(writer, PODS[0])

    assert kept == f"diego-api-0/bbs:\n  (no log: {error})\ndiego-api-0/locket:\n  (no log: {error})"


async def test_it_takes_its_timeout_at_most_and_keeps_what_arrived(
    writer: InProcessWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """All but one of the logs hang. The client's own deadline is shorter than the default."""
    writer.mishap = lambda request: written(request) if request.query["container"] == ["locket"] else Mishap(hangs=True)

    kept = await gather(writer, PODS, run_id="cf-1", timeout=5)

    assert asyncio.get_running_loop().time() == 5 < DEFAULT.evidence
    assert kept == "diego-api-0/locket:\n  one\n  two"
    assert "evidence is incomplete" in caplog.text


async def test_logs_that_hang_are_named_within_the_default(writer: InProcessWriter) -> None:
    writer.hang()

    assert "(no log: " in await gathered(writer)
    assert asyncio.get_running_loop().time() <= DEFAULT.evidence


async def test_an_hour_of_logs_is_asked_for_at_once(writer: InProcessWriter) -> None:
    writer.slow(4)
    await gathered(writer)

    assert asyncio.get_running_loop().time() == 8


async def test_without_pods_there_is_nothing_to_keep(writer: InProcessWriter) -> None:
    assert await gather(writer, (), run_id="cf-1", timeout=DEFAULT.evidence) == ""


# ---- the excerpt


def test_lines_that_name_trouble_come_before_all_others() -> None:
    said = ["ok"] * 50 + ["Connection refused"] + ["ok"] * 50 + ["LOCKET went away", "ok"]

    assert excerpt({"bbs": said}, limit=1000) == "bbs:\n  Connection refused\n  LOCKET went away"


def test_without_any_the_last_five_lines_are_kept() -> None:
    assert excerpt({"bbs": [f"line {n}" for n in range(9)]}, limit=1000) == "bbs:\n" + "\n".join(
        f"  line {n}" for n in range(4, 9)
    )


def test_the_last_ones_are_kept_where_there_is_no_room_for_all() -> None:
    kept = excerpt({"bbs": [f"error {n:04}" for n in range(1000)]}, limit=60)

    assert kept == "bbs:\n  error 0996\n  error 0997\n  error 0998\n  error 0999"


@pytest.mark.parametrize("line", ["error", "error: ü€𝄞", "error " * 5000])
@pytest.mark.parametrize("sources", [1, 3, 40])
def test_it_stays_within_its_bytes(line: str, sources: int) -> None:
    kept = excerpt({f"pod-{n}/container": [line] * 5000 for n in range(sources)}, limit=EXCERPT_BYTES)

    assert len(kept.encode()) <= EXCERPT_BYTES
    assert all(f"pod-{n}/container:" in kept for n in range(sources))


def test_one_endless_line_does_not_push_out_all_others() -> None:
    kept = excerpt({"bbs": ["error one", "error " * 50_000]}, limit=2000)

    assert kept.startswith("bbs:\n  error one\n  error error")


def test_no_source_takes_the_room_of_another() -> None:
    kept = excerpt({"loud": ["error"] * 10_000, "quiet": ["lost the lock"]}, limit=200)

    assert kept.endswith("quiet:\n  lost the lock")


def test_a_silent_container_is_named() -> None:
    assert excerpt({"bbs": []}, limit=100) == "bbs:"
    assert excerpt({}, limit=100) == ""
