"""The observer where the BBS is called as well: one connection a probe, and what becomes of the answers."""

import asyncio
import logging

import pytest

from exporter.foundation.bbs_api import DOMAINS
from exporter.foundation.view import CallResult, ProbeResult
from tests.support.callers import Calls
from tests.support.clocks import LoopClock
from tests.support.foundations import BBS, Dials, foundation, healthy
from tests.support.observers import observing

pytestmark = pytest.mark.looptime


async def test_one_connection_is_all_that_a_probe_takes() -> None:
    """The BBS is called where clients reach it; a pod's own address is asked for no more than TLS."""
    dials, calls = Dials(), Calls()
    config = foundation(locket={"host": "locket", "port": 8891})
    async with observing(healthy(), dials, config, caller=calls) as observer:
        await asyncio.sleep(60)

        asked = set(calls.asked)
        assert asked == {(BBS, 8889, DOMAINS), ("10.0.0.1", 8889, None), ("10.0.0.2", 8889, None)}
        assert {calls.asked.count(each) for each in asked} <= {6, 7}
        assert {(host, port) for _, host, port in dials.asked} == {("locket", 8891)}, "the only one that is no BBS"
        assert (observer.view.bbs.reachable, observer.view.answers.reachable) == (True, True)
        assert {uid: each.reachable for uid, each in observer.view.pods.items()} == {
            "diego-api-0-uid": True,
            "diego-api-1-uid": False,
        }


async def test_without_certificates_nothing_is_called() -> None:
    async with observing(healthy(), Dials()) as observer:
        assert observer.view.answers.last is None


async def test_a_bbs_that_accepts_and_does_not_answer() -> None:
    calls = Calls()
    async with observing(healthy(), Dials(), caller=calls) as observer:
        calls.result = CallResult.TIMEOUT
        await asyncio.sleep(10)
        assert (observer.view.bbs.reachable, observer.view.answers.reachable) == (True, False)

        calls.result = CallResult.ANSWERED
        await asyncio.sleep(10)
        assert observer.view.answers.reachable is True


@pytest.mark.parametrize("result", [CallResult.TLS, CallResult.ERROR, None])
async def test_a_call_that_proves_nothing_leaves_the_last_known_value_until_it_is_stale(
    result: CallResult | None,
) -> None:
    calls = Calls()
    async with observing(healthy(), Dials(), caller=calls) as observer:
        calls.result = result

        def known() -> bool | None:
            return observer.view.answers.value(now=LoopClock().now(), staleness=60.0)

        await asyncio.sleep(50)
        assert known() is True
        await asyncio.sleep(20)
        assert known() is None
        assert observer.view.bbs.value(now=LoopClock().now(), staleness=60.0) is True


async def test_where_nobody_accepts_nothing_is_known_of_answers() -> None:
    calls = Calls()
    async with observing(healthy(), Dials(), caller=calls) as observer:
        calls.connects[BBS] = ProbeResult.REFUSED
        await asyncio.sleep(10)

        assert (observer.view.bbs.reachable, observer.view.answers.reachable) == (False, None)


async def test_a_call_that_hangs_ends_with_its_probe() -> None:
    """Nothing is known then, of the connect either: only the caller knew of it."""
    calls = Calls()
    async with observing(healthy(), Dials(), caller=calls) as observer:
        calls.takes = 3600.0
        await asyncio.sleep(60)

        assert observer.view.bbs.last is not None
        assert observer.view.bbs.last.result is ProbeResult.ERROR
        assert calls.asked.count((BBS, 8889, DOMAINS)) == pytest.approx(7, abs=1)


async def test_the_log_says_what_changed_and_not_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    calls = Calls()
    async with observing(healthy(), Dials(), caller=calls):
        for result in (CallResult.TIMEOUT, CallResult.TLS, CallResult.ANSWERED):
            await asyncio.sleep(30)
            calls.result = result
        await asyncio.sleep(30)

    said = [(record.levelname, record.message) for record in caplog.records if "BBS" in record.message]
    assert said == [
        ("INFO", "BBS is reachable"),
        ("INFO", "BBS answers"),
        ("WARNING", "BBS does not answer"),
        ("WARNING", "BBS call inconclusive"),
        ("INFO", "BBS answers"),
    ]
    silent = next(record for record in caplog.records if record.message == "BBS does not answer")
    assert (vars(silent)["result"], vars(silent)["detail"]) == ("timeout", "in its words")
