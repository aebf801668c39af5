"""Alertmanager's endpoint: what is wrong with a request is answered 4xx, and what is wrong with us 503."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from exporter.config.model import Config
from tests.support.daemons import FakeDaemon, served
from webhook.http.routes import Routes
from webhook.medic.intake import Intake, Receipt
from webhook.medic.medics import Medics
from webhook.metrics import HttpMetrics
from webhook.requests.notification import Notification

BODY = json.dumps({"version": "4", "alerts": []}).encode()


class FakeIntake:
    """Takes everything, or fails."""

    error: Exception | None = None

    async def take(self, _notification: Notification) -> Receipt:
        if self.error is not None:
            raise self.error
        return Receipt(202, {})


class Desk:
    """The endpoint, its intake, and its metrics."""

    def __init__(self, session: aiohttp.ClientSession, intake: FakeIntake, registry: CollectorRegistry) -> None:
        self.intake = intake
        self._session = session
        self._registry = registry

    async def post(self, body: bytes = BODY, **headers: str) -> int:
        headers = {"Content-Type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()}
        async with self._session.post("/alerts", data=body, headers=headers) as response:
            return response.status

    def counted(self, code: int) -> float | None:
        return self._registry.get_sample_value("diego_webhook_notifications_total", {"code": str(code)})


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    def build(_foundation: Any) -> Any:
        raise NotImplementedError

    intake, registry = FakeIntake(), CollectorRegistry()
    medics = Medics(Config(foundations=()), build=build)
    routes = Routes(intake=cast("Intake", intake), medics=medics, metrics=HttpMetrics(registry))
    async with served(FakeDaemon(routes=routes.all, middlewares=[routes.count])) as session:
        yield Desk(session, intake, registry)


async def test_a_notification_is_taken() -> None:
    async with desk() as taking:
        assert await taking.post() == 202
        assert taking.counted(202) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_what_its_encoding_says_is_answered_400(encoding: str) -> None:
    async with desk() as taking:
        assert await taking.post(b"not compressed", Content_Encoding=encoding) == 400
        assert taking.counted(400) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("a defect"), KeyError("cf"), TimeoutError()])
async def test_a_defect_of_ours_is_answered_503_so_that_it_is_sent_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk() as taking:
        taking.intake.error = error
        assert await taking.post() == 503
        assert (taking.counted(503), taking.counted(500)) in {(1, None), (1, 0)}
        (record,) = [each for each in caplog.records if each.getMessage() == "request failed"]
        assert record.exc_info is not None
