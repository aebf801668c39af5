"""A BBS that accepts and does not answer: what the exporter says of it, and that no run heeds it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sandbox.bbs import BbsApi
from sandbox.cluster.foundation import Foundation
from sandbox.sandbox import Sandbox
from tests.support.exporting import Exporter, eventually, exporting, ran
from tests.support.incidents import (
    TIMING,
    alert,
    assert_nothing_deleted,
    assert_recovered,
    break_it,
    call_off,
    config,
    fire,
    notification,
    uids,
)
from tests.support.programs import serving
from tests.support.tools import need

REACHABLE = "diego_bbs_tcp_reachable{foundation=cf,vantage=exporter}"
ANSWERS = "diego_bbs_answers{foundation=cf,vantage=exporter}"
SERVING = "diego_bbs_serving_pods{foundation=cf}"
CHANGES = "diego_bbs_leader_changes_total{foundation=cf}"
BBS = {"interval": "500ms", "timeout": "500ms"}


@asynccontextmanager
async def boxed(foundation: Foundation | None = None) -> AsyncIterator[tuple[Sandbox, BbsApi]]:
    need("openssl")
    async with Sandbox(foundation=foundation, timing=TIMING, seed=1, bbs_tls=True) as box:
        assert box.bbs is not None
        yield box, box.bbs


@asynccontextmanager
async def observed(box: Sandbox, **foundation: Any) -> AsyncIterator[Exporter]:
    path = box.write_config(config(box, **{"bbs": BBS, "staleness": "10s"} | foundation))
    async with exporting(path) as exporter:
        await exporter.until({REACHABLE: 1, SERVING: 1})
        yield exporter


async def test_a_bbs_that_accepts_and_does_not_answer() -> None:
    async with boxed() as (box, _), observed(box) as exporter:
        await exporter.until({REACHABLE: 1, ANSWERS: 1})

        box.fault("bbs-mute")
        await exporter.until({REACHABLE: 1, ANSWERS: 0, SERVING: 1})
        await exporter.said('msg="BBS does not answer"')

        box.fault("bbs-unmute")
        await exporter.until({REACHABLE: 1, ANSWERS: 1})


async def test_where_nothing_accepts_answers_are_unknown() -> None:
    async with boxed() as (box, _), observed(box) as exporter:
        await exporter.until({ANSWERS: 1})
        box.fault("locket-db-down")
        await exporter.until({REACHABLE: 0, ANSWERS: None, SERVING: 0, CHANGES: 1})


async def test_its_log_has_no_line_of_a_connect_that_says_nothing() -> None:
    """The control: without certificates each probe leaves one.

    It is read while the exporter runs: one that is told to end cuts off a handshake that is under way. A handshake that
    outlasts the timeout leaves a line too, so a busy machine gets more time here.
    """
    patient = {"interval": "2s", "timeout": "2s"}
    async with boxed() as (box, bbs):
        async with observed(box, bbs=patient) as exporter:

            async def called() -> bool:
                return len(bbs.calls) >= 4

            await eventually(called)
            assert bbs.log == []
            assert await exporter.end() == 0

        bbs.log.clear()
        async with observed(box, bbs=patient | {"tls": None}) as exporter:
            assert ANSWERS not in await exporter.metrics()

            async def complained() -> bool:
                return len(bbs.log) >= 2

            await eventually(complained)
        assert "http: TLS handshake error from 127." in bbs.log[0]


async def test_certificates_that_can_not_be_used_make_it_unknown() -> None:
    """The log says it once, and reachability is known all the time."""
    async with boxed() as (box, _), observed(box, staleness="2s") as exporter:
        await exporter.until({ANSWERS: 1})
        key = box.certificates.key("client")
        shutil.copy(key, key.with_suffix(".kept"))
        key.write_text("no key")
        await exporter.until({ANSWERS: None, REACHABLE: 1})
        said = await exporter.said("BBS is not called")
        assert len(said) == 1
        assert "is not an unencrypted private key in PEM format" in said[0]

        key.with_suffix(".kept").replace(key)
        await exporter.until({ANSWERS: 1, REACHABLE: 1})


async def test_without_its_certificates_the_exporter_runs_and_connects() -> None:
    """A missing Secret must not blind it. `--config.check` and the log name it; files that come later are used."""
    async with boxed() as (box, _):
        key = box.certificates.key("client")
        key.rename(key.with_suffix(".kept"))
        async with observed(box) as exporter:
            assert ANSWERS not in await exporter.metrics()
            said = await exporter.said("BBS is not called")
            assert len(said) == 1
            assert "cannot be read: No such file or directory" in said[0]

            code, _, errors = await ran("--config.check", "--config.file", str(exporter.config))
            assert code == 1
            assert "foundations[0].bbs.tls.key: cannot be read: No such file or directory" in errors

            key.with_suffix(".kept").rename(key)
            await exporter.until({ANSWERS: 1})
            assert (await ran("--config.check", "--config.file", str(exporter.config)))[0] == 0


async def test_no_run_restarts_a_bbs_because_it_does_not_answer() -> None:
    """Even where somebody asks for a run: the Cloud Controller reaches it."""
    async with boxed() as (box, _), observed(box) as exporter, serving(exporter.config) as webhook:
        before = uids(box)
        box.fault("bbs-mute")
        await exporter.until({REACHABLE: 1, ANSWERS: 0})

        status, said = await webhook.notify(notification(alert("DiegoBBSNotAnswering", remediation="")))
        assert status == 200, said
        assert await webhook.runs() == []

        await fire(webhook)
        run = await webhook.ended()
        assert run["outcome"] == "not-needed"
        assert_nothing_deleted(box, before)
        await call_off(webhook, alert())


async def test_no_run_is_prevented_by_what_a_bbs_answers_or_does_not() -> None:
    """The control of the above: the same silence, and then nobody leads."""
    async with boxed() as (box, _), observed(box) as exporter, serving(exporter.config) as webhook:
        before = uids(box)
        box.fault("bbs-mute")
        await exporter.until({REACHABLE: 1, ANSWERS: 0})
        await break_it(box)
        await fire(webhook)

        run = await webhook.ended()

        assert run["outcome"] == "recovered"
        assert_recovered(box, before)
        await exporter.until({REACHABLE: 1, ANSWERS: 0})


async def test_locket_is_evidence() -> None:
    async with boxed(Foundation(locket="diego-locket")) as (box, _):
        (place, *_) = (pod["ip"] for pod in box.state()["pods"] if pod["name"].startswith("diego-locket"))
        async with observed(box, locket={"host": place, "port": 8891}) as exporter:
            await exporter.until({"diego_locket_tcp_reachable{foundation=cf}": 1, REACHABLE: 1})
            box.fault("locket-hang")
            await exporter.until({"diego_locket_tcp_reachable{foundation=cf}": 0})
